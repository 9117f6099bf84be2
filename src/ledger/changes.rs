//! Those that wait to hear of a ticket, and how many may.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::payment_hash::PaymentHash;

/// Most that may wait at once.
const WAITING_MAX: usize = 1000;

/// Most that may wait to hear of one ticket.
const WAITING_PER_TICKET_MAX: usize = 8;

/// The tickets that somebody waits for.
pub(super) struct Changes {
    by_ticket: DashMap<PaymentHash, watch::Sender<()>>,
    places: Arc<Semaphore>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { by_ticket: DashMap::new(), places: Arc::new(Semaphore::new(WAITING_MAX)) }
    }
}

impl Changes {
    /// Something happened to a ticket.
    pub(super) fn notify(&self, ticket: &PaymentHash) {
        if let Some(waiting) = self.by_ticket.get(ticket) {
            waiting.send_replace(());
        }
    }

    /// `None` if there is no place.
    pub(super) fn subscribe(self: &Arc<Self>, ticket: PaymentHash) -> Option<Subscription> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let receiver = {
            let waiting = self.by_ticket.entry(ticket).or_insert_with(|| watch::Sender::new(()));
            let has_place = waiting.receiver_count() < WAITING_PER_TICKET_MAX;
            has_place.then(|| waiting.subscribe())?
        };
        let changes = Arc::clone(self);
        Some(Subscription { changes, ticket, receiver: Some(receiver), _place: place })
    }
}

/// A place among those who wait for a ticket.
pub struct Subscription {
    changes: Arc<Changes>,
    ticket: PaymentHash,
    /// Taken out before the ticket is forgotten, so that this one isn't counted.
    receiver: Option<watch::Receiver<()>>,
    _place: OwnedSemaphorePermit,
}

impl Subscription {
    /// Ends with the next thing that happens to the ticket.
    pub async fn changed(&mut self) {
        let told = match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !told {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receiver = None;
        let is_alone = |_: &PaymentHash, waiting: &watch::Sender<()>| waiting.receiver_count() == 0;
        self.changes.by_ticket.remove_if(&self.ticket, is_alone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: PaymentHash = PaymentHash::from_bytes([1; 32]);

    #[tokio::test]
    async fn whoever_waits_hears_of_its_ticket_and_leaves_nothing() {
        let changes = Arc::new(Changes::default());
        let mut subscription = changes.subscribe(TICKET).unwrap();
        changes.notify(&PaymentHash::from_bytes([2; 32]));
        let other = tokio::time::timeout(std::time::Duration::ZERO, subscription.changed()).await;
        assert!(other.is_err(), "another ticket's");
        changes.notify(&TICKET);
        subscription.changed().await;
        drop(subscription);
        assert!(changes.by_ticket.is_empty());
    }

    #[test]
    fn places_are_bounded() {
        let changes = Arc::new(Changes::default());
        let subscribe = || changes.subscribe(TICKET);
        let of_one: Vec<_> = (0..WAITING_PER_TICKET_MAX).map(|_| subscribe().unwrap()).collect();
        assert!(subscribe().is_none(), "of one ticket");
        let free = u32::try_from(WAITING_MAX - WAITING_PER_TICKET_MAX).unwrap();
        let _rest = Arc::clone(&changes.places).try_acquire_many_owned(free).unwrap();
        assert!(changes.subscribe(PaymentHash::from_bytes([2; 32])).is_none(), "of all");
        drop(of_one);
        changes.notify(&TICKET);
        assert!(changes.by_ticket.is_empty(), "telling nobody leaves nothing");
    }
}
