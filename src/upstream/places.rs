//! How many connections to one upstream may be open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The places that are left.
pub struct Places(AtomicUsize);

/// One of them, until this goes. Smaller than a semaphore's permit: it is handed about with each
/// answer.
pub struct Place(Arc<Places>);

impl Places {
    /// So many.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(most)))
    }

    /// `None` if none is left.
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let one_less = |left: usize| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less)
            .ok()
            .map(|_| Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_each_comes_back() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        assert!(places.take().is_none());
        drop(first);
        let third = places.take().unwrap();
        assert!(places.take().is_none());
        drop((second, third));
        assert!(places.take().is_some());
    }
}
