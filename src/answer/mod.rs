//! Every response that Farebox authors: answers, and the problems that end a request early.

pub mod body;
pub mod cors;
pub mod html;
pub mod order_problems;
pub mod page_settings;
pub mod problem;
pub mod problems;
pub mod qr;
pub mod stored;
pub mod why_to_pay;

use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use self::body::Body;
use crate::code::Code;

/// A response and what it stands for.
pub struct Answer {
    /// What is sent.
    pub response: Response<Body>,
    /// What it means.
    pub code: Code,
}

/// A JSON body that no cache may keep.
pub fn json(
    status: StatusCode,
    content_type: &'static str,
    body: &impl Serialize,
) -> Response<Body> {
    let mut text = Vec::with_capacity(1024);
    // What is written here are texts and numbers: nothing that could fail.
    if serde_json::to_writer(&mut text, body).is_err() {
        text.clear();
    }
    text.push(b'\n');
    let mut response = Response::new(Body::Whole(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a backend gets that has told us something: its word, or nothing.
pub fn heard(word: String) -> Answer {
    let is_silent = word.is_empty();
    let mut response = Response::new(Body::Whole(Full::from(word)));
    if is_silent {
        *response.status_mut() = StatusCode::NO_CONTENT;
    } else {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer { response, code: Code::Heard }
}
