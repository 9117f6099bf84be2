//! What becomes of an upstream's answer: it is passed on as it comes, or read to keep it for
//! repeats or for the words of a refusal.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::decoded::{Decoded, decode};
use crate::answer::Answer;
use crate::answer::body::Body;
use crate::answer::stored::Overflow;
use crate::code::Code;
use crate::ledger::stored_answer::StoredAnswer;
use crate::order::Order;
use crate::service::Service;
use crate::upstream::inner_address;
use crate::upstream::redact::redact;
use crate::upstream::request::strip;
use crate::upstream::response_body::ResponseBody;
use crate::upstream::retry_after::retry_after;

/// Most bytes of header fields that are kept with an answer.
const HEADERS_MAX: usize = 8 * 1024;

/// An answer, read as far as it is kept.
pub(super) struct Read {
    pub(super) head: Parts,
    /// `None` if it broke off or is too long.
    pub(super) body: Option<Bytes>,
    /// What goes beyond, for the first asker.
    pub(super) overflow: Option<Overflow>,
    /// Whether the body is in an encoding that can't be taken off.
    pub(super) is_coded: bool,
}

/// Reads an answer, up to `limit` bytes and until `deadline`.
pub(super) async fn read(
    response: Response<ResponseBody>,
    limit: usize,
    deadline: Instant,
) -> Read {
    let (head, mut body) = response.into_parts();
    let mut read = BytesMut::new();
    loop {
        match timeout_at(deadline, body.frame()).await {
            Ok(None) => return whole(head, read.freeze(), limit),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                read.extend_from_slice(&data);
                if read.len() > limit {
                    let overflow = Some((read.freeze(), body));
                    return Read { head, body: None, overflow, is_coded: false };
                }
            }
            Ok(Some(Err(_))) | Err(_) => {
                return Read { head, body: None, overflow: None, is_coded: false };
            }
        }
    }
}

/// An answer that was read to its end, without an encoding that nobody asked for.
fn whole(mut head: Parts, body: Bytes, limit: usize) -> Read {
    let (body, is_coded) = match decode(&head.headers, &body, limit) {
        Decoded::Plain => (body, false),
        Decoded::Unreadable => (body, true),
        Decoded::Unpacked(text) => {
            head.headers.remove(CONTENT_ENCODING);
            (text, false)
        }
    };
    Read { head, body: Some(body), overflow: None, is_coded }
}

/// A delivered answer as it is stored.
pub(super) fn keep(service: &Service, mut head: Parts, body: Option<Bytes>) -> StoredAnswer {
    inner_address::hide(&mut head.headers, &service.upstream, &service.path);
    StoredAnswer {
        status: delivered_status(head.status).as_u16(),
        headers: kept_headers(head.headers),
        body,
    }
}

/// Whether a field of a delivered answer is about us or about accounts, and so not for the payer.
fn is_not_for_payers(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "www-authenticate"
            | "authentication-info"
            | "set-cookie"
            | "alt-svc"
            | "strict-transport-security"
            | "date"
            | "cache-control"
            | "access-control-allow-origin"
    )
}

/// A status that is none of success can't stand for a delivery.
fn delivered_status(status: StatusCode) -> StatusCode {
    if status.is_success() { status } else { StatusCode::OK }
}

/// A delivered answer that isn't kept, as it comes.
pub(super) fn passed_on(service: &Service, response: Response<ResponseBody>) -> Answer {
    let (mut head, body) = response.into_parts();
    inner_address::hide(&mut head.headers, &service.upstream, &service.path);
    strip(&mut head.headers, is_not_for_payers);
    // The framing is ours: what the upstream says of its length may contradict itself, or belong to
    // another status.
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = Response::new(Body::streamed(body));
    *response.status_mut() = delivered_status(head.status);
    *response.headers_mut() = head.headers;
    Answer { response, code: Code::Delivered }
}

/// The fields that belong to the answer, without those about the connection, about us, or about
/// accounts.
fn kept_headers(mut headers: HeaderMap) -> Vec<(String, String)> {
    strip(&mut headers, is_not_for_payers);
    headers.remove(CONTENT_LENGTH);
    let mut weight = 0;
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let fits = |(name, value): &(String, String)| {
        weight += name.len() + value.len();
        weight <= HEADERS_MAX
    };
    headers.iter().filter_map(text).filter(fits).collect()
}

/// What an upstream said when it refused.
pub(super) struct UpstreamRefusal {
    pub(super) status: u16,
    pub(super) words: Option<String>,
    /// How long it asks to wait.
    pub(super) retry_after: Option<Duration>,
}

/// A refusal's status and redacted words, if they are text. Neither the operator's secrets nor the
/// buyer's own texts are among them.
pub(super) fn refusal(
    service: &Service,
    head: &Parts,
    body: Option<&Bytes>,
    order: &Order,
) -> UpstreamRefusal {
    let media = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let readable = media.starts_with("text/plain") || media.contains("json");
    let words = body.filter(|_| readable).and_then(|body| {
        let mut secrets = order.private_texts();
        secrets.extend(service.upstream.secrets.iter().cloned());
        redact(body, &secrets)
    });
    let retry_after = retry_after(&head.headers);
    UpstreamRefusal { status: head.status.as_u16(), words, retry_after }
}
