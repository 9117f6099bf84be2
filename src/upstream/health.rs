//! Whether an upstream is known to be down. What can't be delivered isn't sold, and sales open
//! again by themselves.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{CONNECT_LIMIT, Upstream};

/// How often an upstream is looked at while it is up, and while it isn't.
const LOOK_UP: Duration = Duration::from_secs(30);
const LOOK_DOWN: Duration = Duration::from_secs(2);

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

    /// What is wrong, for the operator.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it is known to be down.
    pub fn is_down(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// There was no connection to be had.
    pub fn failed(&self, why: &str) {
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
}

/// Looks at the upstream by connecting to it, for as long as it is polled.
pub async fn watch(upstream: &Upstream) {
    loop {
        match upstream.target.connect(CONNECT_LIMIT).await {
            Ok(_) => upstream.health.worked(),
            Err(error) => upstream.health.failed(&error.to_string()),
        }
        let pause = if upstream.health.is_down() { LOOK_DOWN } else { LOOK_UP };
        let _ = timeout(pause, upstream.health.changed.notified()).await;
    }
}
