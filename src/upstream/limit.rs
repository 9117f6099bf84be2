//! How many connections to one upstream may be open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The connections that may still be opened.
pub struct ConnectionLimit(AtomicUsize);

/// For one of them, until this goes. Smaller than a semaphore's permit: it is handed about with
/// each answer.
pub struct Permit(Arc<ConnectionLimit>);

impl ConnectionLimit {
    /// `open_max` at once.
    pub fn new(open_max: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(open_max)))
    }

    /// `None` if none is left.
    pub fn take(self: &Arc<Self>) -> Option<Permit> {
        let one_less = |left: usize| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less)
            .ok()
            .map(|_| Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::AcqRel);
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
}
