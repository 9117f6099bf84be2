//! A free service: the request is passed on as it comes.

use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ALT_SVC, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use hyper::{Request, StatusCode, Version};
use tokio::time::Instant;
use tracing::debug;

use super::{Gate, Notes, read};
use crate::answer::{Answer, Body, Problem};
use crate::client::{Client, Peer};
use crate::code::Code;
use crate::l402::credential::is_l402;
use crate::service::Service;
use crate::upstream::body::BodyLimit;
use crate::upstream::forward::{Sent, forward};
use crate::upstream::request::{self, strip};

/// Passes a request on and its answer back.
pub async fn pass(
    gate: &Gate,
    service: &Service,
    peer: &Peer,
    client: &Client,
    request: Request<Incoming>,
    notes: &mut Notes<'_>,
) -> Answer {
    let upstream = &service.upstream;
    let proto = if peer.tls { "https" } else { "http" };
    let too_large = || {
        let detail = format!("The body is longer than {} bytes.", gate.site.limits.body);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, detail).into_answer()
    };
    if request.body().size_hint().lower() > gate.site.limits.body as u64 {
        read::drain(request.into_body(), &gate.site.limits).await;
        return too_large();
    }
    let limit = (!request.body().is_end_stream()).then(|| BodyLimit::new(gate.site.limits.body));
    let Some(request) = request::free(upstream, request, client.header(), proto, limit.as_ref())
    else {
        return Problem::new(StatusCode::BAD_REQUEST, Code::BadRequest, "The query is too long.")
            .into_answer();
    };
    let started = Instant::now();
    let sent = forward(upstream, request, service.reuse, started + upstream.timeout, None).await;
    notes.upstream = Some(started.elapsed());
    match sent {
        Sent::Yes(response) => {
            if has_other_coding(response.headers()) {
                return no_answer();
            }
            let mut response = response.map(|body| Body::Streamed(Box::new(body)));
            // Else a client of ours would be answered by the upstream's version, without a sign of
            // the end.
            *response.version_mut() = Version::HTTP_11;
            let is_whole = response.body().is_end_stream();
            strip_ours(response.headers_mut(), is_whole);
            Answer { response, code: Code::Passed }
        }
        Sent::No(why) => {
            debug!(service = %service.name, "not sent: {why}");
            let detail = "The service behind this gate does not answer. Nothing was sent.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::UpstreamUnreachable, detail)
                .into_answer()
        }
        Sent::Unknown(_) if limit.is_some_and(|limit| limit.was_passed()) => too_large(),
        Sent::Unknown(why) => {
            debug!(service = %service.name, "no answer: {why}");
            no_answer()
        }
    }
}

fn no_answer() -> Answer {
    let detail =
        "The service behind this gate took the request and gave no answer that can be read.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, Code::OutcomeUnknown, detail).into_answer()
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
    if challenges && headers.get_all(WWW_AUTHENTICATE).iter().any(|value| is_l402(value.as_bytes()))
    {
        headers.remove(WWW_AUTHENTICATE);
    }
}

/// A length that may be written several times over, as in `5, 5`.
fn one_number(length: &HeaderValue) -> Option<u64> {
    let mut numbers =
        length.to_str().ok()?.split(',').map(|number| number.trim().parse::<u64>().ok());
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}
