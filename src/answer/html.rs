//! Pages: what surrounds each, and the header fields that all have.

use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::body::Body;
use super::page_settings::PageSettings;

/// Nothing but our own files, asked for at our own address; in nobody's frame. What the QR code is
/// drawn as is a `data:` picture.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' \
                      data:; connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What surrounds a page.
pub struct Frame<'a> {
    /// The operator's name and words.
    pub settings: &'a PageSettings,
    /// The way from the page to what `/` is for us, with a slash at the end: all our links are
    /// relative, since what stands in front may have us below a path.
    pub root: String,
    /// Whether `/` is a page of ours.
    pub has_index: bool,
    /// The network's name, unless the money is real.
    pub test_network: Option<&'static str>,
}

impl<'a> Frame<'a> {
    /// For a page that is asked for at `path`.
    pub fn new(
        settings: &'a PageSettings,
        path: &str,
        has_index: bool,
        test_network: Option<&'static str>,
    ) -> Self {
        Self { settings, root: root(path), has_index, test_network }
    }
}

/// The way back from a path to `/`, relative (RFC 3986 section 5.2).
pub fn root(path: &str) -> String {
    match path.matches('/').count().saturating_sub(1) {
        0 => "./".to_owned(),
        depth => "../".repeat(depth),
    }
}

/// A page.
pub fn page(status: StatusCode, html: String) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Full::from(html)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin-allow-popups"),
    );
    response
}

/// Header fields that speak for all that stands at an address: what is kept there, and who answers.
const OF_THE_ORIGIN: [&str; 5] =
    ["clear-site-data", "service-worker-allowed", "nel", "report-to", "reporting-endpoints"];

/// Has a browser treat what an upstream answers as a stranger's, so that it can't read what our
/// pages keep. Each of several policies holds (Content Security Policy Level 3, section 3.2).
pub fn sandbox(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for name in OF_THE_ORIGIN {
        headers.remove(name);
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_document = types.any(|media_type| media_type.to_str().map_or(true, is_scriptable)) ||
        // A browser makes something up.
        !headers.contains_key(CONTENT_TYPE);
    if is_document {
        headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    }
}

/// HTML, and all that is XML to a browser (MIME Sniffing, "XML MIME type"). What isn't certainly
/// something else counts too.
fn is_scriptable(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((kind, sub)) = essence.split_once('/') else { return true };
    // A list of types in one field: the last one may count.
    media_type.contains(',')
        || kind == "multipart"
        || sub.contains("html")
        || sub.contains("xml")
        || sub.contains("xsl")
        || sub.contains("svg")
        || matches!((kind, sub), ("*", _) | (_, "*" | "") | ("unknown" | "application", "unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_relative() {
        for (path, expected) in [
            ("/", "./"),
            ("/x", "./"),
            ("/services/x", "../"),
            ("/services/", "../"),
            ("/a//b", "../../"),
            ("", "./"),
            ("*", "./"),
        ] {
            assert_eq!(root(path), expected, "{path}");
        }
    }

    #[test]
    fn documents_of_strangers_are_sandboxed() {
        let policies = |media_type: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(media_type) = media_type {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            }
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src *"));
            headers.insert("clear-site-data", HeaderValue::from_static("\"storage\""));
            sandbox(&mut headers);
            assert!(!headers.contains_key("clear-site-data"));
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
            let all = headers.get_all(CONTENT_SECURITY_POLICY).iter();
            all.filter(|policy| *policy == "sandbox").count()
        };
        for document in [
            None,
            Some("text/html"),
            Some("Text/HTML; charset=utf-8"),
            Some(" application/xhtml+xml"),
            Some("image/svg+xml"),
            Some("text/xml"),
            Some("application/rss+xml"),
            Some("text/xsl"),
            Some("multipart/x-mixed-replace; boundary=x"),
            Some("text/plain, text/html"),
            Some("text/plain;a=b, text/html"),
            Some("nonsense"),
            Some("*/*"),
            Some(""),
        ] {
            assert_eq!(policies(document), 1, "{document:?}");
        }
        for other in ["application/json", "text/plain; charset=utf-8", "image/png"] {
            assert_eq!(policies(Some(other)), 0, "{other}");
        }
    }
}
