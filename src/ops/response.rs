//! What this listener answers: texts, and JSON.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

/// The media type of plain text.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

/// What is wrong, as JSON.
pub(super) fn say(status: StatusCode, what: impl Into<String>) -> Response<Full<Bytes>> {
    text(status, "application/json", format!("{}\n", json!({ "error": what.into() })))
}

/// A body of a media type.
pub(super) fn text(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
