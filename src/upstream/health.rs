//! Whether an upstream is known to be down. What can't be delivered isn't sold, and sales open
//! again by themselves.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{info, warn};

use super::connect::ConnectError;

/// How often an upstream is looked at while it is up, and while it isn't.
const PROBE_UP: Duration = Duration::from_secs(10);
const PROBE_DOWN: Duration = Duration::from_secs(2);

/// What is known.
pub struct Health {
    service: String,
    trouble: Mutex<Option<String>>,
    changed: Notify,
}

impl Health {
    /// Nothing is known to be wrong.
    pub fn new(service: &str) -> Self {
        Self { service: service.to_owned(), trouble: Mutex::new(None), changed: Notify::new() }
    }

    /// Whose upstream it is.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// What is wrong, for the operator.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it is known to be down.
    pub fn is_down(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// There was no connection to be had. Where this process can't open any, that says nothing of
    /// the upstream.
    pub(super) fn no_connection(&self, error: &ConnectError) {
        if error.is_upstreams() {
            self.failed(&error.to_string());
        }
    }

    fn failed(&self, why: &str) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            warn!(service = self.service, "upstream: {why}; sales stop until it answers");
            self.changed.notify_one();
        }
        *trouble = Some(why.to_owned());
    }

    /// There was one.
    pub fn worked(&self) {
        if self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!(service = self.service, "upstream: it answers again");
        }
    }

    /// How long until it is looked at again.
    pub(super) fn pause(&self) -> Duration {
        if self.is_down() { PROBE_DOWN } else { PROBE_UP }
    }

    /// Once there is a reason to look at it at once.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
