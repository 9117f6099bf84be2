//! A cache that may be dropped at any time, bounded by what it holds.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;

/// A cache that forgets what it took in first once it is full.
pub struct FifoCache<K, V> {
    entries: DashMap<K, V>,
    order: Mutex<Queue<K>>,
    capacity: usize,
}

struct Queue<K> {
    queue: VecDeque<(K, usize)>,
    weight: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> FifoCache<K, V> {
    /// `capacity` in the unit of the weights given to `insert`.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: DashMap::new(),
            order: Mutex::new(Queue { queue: VecDeque::new(), weight: 0 }),
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
        self.entries.insert(key.clone(), value);
        order.queue.push_back((key, weight));
        order.weight += weight;
        while order.weight > self.capacity {
            let Some((oldest, weight)) = order.queue.pop_front() else { break };
            order.weight -= weight;
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_forgets_the_oldest_and_stays_bounded() {
        let cache = FifoCache::new(10);
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
}
