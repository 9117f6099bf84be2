//! What pages of other origins may ask and read (Fetch standard, "CORS protocol").

use http_body_util::Full;
use hyper::Response;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    HeaderMap, HeaderValue, VARY,
};

use super::Answer;
use super::body::Body;
use crate::code::Code;

/// Lets a wallet in a browser ask with one of these methods, and with what fields it likes. There
/// are no cookies, so no field of another page's is dangerous.
pub fn preflight(methods: HeaderValue, asked: &HeaderMap) -> Answer {
    let mut response = Response::new(Body::Whole(Full::default()));
    *response.status_mut() = Code::Preflight.status();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
    headers.insert(ALLOW, methods);
    for fields in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.append(ACCESS_CONTROL_ALLOW_HEADERS, fields.clone());
    }
    headers.insert(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    Answer { response, code: Code::Preflight }
}

/// Lets a wallet in any page read what it needs. There are no cookies, so there is nothing to
/// protect from other origins.
pub fn allow(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "WWW-Authenticate, Link, Retry-After, Idempotent-Replayed, L402-Preimage",
            ),
        );
    }
}
