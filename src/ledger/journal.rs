//! Entries for the accounts, written beside the way of a request: what is appended here waits for
//! no disk.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use super::accounts::JournalEntry;
use super::store::LedgerStore;
use crate::cache::FifoCache;
use crate::payment_hash::PaymentHash;

/// Most entries that wait for a ledger that is down; what comes on top is not accounted for.
const WAITING_MAX: usize = 100_000;

/// Most entries that are written at once.
const BATCH_MAX: usize = 1000;

/// Passes that are remembered as used; saying it again is no harm.
const PASSES_MAX: usize = 10_000;

/// How often counters are written where there is no row per challenge.
const COUNTERS_INTERVAL: Duration = Duration::from_secs(1);

/// How soon a ledger that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What is to be written.
pub(super) struct Journal {
    /// Whether each challenge has a row, by which its payment is recognised.
    challenges: bool,
    waiting: Mutex<Vec<JournalEntry>>,
    /// One flush at a time: whoever waits for one knows that all earlier entries are written.
    writing: tokio::sync::Mutex<()>,
    some: Notify,
    /// Passes of which it was said that they are used.
    passes: FifoCache<PaymentHash, ()>,
}

impl Journal {
    /// With `challenges`, each challenge has a row.
    pub(super) fn new(challenges: bool) -> Self {
        Self {
            challenges,
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            some: Notify::new(),
            passes: FifoCache::new(PASSES_MAX),
        }
    }

    /// Has an entry written soon.
    pub(super) fn append(&self, entry: JournalEntry) {
        let is_first = {
            let mut waiting = self.waiting();
            if waiting.len() >= WAITING_MAX
                || (!self.challenges && !matches!(entry, JournalEntry::Minted(_)))
            {
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
    pub(super) fn pass_served(&self, hash: PaymentHash) {
        if self.challenges && self.passes.get(&hash).is_none() {
            self.passes.insert(hash, (), 1);
            self.append(JournalEntry::Served(hash));
        }
    }

    /// Writes all entries that were appended before; `false` if it can't be written now.
    pub(super) async fn flush(&self, store: &dyn LedgerStore) -> bool {
        let _turn = self.writing.lock().await;
        loop {
            let now: Vec<JournalEntry> = {
                let waiting = self.waiting();
                // They stay until they are written: whoever waits here may leave in the middle.
                waiting.iter().take(BATCH_MAX).cloned().collect()
            };
            let some = now.len();
            if now.is_empty() {
                return true;
            }
            if let Err(error) = store.note(now, self.challenges).await {
                warn!(%error, "the accounts could not be written; they are tried again");
                return false;
            }
            self.waiting().drain(..some);
        }
    }

    /// Writes for as long as it is polled.
    pub(super) async fn run(&self, store: &dyn LedgerStore) {
        loop {
            self.some.notified().await;
            if !self.challenges {
                tokio::time::sleep(COUNTERS_INTERVAL).await;
            }
            while !self.flush(store).await {
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<JournalEntry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
