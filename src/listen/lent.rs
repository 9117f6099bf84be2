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
const MANY: usize = 512;

/// One answer.
pub(super) struct Lent {
    /// With whom to tell should it be taken back while it waits.
    body: Mutex<(Option<Body>, Option<Waker>)>,
    polls: AtomicU32,
    /// It was asked, and waits for its upstream.
    waits: AtomicBool,
}

impl Lent {
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
pub(super) struct Lending(Mutex<Vec<Loan>>);

struct Loan {
    lent: Weak<Lent>,
    /// How often it had been asked when it was looked at last, if it was, and how long before that
    /// it was asked for the last time.
    polls: Option<u32>,
    still: Duration,
}

impl Lending {
    pub(super) fn lend(&self, body: Body) -> Arc<Lent> {
        let lent = Arc::new(Lent {
            body: Mutex::new((Some(body), None)),
            polls: AtomicU32::new(0),
            waits: AtomicBool::new(false),
        });
        let mut loans = self.loans();
        if loans.len() >= MANY {
            loans.retain(|loan| loan.lent.strong_count() > 0);
        }
        loans.push(Loan { lent: Arc::downgrade(&lent), polls: None, still: Duration::ZERO });
        lent
    }

    /// To be called every `period`: takes back what the client left alone for `limit`, or for
    /// `pause` if its upstream was waited for.
    pub(super) fn take_back(&self, period: Duration, limit: Duration, pause: Duration) {
        self.loans().retain_mut(|loan| {
            let Some(lent) = loan.lent.upgrade() else { return false };
            let polls = Some(lent.polls.load(Ordering::Relaxed));
            loan.still = if polls == loan.polls { loan.still + period } else { Duration::ZERO };
            loan.polls = polls;
            let limit = if lent.waits.load(Ordering::Relaxed) { pause } else { limit };
            if loan.still < limit {
                return true;
            }
            // With it goes the connection to the upstream.
            let waker = {
                let mut body = lent.body();
                body.0 = None;
                body.1.take()
            };
            waker.iter().for_each(Waker::wake_by_ref);
            false
        });
    }

    fn loans(&self) -> MutexGuard<'_, Vec<Loan>> {
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

    fn asked(lent: &Lent) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        lent.poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_left_alone_is_taken_back_and_what_is_taken_is_not() {
        let lending = Lending::default();
        let (left, taken) = (
            lending.lend(Body::Whole(Full::from("a"))),
            lending.lend(Body::Whole(Full::from("b"))),
        );
        for _ in 0..3 {
            lending.take_back(PERIOD, LIMIT, PAUSE);
            let _ = asked(&taken);
        }
        assert!(matches!(asked(&left), Poll::Ready(Some(Err(_)))));
        assert!(taken.body().0.is_some() && lending.loans().len() == 1);
    }

    #[test]
    fn one_that_waits_for_its_upstream_is_given_its_time() {
        let lending = Lending::default();
        let (_sender, events) = tokio::sync::mpsc::channel(1);
        let waiting = lending.lend(Body::Events(events));
        assert!(asked(&waiting).is_pending());
        (0..=5).for_each(|_| lending.take_back(PERIOD, LIMIT, PAUSE));
        assert!(waiting.body().0.is_some());
        lending.take_back(PERIOD, LIMIT, PAUSE);
        assert!(waiting.body().0.is_none());
    }

    #[test]
    fn those_that_are_gone_are_cleared_out() {
        let lending = Lending::default();
        (0..10 * MANY).for_each(|_| drop(lending.lend(Body::Whole(Full::default()))));
        assert!(lending.loans().len() <= MANY);
    }
}
