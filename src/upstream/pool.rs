//! Idle connections to one upstream, last in first out, so that under little load few stay open.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limit::Permit;
use super::request_body::RequestBody;

/// Most idle connections that are kept to one upstream.
const IDLE_MAX: usize = 128;

/// Longest that one is kept, whatever its user allows: below the idle limit of most servers.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);

/// A connection and the limit on its answers, which is set again for each: that costs less than a
/// timer for each.
pub struct PooledConnection {
    sender: SendRequest<RequestBody>,
    patience: Pin<Box<Sleep>>,
    _permit: Permit,
}

/// What came of a request.
pub(super) enum Reaction {
    /// The head of an answer, and the connection that its body comes on.
    Answered(Response<Incoming>, PooledConnection),
    /// Not a byte was written.
    NotSent(Box<Request<RequestBody>>),
    /// It may have been sent.
    Failed(hyper::Error),
    /// No answer in time.
    TooSlow,
}

impl PooledConnection {
    /// Fresh.
    pub fn new(sender: SendRequest<RequestBody>, permit: Permit) -> Self {
        Self { sender, patience: Box::pin(sleep_until(Instant::now())), _permit: permit }
    }

    /// Sends a request and waits for the head of its answer until `deadline`.
    pub(super) async fn send(
        mut self,
        request: Box<Request<RequestBody>>,
        deadline: Instant,
    ) -> Reaction {
        self.patience.as_mut().reset(deadline);
        let mut asking = pin!(self.sender.try_send_request(*request));
        let patience = &mut self.patience;
        let asked = poll_fn(|cx| match asking.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => patience.as_mut().poll(cx).map(|()| None),
        });
        match asked.await {
            Some(Ok(response)) => Reaction::Answered(response, self),
            Some(Err(mut error)) => match error.take_message() {
                // hyper gives a request back only if it wrote nothing of it.
                Some(request) => Reaction::NotSent(Box::new(request)),
                None => Reaction::Failed(error.into_error()),
            },
            None => Reaction::TooSlow,
        }
    }
}

/// The idle connections.
#[derive(Default)]
pub struct Pool {
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    connection: PooledConnection,
    since: Instant,
}

impl Pool {
    /// The connection that was used last, if it was idle for less than `max_idle` and shows no end.
    pub fn take(&self, max_idle: Duration) -> Option<PooledConnection> {
        let max_idle = max_idle.min(IDLE_TIME_MAX);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let age = |one: &Idle| now.saturating_duration_since(one.since);
        // The oldest are in front. One that closed in the middle is met there in the end.
        while idle.front().is_some_and(|oldest| {
            oldest.connection.sender.is_closed() || age(oldest) >= IDLE_TIME_MAX
        }) {
            idle.pop_front();
        }
        // One whose answer was read just now may still be finishing; it is left for the next.
        let at =
            idle.iter().rposition(|one| one.connection.sender.is_ready() && age(one) < max_idle)?;
        idle.remove(at).map(|one| one.connection)
    }

    /// Closes the connection that was idle for the longest time, if there is one.
    pub fn close_oldest(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    /// Keeps a connection whose answer was read to its end.
    pub fn put(&self, connection: PooledConnection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= IDLE_MAX {
            idle.pop_front();
        }
        idle.push_back(Idle { connection, since: Instant::now() });
    }
}
