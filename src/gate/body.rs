//! Reads a paid service's request whole, within bounds, and refuses what could be read in two ways.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
};
use hyper::http::request::Parts;
use hyper::{Request, Version};
use tokio::time::timeout;

use super::reading::ReadingPlaces;
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::client::Client;
use crate::send_end::SendEnd;
use crate::service::{BODY_DEFAULT, RequestLimits};
use crate::ticket;
use crate::trace::{TRACEPARENT, TRACESTATE};

/// How much of a body that is refused is read all the same, so that a client that is still sending
/// sees the answer.
const DRAIN_MAX_BYTES: usize = 256 * 1024;

/// A request that was read to its end.
pub(super) struct Whole {
    /// Its head.
    pub(super) head: Parts,
    /// Its body.
    pub(super) body: Bytes,
}

/// Who asks, and what is needed of the head once the body is there.
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    /// Whether it sends more.
    pub(super) send_end: &'a SendEnd,
    pub(super) reading: &'a ReadingPlaces,
    /// The fields that go upstream.
    pub(super) forward_headers: &'a [HeaderName],
}

/// Reads within `limits`.
pub(super) async fn whole(
    request: Request<Incoming>,
    limits: &RequestLimits,
    asking: Asking<'_>,
) -> Result<Whole, Problem> {
    let (mut head, body) = request.into_parts();
    let longest = longest(&head, limits);
    if let Err(problem) = check_head(&head).and_then(|()| check_length(&body, longest)) {
        asking.send_end.let_go();
        drain(head, body, limits).await;
        return Err(problem);
    }
    let mut copying = pin!(copy(body, longest));
    // Nearly always it came with its head.
    let copied = match poll_fn(|cx| Poll::Ready(copying.as_mut().poll(cx))).await {
        Poll::Ready(copied) => Ok(copied),
        Poll::Pending => {
            // Strangers don't keep those who have paid from being read.
            let reading = match ticket::may_be_handed_in(&head.headers) {
                true => &asking.reading.of_holders,
                false => &asking.reading.of_strangers,
            };
            let place = reading.place(asking.client);
            let _place = place.ok_or_else(problems::too_many_bodies)?;
            keep_needed(&mut head, asking.forward_headers);
            let sent = async {
                tokio::select! {
                    biased;
                    copied = &mut copying => copied,
                    () = asking.send_end.ended() => Err(Fault::Broken),
                }
            };
            timeout(limits.body_time, sent).await
        }
    };
    match copied {
        Ok(Ok(body)) => Ok(Whole { head, body }),
        Ok(Err(Fault::TooLong)) => Err(problems::body_too_large(longest)),
        Ok(Err(Fault::Broken)) => Err(problems::body_broken()),
        Err(_) => Err(problems::body_too_slow(limits.body_time)),
    }
}

/// Drops what isn't needed any more while the body is waited for. Values are copied: those of one
/// head share a buffer.
fn keep_needed(head: &mut Parts, forward_headers: &[HeaderName]) {
    let is_needed = |name: &HeaderName| {
        name == HOST
            || name == CONTENT_TYPE
            || name == TRACEPARENT
            || name == TRACESTATE
            || ticket::is_credential(name)
            || forward_headers.contains(name)
    };
    let mut kept = HeaderMap::new();
    for (name, value) in head.headers.iter().filter(|(name, _)| is_needed(name)) {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            kept.append(name.clone(), copy);
        }
    }
    head.headers = kept;
    head.extensions.clear();
}

/// A limit that was lowered judges sales only: what comes with a ticket may be as long as the limit
/// is by default.
fn longest(head: &Parts, limits: &RequestLimits) -> usize {
    let brings_ticket = ticket::may_be_handed_in(&head.headers);
    if brings_ticket { limits.body.max(BODY_DEFAULT) } else { limits.body }
}

enum Fault {
    TooLong,
    Broken,
}

/// Copies: a frame kept as it came would keep the whole buffer alive that it was read into, however
/// small it is.
async fn copy(mut body: Incoming, limit: usize) -> Result<Bytes, Fault> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Fault::Broken)?.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(Fault::TooLong);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Reads what comes of a request that is refused, and throws it away.
pub(super) async fn discard(request: Request<Incoming>, limits: &RequestLimits) {
    let (head, body) = request.into_parts();
    drain(head, body, limits).await;
}

/// Reads on for a while. To read is to invite the body of a client that waits for that (RFC 9110
/// section 10.1.1), and it would send it for nothing; and over HTTP/2 a client sees the answer
/// while it is still sending.
async fn drain(head: Parts, body: Incoming, limits: &RequestLimits) {
    let waits = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let is_invited =
        head.version == Version::HTTP_11 && head.headers.get(EXPECT).is_some_and(waits);
    if is_invited || head.version == Version::HTTP_2 {
        return;
    }
    drop(head);
    let most = limits.body.max(DRAIN_MAX_BYTES);
    let _ = timeout(limits.body_time, read_on(body, most)).await;
}

/// Reads on until the end, or until more than `most` bytes were thrown away.
pub(crate) async fn read_on(mut body: Incoming, most: usize) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > most {
            return;
        }
    }
}

fn check_head(head: &Parts) -> Result<(), Problem> {
    let mut codings = head.headers.get_all(CONTENT_ENCODING).iter();
    let is_plain = codings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_plain { Ok(()) } else { Err(problems::compressed_body()) }
}

fn check_length(body: &Incoming, longest: usize) -> Result<(), Problem> {
    let is_too_long = body.size_hint().lower() > longest as u64;
    if is_too_long { Err(problems::body_too_large(longest)) } else { Ok(()) }
}
