//! What stands in front of the ledger: a cache that may be dropped at any time, and the redemptions
//! that are under way here. All of it is bounded.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::watch;

use crate::l402::PaymentHash;

/// A cache that forgets what it took in first once it is full.
pub struct Bounded<K, V> {
    entries: DashMap<K, V>,
    order: Mutex<Order<K>>,
    capacity: usize,
}

struct Order<K> {
    queue: VecDeque<(K, usize)>,
    weight: usize,
}

impl<K: Copy + Eq + Hash, V: Clone> Bounded<K, V> {
    /// `capacity` in the unit of the weights given to `insert`.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: DashMap::new(),
            order: Mutex::new(Order { queue: VecDeque::new(), weight: 0 }),
            capacity,
        }
    }

    /// A copy of the value.
    pub fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key).map(|entry| entry.value().clone())
    }

    /// Puts a value in, unless the key is there already, and drops the oldest ones over the
    /// capacity.
    pub fn insert(&self, key: K, value: V, weight: usize) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if weight > self.capacity || self.entries.contains_key(&key) {
            return;
        }
        self.entries.insert(key, value);
        order.queue.push_back((key, weight));
        order.weight += weight;
        while order.weight > self.capacity {
            let Some((oldest, weight)) = order.queue.pop_front() else { break };
            order.weight -= weight;
            self.entries.remove(&oldest);
        }
    }
}

/// The redemptions that are under way in this process: one for each ticket, however many ask for
/// it.
pub struct Flights<T> {
    flights: DashMap<PaymentHash, watch::Receiver<Option<T>>>,
    capacity: usize,
}

/// What came of asking for a ticket's flight.
pub enum Boarding<T> {
    /// Nobody flew: the caller does, and publishes the end through the sender before it calls
    /// `land`.
    Pilot(watch::Sender<Option<T>>, watch::Receiver<Option<T>>),
    /// Somebody else's is under way, or has just ended.
    Passenger(watch::Receiver<Option<T>>),
    /// Too many at once.
    Full,
}

impl<T: Clone> Flights<T> {
    /// At most `capacity` at once.
    pub fn new(capacity: usize) -> Self {
        Self { flights: DashMap::new(), capacity }
    }

    /// Starts or joins the flight of a ticket. Exactly one caller becomes its pilot.
    pub fn board(&self, hash: PaymentHash) -> Boarding<T> {
        // Read before the entry is locked: `len` visits every shard.
        let full = self.flights.len() >= self.capacity;
        match self.flights.entry(hash) {
            Entry::Occupied(flight) => Boarding::Passenger(flight.get().clone()),
            Entry::Vacant(_) if full => Boarding::Full,
            Entry::Vacant(place) => {
                let (sender, receiver) = watch::channel(None);
                place.insert(receiver.clone());
                Boarding::Pilot(sender, receiver)
            }
        }
    }

    /// Whether one is under way.
    pub fn is_under_way(&self, hash: &PaymentHash) -> bool {
        self.flights.contains_key(hash)
    }

    /// Ends a flight: who asks from now on finds the ledger's word.
    pub fn land(&self, hash: &PaymentHash) {
        self.flights.remove(hash);
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.flights.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_forgets_the_oldest_and_stays_bounded() {
        let cache = Bounded::new(10);
        for n in 0..1000_u32 {
            cache.insert(n, n, 2);
            cache.insert(n, n + 1, 2);
        }
        assert_eq!(cache.entries.len(), 5);
        assert_eq!(
            (cache.get(&994), cache.get(&995), cache.get(&999)),
            (None, Some(995), Some(999))
        );
        cache.insert(5000, 1, 11);
        assert_eq!(cache.get(&5000), None, "too large to keep");
        assert_eq!(cache.entries.len(), 5);
    }

    #[test]
    fn one_pilot_for_each_ticket_and_a_limit_on_flights() {
        let flights: Flights<u8> = Flights::new(2);
        let hash = |n| PaymentHash::from_bytes([n; 32]);
        assert!(matches!(flights.board(hash(1)), Boarding::Pilot(..)));
        assert!(matches!(flights.board(hash(1)), Boarding::Passenger(_)));
        assert!(matches!(flights.board(hash(2)), Boarding::Pilot(..)));
        assert!(matches!(flights.board(hash(3)), Boarding::Full));
        assert!(matches!(flights.board(hash(2)), Boarding::Passenger(_)));
        flights.land(&hash(1));
        assert!(matches!(flights.board(hash(3)), Boarding::Pilot(..)));
    }
}
