//! Has the accounts written beside the way of a request: what is said here waits for no disk.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use crate::cache::FifoCache;
use crate::ledger::accounts::Entry;
use crate::ledger::store::Ledger;
use crate::payment_hash::PaymentHash;

/// Most entries that wait for a ledger that is down; what comes on top is not accounted for.
const MOST: usize = 100_000;

/// Most entries that are written at once.
const AT_ONCE: usize = 1000;

/// Passes that are remembered as used; saying it again is no harm.
const PASSES: usize = 10_000;

/// How often counters are written where there is no row per challenge.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);

/// How soon a ledger that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be written.
pub struct Books {
    /// Whether each challenge has a row, by which its payment is recognised.
    challenges: bool,
    waiting: Mutex<Vec<Entry>>,
    /// One writes at a time, so that who waits for it knows that all is written that was said
    /// before.
    writing: tokio::sync::Mutex<()>,
    some: Notify,
    /// Passes of which it was said that they are used.
    passes: FifoCache<PaymentHash, ()>,
}

impl Books {
    /// With `challenges`, each challenge has a row.
    pub fn new(challenges: bool) -> Self {
        Self {
            challenges,
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            some: Notify::new(),
            passes: FifoCache::new(PASSES),
        }
    }

    /// Has an entry written soon.
    pub fn enter(&self, entry: Entry) {
        let is_first = {
            let mut waiting = self.waiting();
            if waiting.len() >= MOST || (!self.challenges && !matches!(entry, Entry::Minted(_))) {
                return;
            }
            waiting.push(entry);
            waiting.len() == 1
        };
        if is_first {
            self.some.notify_one();
        }
    }

    /// A pass is used, for the first time or again.
    pub fn pass_served(&self, hash: PaymentHash) {
        if self.challenges && self.passes.get(&hash).is_none() {
            self.passes.insert(hash, (), 1);
            self.enter(Entry::Served(hash));
        }
    }

    /// Writes all that was said before; `false` if it can't be written now.
    pub async fn write(&self, ledger: &dyn Ledger) -> bool {
        let _turn = self.writing.lock().await;
        loop {
            let now: Vec<Entry> = {
                let waiting = self.waiting();
                // They stay until they are written: who waits here may go away in the middle.
                waiting.iter().take(AT_ONCE).cloned().collect()
            };
            let some = now.len();
            if now.is_empty() {
                return true;
            }
            if let Err(error) = ledger.note(now, self.challenges).await {
                warn!(%error, "the accounts could not be written; they are tried again");
                return false;
            }
            self.waiting().drain(..some);
        }
    }

    /// Writes for as long as it is polled.
    pub async fn run(&self, ledger: &dyn Ledger) {
        loop {
            self.some.notified().await;
            if !self.challenges {
                tokio::time::sleep(COUNTERS_EVERY).await;
            }
            while !self.write(ledger).await {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
