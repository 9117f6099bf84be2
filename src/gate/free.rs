//! A free service: the request is passed on as it comes.

use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ALT_SVC, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use hyper::{Request, Version};
use tokio::time::Instant;
use tracing::debug;

use super::body;
use crate::answer::body::{Body, Held};
use crate::answer::problem::Problem;
use crate::answer::{Answer, problems};
use crate::client::Client;
use crate::code::Code;
use crate::record::request_log::RequestLog;
use crate::service::{RequestLimits, Service};
use crate::upstream::forward::{Sent, forward};
use crate::upstream::inner_address;
use crate::upstream::pool::StatusLine;
use crate::upstream::request::{self, strip};
use crate::upstream::request_body::{BodyCopy, BodyLimit};

/// Passes a request on and its answer back; its body goes into `copy` too.
pub(super) async fn pass(
    service: &Service,
    limits: &RequestLimits,
    client: &Client,
    request: Request<Incoming>,
    copy: Option<&BodyCopy>,
    log: &mut RequestLog<'_>,
) -> Result<Answer, Problem> {
    let (upstream, body_max) = (&service.upstream, limits.body);
    if request.body().size_hint().lower() > body_max as u64 {
        body::discard(request, limits).await;
        return Err(problems::body_too_large(body_max));
    }
    let limit = (!request.body().is_end_stream()).then(|| BodyLimit::new(body_max));
    let share = upstream.shares.of_client(client).ok_or_else(problems::free_too_many)?;
    let request =
        request::free(upstream, request, client.header(), client.scheme(), limit.as_ref(), copy)
            .ok_or_else(|| problems::bad_request("The query is too long."))?;
    let started = Instant::now();
    let deadline = started + upstream.timeout;
    let sent = forward(upstream, request, service.reuse, deadline, None).await;
    log.upstream(started.elapsed());
    match sent {
        Sent::Yes(response) => {
            if has_other_coding(response.headers()) {
                return Err(problems::free_without_answer());
            }
            let mut response = response.map(Body::streamed);
            response.body_mut().hold(Held::OfClient(share));
            // Else a client of ours would be answered by the upstream's version, without a sign of
            // the end.
            *response.version_mut() = Version::HTTP_11;
            let is_whole = response.body().is_end_stream();
            strip_ours(response.headers_mut(), is_whole);
            inner_address::hide(response.headers_mut(), upstream, &service.path);
            Ok(Answer { response, code: Code::Passed })
        }
        Sent::No(why) => {
            debug!(service = %service.name, "not sent: {why}");
            Err(problems::free_unreachable())
        }
        Sent::Unknown(_) if limit.is_some_and(|limit| limit.was_passed()) => {
            Err(problems::body_too_large(body_max))
        }
        Sent::Unreadable(StatusLine { why, .. }) | Sent::Unknown(why) => {
            debug!(service = %service.name, "no answer: {why}");
            Err(problems::free_without_answer())
        }
    }
}

/// Whether the body is coded by more than `chunked`, which is taken off on the way: what is left
/// would be without its label. Nobody asked for another (RFC 9112 section 6.1).
fn has_other_coding(headers: &HeaderMap) -> bool {
    headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Removes what is about the connection. And challenges: one client library pays whatever bears an
/// L402 challenge, whatever the status, so only our own may. `is_whole`: no more of the body comes.
fn strip_ours(headers: &mut HeaderMap, is_whole: bool) {
    let (mut challenges, mut coded) = (false, false);
    strip(headers, |name| {
        challenges |= *name == WWW_AUTHENTICATE;
        coded |= *name == TRANSFER_ENCODING;
        *name == ALT_SVC
    });
    // The framing is ours. Where there is no body the length is that of the one which a GET would
    // have (RFC 9110 section 8.6), unless it stands beside a coding, where it counts for nothing
    // (RFC 9112 section 6.3).
    if let Some(length) = headers.remove(CONTENT_LENGTH)
        && is_whole
        && !coded
        && let Some(length) = one_number(&length)
    {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if challenges {
        strip_challenges(headers);
    }
}

/// Removes our scheme's challenges and leaves others'. Clients look for it by patterns, wherever it
/// stands: so a line that still names it goes whole.
fn strip_challenges(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(WWW_AUTHENTICATE).iter();
    if lines.any(|line| names_l402(line.as_bytes())) {
        request::strip_l402(headers, WWW_AUTHENTICATE, |line| !names_l402(line));
    }
}

fn names_l402(value: &[u8]) -> bool {
    value
        .windows(4)
        .any(|word| word.eq_ignore_ascii_case(b"L402") || word.eq_ignore_ascii_case(b"LSAT"))
}

/// A length that may be written several times over, as in `5, 5`.
fn one_number(length: &HeaderValue) -> Option<u64> {
    let mut numbers =
        length.to_str().ok()?.split(',').map(|number| number.trim().parse::<u64>().ok());
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}
