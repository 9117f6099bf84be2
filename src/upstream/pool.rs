//! Idle connections to one upstream, last in first out, so that under little load few stay open.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use super::body::RequestBody;

/// Most idle connections that are kept to one upstream.
const CAPACITY: usize = 128;

/// Longest that one is kept, whatever its user allows: below the idle limit of most servers.
const MAX_IDLE: Duration = Duration::from_secs(4);

/// The idle connections.
#[derive(Default)]
pub struct Pool {
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

impl Pool {
    /// The connection that was used last, if it was idle for less than `max_idle` and shows no end.
    pub fn take(&self, max_idle: Duration) -> Option<SendRequest<RequestBody>> {
        let max_idle = max_idle.min(MAX_IDLE);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let age = |one: &Idle| now.saturating_duration_since(one.since);
        // The oldest are in front. One that closed in the middle is met there in the end.
        while idle.front().is_some_and(|oldest| oldest.sender.is_closed() || age(oldest) >= MAX_IDLE) {
            idle.pop_front();
        }
        // One whose answer was read just now may still be finishing; it is left for the next.
        let at = idle.iter().rposition(|one| one.sender.is_ready() && age(one) < max_idle)?;
        idle.remove(at).map(|one| one.sender)
    }

    /// Keeps a connection whose answer was read to its end.
    pub fn put(&self, sender: SendRequest<RequestBody>) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= CAPACITY {
            idle.pop_front();
        }
        idle.push_back(Idle { sender, since: Instant::now() });
    }
}
