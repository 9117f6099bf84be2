//! How many connections to one upstream may be open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The connections that are open, and how many may be.
pub struct ConnectionLimit {
    open: AtomicUsize,
    open_max: AtomicUsize,
}

/// For one of them, until this goes. Smaller than a semaphore's permit: it is handed about with
/// each answer.
pub struct Permit(Arc<ConnectionLimit>);

impl ConnectionLimit {
    /// `open_max` at once.
    pub fn new(open_max: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), open_max: AtomicUsize::new(open_max) })
    }

    /// `open_max` at once from here on; more that are open stay open.
    pub fn resize(&self, open_max: usize) {
        self.open_max.store(open_max, Ordering::Relaxed);
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// `None` if none is left.
    pub fn take(self: &Arc<Self>) -> Option<Permit> {
        let open_max = self.open_max.load(Ordering::Relaxed);
        let one_more = |open: usize| (open < open_max).then_some(open + 1);
        self.open
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more)
            .ok()
            .map(|_| Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_each_comes_back() {
        let limit = ConnectionLimit::new(2);
        let (first, second) = (limit.take().unwrap(), limit.take().unwrap());
        assert!(limit.take().is_none());
        drop(first);
        let third = limit.take().unwrap();
        assert!(limit.take().is_none());
        drop((second, third));
        assert!(limit.take().is_some());
    }

    #[test]
    fn fewer_or_more_from_a_reload_on() {
        let limit = ConnectionLimit::new(2);
        let (first, second) = (limit.take().unwrap(), limit.take().unwrap());
        limit.resize(1);
        drop(first);
        assert!(limit.take().is_none(), "one is still open");
        limit.resize(2);
        assert!(limit.take().is_some());
        drop(second);
        assert_eq!(limit.open(), 0);
    }
}
