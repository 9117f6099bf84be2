//! Answers that hold a connection to an upstream while a client takes them: taken back from one
//! that takes nothing.
//!
//! Over HTTP/1.1 such a client shows in the socket. Over HTTP/2 it may open no window for this
//! answer and go on with others.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::answer::body::Body;
use crate::upstream::stall::BodyError;

/// More than can be there at once on one connection: then those that are gone are cleared out.
const WATCHED_MAX: usize = 512;

/// One answer.
pub(super) struct StalledStream {
    /// With whom to tell should it be taken back while it waits.
    body: Mutex<(Option<Body>, Option<Waker>)>,
    polls: AtomicU32,
    /// It was asked, and waits for its upstream.
    waits: AtomicBool,
}

impl StalledStream {
    pub(super) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (body, waker) = &mut *self.body();
        let frame = match body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(Some(Err("nothing of it was taken for too long".into()))),
        };
        if frame.is_pending() {
            *waker = Some(cx.waker().clone());
        }
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.waits.store(frame.is_pending(), Ordering::Relaxed);
        frame
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body().0.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body().0.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }

    fn body(&self) -> MutexGuard<'_, (Option<Body>, Option<Waker>)> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answers of one connection.
#[derive(Default)]
pub(super) struct StalledStreams(Mutex<Vec<Watch>>);

struct Watch {
    stream: Weak<StalledStream>,
    /// How often it had been asked when it was looked at last, if it was, and how long before that
    /// it was asked for the last time.
    polls: Option<u32>,
    still: Duration,
}

impl StalledStreams {
    pub(super) fn watch(&self, body: Body) -> Arc<StalledStream> {
        let stream = Arc::new(StalledStream {
            body: Mutex::new((Some(body), None)),
            polls: AtomicU32::new(0),
            waits: AtomicBool::new(false),
        });
        let mut watches = self.watches();
        if watches.len() >= WATCHED_MAX {
            watches.retain(|watch| watch.stream.strong_count() > 0);
        }
        watches.push(Watch { stream: Arc::downgrade(&stream), polls: None, still: Duration::ZERO });
        stream
    }

    /// To be called every `period`: takes back what the client left alone for `limit`, or for
    /// `pause` if its upstream was waited for.
    pub(super) fn take_back(&self, period: Duration, limit: Duration, pause: Duration) {
        self.watches().retain_mut(|watch| {
            let Some(stream) = watch.stream.upgrade() else { return false };
            let polls = Some(stream.polls.load(Ordering::Relaxed));
            watch.still = if polls == watch.polls { watch.still + period } else { Duration::ZERO };
            watch.polls = polls;
            let limit = if stream.waits.load(Ordering::Relaxed) { pause } else { limit };
            if watch.still < limit {
                return true;
            }
            // With it goes the connection to the upstream.
            let waker = {
                let mut body = stream.body();
                body.0 = None;
                body.1.take()
            };
            waker.iter().for_each(Waker::wake_by_ref);
            false
        });
    }

    fn watches(&self) -> MutexGuard<'_, Vec<Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(30);
    const LIMIT: Duration = Duration::from_secs(60);
    const PAUSE: Duration = Duration::from_secs(180);

    fn asked(stream: &StalledStream) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        stream.poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_left_alone_is_taken_back_and_what_is_taken_is_not() {
        let streams = StalledStreams::default();
        let (left, taken) = (
            streams.watch(Body::Whole(Full::from("a"))),
            streams.watch(Body::Whole(Full::from("b"))),
        );
        for _ in 0..3 {
            streams.take_back(PERIOD, LIMIT, PAUSE);
            let _ = asked(&taken);
        }
        assert!(matches!(asked(&left), Poll::Ready(Some(Err(_)))));
        assert!(taken.body().0.is_some() && streams.watches().len() == 1);
    }

    #[test]
    fn one_that_waits_for_its_upstream_is_given_its_time() {
        let streams = StalledStreams::default();
        let (_sender, events) = tokio::sync::mpsc::channel(1);
        let waiting = streams.watch(Body::Events(events));
        assert!(asked(&waiting).is_pending());
        (0..=5).for_each(|_| streams.take_back(PERIOD, LIMIT, PAUSE));
        assert!(waiting.body().0.is_some());
        streams.take_back(PERIOD, LIMIT, PAUSE);
        assert!(waiting.body().0.is_none());
    }

    #[test]
    fn those_that_are_gone_are_cleared_out() {
        let streams = StalledStreams::default();
        (0..10 * WATCHED_MAX).for_each(|_| drop(streams.watch(Body::Whole(Full::default()))));
        assert!(streams.watches().len() <= WATCHED_MAX);
    }
}
