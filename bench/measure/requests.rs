//! What is asked for.

use std::cell::Cell;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

pub const SMS: &str = r#"{"message":"Hello, this is a test SMS!","phone_number":"+1234567890"}"#;

pub fn post(ticket: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::post("/sms")
        .header("host", "localhost")
        .header("content-type", "application/json");
    if let Some(ticket) = ticket {
        request = request.header("authorization", ticket);
    }
    request.body(Full::from(SMS)).unwrap()
}

pub fn no_call() -> Request<Full<Bytes>> {
    let mut request = post(None);
    *request.uri_mut() = "/no-call".parse().unwrap();
    request
}

pub fn get(path: &'static str, ticket: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::get(path).header("host", "localhost");
    if let Some(ticket) = ticket {
        request = request.header("authorization", ticket);
    }
    request.body(Full::default()).unwrap()
}

pub fn get_pass(ticket: Option<&str>) -> Request<Full<Bytes>> {
    get("/pass", ticket)
}

/// Requests made by a function, so many of them.
pub fn times(
    count: usize,
    make: impl Fn(usize) -> Request<Full<Bytes>> + 'static,
) -> impl Fn() -> Option<Request<Full<Bytes>>> + 'static {
    let next = Cell::new(0);
    move || {
        let n = next.get();
        next.set(n + 1);
        (n < count).then(|| make(n))
    }
}
