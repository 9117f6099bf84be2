//! Who waits to hear of a ticket, and how many may.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Gate;
use crate::payment_hash::PaymentHash;

/// Most that may wait at once.
const MOST: usize = 1000;

/// Most that may wait to hear of one ticket.
const OF_ONE_TICKET: usize = 8;

/// Those who wait.
pub struct Watchers {
    by_ticket: DashMap<PaymentHash, watch::Sender<()>>,
    places: Arc<Semaphore>,
}

impl Default for Watchers {
    fn default() -> Self {
        Self { by_ticket: DashMap::new(), places: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Watchers {
    /// Something happened to a ticket.
    pub fn tell(&self, ticket: &PaymentHash) {
        if let Some(waiting) = self.by_ticket.get(ticket) {
            waiting.send_replace(());
        }
    }

    /// Something may have happened to any of them.
    pub fn tell_all(&self) {
        for waiting in &self.by_ticket {
            waiting.send_replace(());
        }
    }
}

/// A place among those who wait.
pub(super) struct Watcher {
    gate: Arc<Gate>,
    ticket: PaymentHash,
    changes: Option<watch::Receiver<()>>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// `None` if there is no place.
    pub(super) fn new(gate: &Arc<Gate>, ticket: PaymentHash) -> Option<Self> {
        let place = Arc::clone(&gate.watchers.places).try_acquire_owned().ok()?;
        let changes = {
            let waiting =
                gate.watchers.by_ticket.entry(ticket).or_insert_with(|| watch::Sender::new(()));
            (waiting.receiver_count() < OF_ONE_TICKET).then(|| waiting.subscribe())?
        };
        Some(Self { gate: Arc::clone(gate), ticket, changes: Some(changes), _place: place })
    }

    /// Ends with the next thing that happens to the ticket.
    pub(super) async fn changed(&mut self) {
        let told = match &mut self.changes {
            Some(changes) => changes.changed().await.is_ok(),
            None => false,
        };
        if !told {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.changes = None;
        self.gate
            .watchers
            .by_ticket
            .remove_if(&self.ticket, |_, waiting| waiting.receiver_count() == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded() {
        let watchers = Watchers::default();
        let taken: Vec<_> =
            (0..MOST).map(|_| Arc::clone(&watchers.places).try_acquire_owned().unwrap()).collect();
        assert!(Arc::clone(&watchers.places).try_acquire_owned().is_err());
        drop(taken);
        watchers.tell(&PaymentHash::from_bytes([1; 32]));
        assert!(watchers.by_ticket.is_empty(), "telling nobody leaves nothing");
    }
}
