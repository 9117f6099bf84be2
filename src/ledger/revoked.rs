//! The tickets that the operator took back: held in memory whole, and read again from the ledger
//! every second.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::store::LedgerStore;
use crate::payment_hash::PaymentHash;

/// How often the ledger is asked, and for how long its last word counts.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
const COUNTS_FOR: Duration = Duration::from_secs(5);

/// The set, and when it was read.
#[derive(Default)]
pub(super) struct Revoked {
    known: Mutex<(HashSet<PaymentHash>, Option<Instant>)>,
}

impl Revoked {
    /// Whether a ticket was taken back, as far as is known.
    pub(super) fn contains(&self, hash: &PaymentHash) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).0.contains(hash)
    }

    /// The same for tickets that nothing else is asked about; `None` if what is known is too old
    /// for them.
    pub(super) fn contains_for_certain(&self, hash: &PaymentHash) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = known.1.is_some_and(|read| read.elapsed() < COUNTS_FOR);
        is_fresh.then(|| known.0.contains(hash))
    }

    /// Reads it once.
    pub(super) async fn refresh(&self, store: &dyn LedgerStore) {
        let asked = Instant::now();
        if let Ok(Ok(revoked)) = timeout(COUNTS_FOR, store.revoked()).await {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            // A slow answer must not undo a newer one.
            if known.1.is_none_or(|newest| asked > newest) {
                *known = (revoked.into_iter().collect(), Some(asked));
            }
        }
    }

    /// Reads it for as long as it is polled.
    pub(super) async fn watch(&self, store: &dyn LedgerStore) {
        loop {
            self.refresh(store).await;
            tokio::time::sleep(REFRESH_INTERVAL).await;
        }
    }
}
