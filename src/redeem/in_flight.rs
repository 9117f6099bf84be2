//! The redemptions that are under way in this process: one for each ticket, however many ask for it
//! (single flight).

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as MapEntry;
use tokio::sync::watch;

use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;

/// The redemptions under way, by their tickets. Bounded.
pub(super) struct InFlight<T> {
    redemptions: DashMap<PaymentHash, UnderWay<T>>,
    capacity: AtomicUsize,
}

/// A redemption, and the request that it is of.
struct UnderWay<T> {
    request: RequestDigest,
    end: watch::Receiver<Option<T>>,
}

/// The part that a caller has in a ticket's redemption.
pub(super) enum Entry<T> {
    /// None was under way: the caller redeems, and publishes the end through the sender before it
    /// calls `leave`.
    Leader(watch::Sender<Option<T>>, watch::Receiver<Option<T>>),
    /// Somebody else's is under way, or has just ended.
    Follower(watch::Receiver<Option<T>>),
    /// The ticket is being redeemed with another request than the caller's: of a ticket that was
    /// shown to who asked for nothing, the first request decides.
    OfAnother,
    /// Too many at once.
    Full,
}

impl<T: Clone> InFlight<T> {
    /// At most `capacity` at once.
    pub(super) fn new(capacity: usize) -> Self {
        Self { redemptions: DashMap::new(), capacity: AtomicUsize::new(capacity) }
    }

    /// At most so many at once from here on; those that are under way go on.
    pub(super) fn limit(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    /// Starts or joins the redemption of a ticket. Exactly one caller becomes its leader.
    pub(super) fn enter(&self, hash: PaymentHash, request: RequestDigest) -> Entry<T> {
        // Read before the entry is locked: `len` visits every shard.
        let full = self.redemptions.len() >= self.capacity.load(Ordering::Relaxed);
        match self.redemptions.entry(hash) {
            MapEntry::Occupied(other) if other.get().request != request => Entry::OfAnother,
            MapEntry::Occupied(other) => Entry::Follower(other.get().end.clone()),
            MapEntry::Vacant(_) if full => Entry::Full,
            MapEntry::Vacant(place) => {
                let (sender, receiver) = watch::channel(None);
                place.insert(UnderWay { request, end: receiver.clone() });
                Entry::Leader(sender, receiver)
            }
        }
    }

    /// Whether one is under way.
    pub(super) fn is_under_way(&self, hash: &PaymentHash) -> bool {
        self.redemptions.contains_key(hash)
    }

    /// Ends a redemption: whoever asks from now on finds the ledger's word.
    pub(super) fn leave(&self, hash: &PaymentHash) {
        self.redemptions.remove(hash);
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.redemptions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leader_for_each_ticket_and_a_limit_in_all() {
        let in_flight: InFlight<u8> = InFlight::new(2);
        let enter = |n| in_flight.enter(PaymentHash::from_bytes([n; 32]), RequestDigest::NONE);
        let hash = |n| PaymentHash::from_bytes([n; 32]);
        let other = RequestDigest::from_bytes([1; 32]);
        assert!(matches!(enter(1), Entry::Leader(..)));
        assert!(matches!(enter(1), Entry::Follower(_)));
        assert!(matches!(in_flight.enter(hash(1), other), Entry::OfAnother));
        assert!(matches!(enter(2), Entry::Leader(..)));
        assert!(matches!(enter(3), Entry::Full));
        assert!(matches!(enter(2), Entry::Follower(_)));
        in_flight.leave(&hash(1));
        assert!(matches!(enter(3), Entry::Leader(..)));
    }
}
