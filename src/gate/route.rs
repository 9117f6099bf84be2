//! Which service a request is for. Default deny: method, host and path match exactly, or there is
//! no service.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    HOST, HeaderValue,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Version};

use super::status;
use crate::answer::{Answer, Problem, empty};
use crate::code::Code;
use crate::service::{Service, Site};

/// Whom a request is for.
pub enum Route<'a> {
    /// One of the operator's services.
    Service(&'a Arc<Service>),
    /// Ourselves: how a ticket stands.
    Status,
}

/// Whom a request is for; `Err` is the answer to one that is for nobody.
pub fn route<'a, B>(site: &'a Site, request: &Request<B>) -> Result<Route<'a>, Answer> {
    let host = host(request).map_err(|what| {
        Problem::new(StatusCode::BAD_REQUEST, Code::BadRequest, what).into_answer()
    })?;
    let path = request.uri().path();
    let here = || {
        let site_services = site.services.iter();
        site_services.filter(|service| {
            service.path == path
                && service.host.as_deref().is_none_or(|named| Some(named) == host.as_deref())
        })
    };
    // A service that names the host goes before one that takes any.
    let of_method = |named: bool| {
        here().find(|service| service.method == request.method() && service.host.is_some() == named)
    };
    if let Some(service) = of_method(true).or_else(|| of_method(false)) {
        return Ok(Route::Service(service));
    }
    if path == status::PATH {
        let is_preflight = request.method() == Method::OPTIONS;
        return if is_preflight {
            Err(preflight(HeaderValue::from_static("GET, OPTIONS")))
        } else {
            Ok(Route::Status)
        };
    }
    let methods: Vec<&str> = here().map(|service| service.method.as_str()).collect();
    if methods.is_empty() {
        let detail = "There is no such service here. Paths are matched exactly.";
        return Err(Problem::new(StatusCode::NOT_FOUND, Code::NotFound, detail).into_answer());
    }
    let allow = HeaderValue::from_str(&format!("{}, OPTIONS", methods.join(", ")))
        .unwrap_or(HeaderValue::from_static("OPTIONS"));
    if request.method() == Method::OPTIONS {
        return Err(preflight(allow));
    }
    let detail = format!("This path takes {}.", methods.join(", "));
    Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, detail)
        .with_header(ALLOW, allow)
        .into_answer())
}

/// Lets a wallet in a browser ask (Fetch standard, "CORS protocol").
fn preflight(allow: HeaderValue) -> Answer {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
    headers.insert(ALLOW, allow);
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type, Accept, Accept-Language"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    Answer { response, code: Code::Preflight }
}

/// The host that is asked for, in lower case without port. Two that differ are refused (RFC 9112
/// section 3.2).
pub fn host<B>(request: &Request<B>) -> Result<Option<Cow<'_, str>>, &'static str> {
    let mut lines = request.headers().get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err("A request has one Host header field.");
    }
    let in_header = match line {
        Some(value) => Some(
            value
                .to_str()
                .ok()
                .and_then(bare_host)
                .ok_or("The Host header field can't be read.")?,
        ),
        None => None,
    };
    let in_target = request
        .uri()
        .authority()
        .map(|authority| bare_host(authority.as_str()).ok_or("The host can't be read."))
        .transpose()?;
    match (in_target, in_header) {
        (Some(target), Some(header)) if target != header => {
            Err("The request names two different hosts.")
        }
        (None, None) if request.version() == Version::HTTP_11 => {
            Err("The Host header field is missing.")
        }
        (target, header) => Ok(target.or(header)),
    }
}

/// Whether a text can stand as host and port in a URL.
pub fn is_authority(text: &str) -> bool {
    bare_host(text).is_some()
}

fn bare_host(authority: &str) -> Option<Cow<'_, str>> {
    // Nearly every host looks like this, and needs no copy.
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    let has_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    if !host.is_empty() && host.bytes().all(is_plain) && has_port {
        return Some(Cow::from(host));
    }
    let authority = authority.parse::<Authority>().ok()?;
    (!authority.as_str().contains('@')).then(|| Cow::from(authority.host().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str, hosts: &[&str]) -> Result<Option<String>, &'static str> {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let request = request.body(()).unwrap();
        host(&request).map(|host| host.map(Cow::into_owned))
    }

    #[test]
    fn one_host_and_only_one() {
        assert_eq!(of("/", &["Example.com:8080"]), Ok(Some("example.com".into())));
        assert_eq!(of("http://example.com/", &["example.com"]), Ok(Some("example.com".into())));
        assert_eq!(of("/", &["[::1]:80"]), Ok(Some("[::1]".into())));
        assert!(of("/", &[]).is_err());
        assert!(of("/", &["a", "b"]).is_err());
        assert!(of("/", &["a", "a"]).is_err());
        assert!(of("http://a/", &["b"]).is_err());
        assert!(of("/", &["a b"]).is_err());
        assert!(of("/", &["user@a"]).is_err());
    }
}
