//! Whether a browser wants to show a page: it names `text/html`, and brings no ticket. A program
//! that doesn't care names no type, or `*/*`.

use hyper::header::{ACCEPT, AUTHORIZATION};
use hyper::{Method, Request};

/// Whether it is a browser's navigation.
pub(super) fn is_navigation<B>(request: &Request<B>) -> bool {
    is_read(request.method())
        && !request.headers().contains_key(AUTHORIZATION)
        && names_html(request)
}

/// Whether a method only looks.
pub(super) fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

fn names_html<B>(request: &Request<B>) -> bool {
    let accepted = request.headers().get_all(ACCEPT).iter();
    let mut ranges =
        accepted.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|range| range.eq_ignore_ascii_case("text/html"));
        // A quality of nothing means: not that one (RFC 9110 section 12.4.2).
        let is_refused = parts.any(|parameter| {
            let quality = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
            quality.is_some_and(|quality| quality.parse() == Ok(0.0_f32))
        });
        is_html && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_name_html() {
        let of = |method: &str, accept: &str| {
            let request =
                Request::builder().method(method).header(ACCEPT, accept).body(()).unwrap();
            is_navigation(&request)
        };
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(of("GET", chromium) && of("HEAD", chromium) && of("GET", "Text/HTML; q=0.5"));
        assert!(!of("POST", chromium) && !of("GET", "*/*") && !of("GET", "application/json"));
        assert!(!of("GET", "text/html;q=0, */*") && !of("GET", "text/html; q=0.000"));
    }

    #[test]
    fn who_brings_a_ticket_is_a_program() {
        let request =
            Request::builder().header(ACCEPT, "text/html").header(AUTHORIZATION, "L402 x:");
        assert!(!is_navigation(&request.body(()).unwrap()));
    }
}
