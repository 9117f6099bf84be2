//! A delivered answer: the upstream's own, at its first delivery or from the store.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::Answer;
use super::body::Body;
use super::problem::Problem;
use super::problems;
use crate::code::Code;
use crate::ledger::stored_answer::StoredAnswer;
use crate::upstream::response_body::ResponseBody;

/// Marks an answer from the store (IETF draft "Idempotency-Key HTTP header", as Stripe names it).
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The part of an answer that is too long to keep, and the rest of it: for its first asker only.
pub type Overflow = (Bytes, ResponseBody);

/// The answer that a redemption delivered just now. `overflow` is there for one asker, where the
/// answer was too long to keep; the others are told that it isn't kept.
pub fn delivered(answer: &StoredAnswer, overflow: Option<Overflow>) -> Result<Answer, Problem> {
    let body = match (&answer.body, overflow) {
        (Some(body), _) => Body::Whole(Full::new(body.clone())),
        (None, Some((first, rest))) => Body::continued(first, rest),
        (None, None) => return Err(problems::answer_not_kept(status(answer))),
    };
    Ok(Answer { response: response(answer, body), code: Code::Delivered })
}

/// The answer that was delivered before; nothing is sent.
pub fn replayed(answer: &StoredAnswer) -> Result<Answer, Problem> {
    let mark = HeaderValue::from_static("true");
    let Some(body) = &answer.body else {
        return Err(problems::answer_not_kept(status(answer)).with_header(REPLAYED, mark));
    };
    let mut response = response(answer, Body::Whole(Full::new(body.clone())));
    response.headers_mut().insert(REPLAYED, mark);
    Ok(Answer { response, code: Code::Replayed })
}

fn status(answer: &StoredAnswer) -> StatusCode {
    StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK)
}

fn response(answer: &StoredAnswer, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status(answer);
    for (name, value) in &answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
