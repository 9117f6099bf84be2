//! Idle connections to one upstream, last in first out, so that under little load few stay open.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connect::Connected;
use super::limit::Permit;
use super::request_body::RequestBody;

/// Most idle connections that are kept to one upstream.
const IDLE_MAX: usize = 512;

/// Longest that one is kept, whatever its user allows: below the idle limit of most servers.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);

/// A connection and the limit on its answers, which is set again for each: that costs less than a
/// timer for each.
pub struct PooledConnection {
    connected: Connected,
    patience: Pin<Box<Sleep>>,
    _permit: Permit,
}

/// An answer of which no more could be read than its status line.
pub struct StatusLine {
    /// What it says.
    pub status: StatusCode,
    /// Whether the rest didn't come, rather than being no HTTP.
    pub is_cut: bool,
    /// Why no more could be read.
    pub why: String,
}

/// What came of a request.
pub(super) enum Reaction {
    /// The head of an answer, and the connection that its body comes on.
    Answered(Response<Incoming>, PooledConnection),
    /// Not a byte was written.
    NotSent(Box<Request<RequestBody>>),
    /// It was sent and answered, but only the status line of its answer could be read.
    Unreadable(StatusLine),
    /// It may have been sent.
    Failed(String),
    /// No answer in time.
    TooSlow,
}

impl PooledConnection {
    /// Fresh.
    pub(super) fn new(connected: Connected, permit: Permit) -> Self {
        Self { connected, patience: Box::pin(sleep_until(Instant::now())), _permit: permit }
    }

    /// Sends a request and waits for the head of its answer until `deadline`.
    pub(super) async fn send(
        mut self,
        request: Box<Request<RequestBody>>,
        deadline: Instant,
    ) -> Reaction {
        self.patience.as_mut().reset(deadline);
        self.connected.exchange.begin(request.body().bytes_before_answer());
        let mut asking = pin!(self.connected.sender.try_send_request(*request));
        let patience = &mut self.patience;
        let asked = poll_fn(|cx| match asking.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => patience.as_mut().poll(cx).map(|()| None),
        });
        let asked = asked.await;
        let exchange = &self.connected.exchange;
        let (why, is_cut) = match asked {
            Some(Ok(response)) if exchange.is_answered() => {
                return Reaction::Answered(response, self);
            }
            Some(Ok(_)) => {
                let why = "an answer came before the request was sent: nobody knows whose it is";
                return Reaction::Failed(why.to_owned());
            }
            Some(Err(mut error)) => match error.take_message() {
                // hyper gives a request back only if it wrote nothing of it.
                Some(request) => return Reaction::NotSent(Box::new(request)),
                None => {
                    let error = error.into_error();
                    (Some(error.to_string()), !error.is_parse())
                }
            },
            None => (None, true),
        };
        match (why, exchange.status()) {
            (why, Some(status)) => {
                let why = why.unwrap_or_else(|| "its head didn't end in time".to_owned());
                Reaction::Unreadable(StatusLine { status, is_cut, why })
            }
            (Some(why), None) => Reaction::Failed(why),
            (None, None) => Reaction::TooSlow,
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
    /// The connection that was used last of those that were idle for less than `idle_max` and at
    /// least `idle_min`, show no end, and are silent: what came on one without being asked for
    /// would be taken for the next answer.
    pub fn take(&self, idle_min: Duration, idle_max: Duration) -> Option<PooledConnection> {
        let idle_max = idle_max.min(IDLE_TIME_MAX);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let age = |one: &Idle| now.saturating_duration_since(one.since);
        // The oldest are in front. One that closed in the middle is met there in the end.
        while idle.front().is_some_and(|oldest| {
            oldest.connection.connected.sender.is_closed() || age(oldest) >= IDLE_TIME_MAX
        }) {
            idle.pop_front();
        }
        loop {
            // The oldest are in front: these were idle for long enough.
            let old_enough = idle.partition_point(|one| age(one) >= idle_min);
            // One whose answer was read just now may still be finishing; it is left for the next.
            let at = idle.iter().take(old_enough).rposition(|one| {
                one.connection.connected.sender.is_ready() && age(one) < idle_max
            })?;
            let found = idle.remove(at)?.connection;
            if found.connected.socket.is_silent() {
                return Some(found);
            }
        }
    }

    /// Closes the connection that was idle for the longest time, if there is one.
    pub fn close_oldest(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    /// Keeps a connection whose answer was read to its end.
    pub fn put(&self, connection: PooledConnection) {
        if connection.connected.sender.is_closed() {
            return;
        }
        connection.connected.exchange.rest();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= IDLE_MAX {
            idle.pop_front();
        }
        idle.push_back(Idle { connection, since: Instant::now() });
    }
}
