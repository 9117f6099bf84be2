//! Keeps buyers from queueing at a node that is slow: a quick no for them, and room for the node to
//! get well.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lets calls through, or doesn't.
pub(super) struct Breaker {
    /// Most calls under way at once.
    most: usize,
    /// How long a call may take until no more are let through beside it.
    patience: Duration,
    state: Mutex<BreakerState>,
}

#[derive(Default)]
struct BreakerState {
    /// By number, and so by age.
    under_way: BTreeMap<u64, Instant>,
    next: u64,
    /// The last call that ended got no answer: one at a time may try until one does.
    tripped: bool,
}

/// Why a call isn't let through.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many are under way as may be.
    Busy,
    /// Those that are under way get no answers.
    Slow,
}

/// A call under way. Dropped without a word, it says nothing about the node.
pub(super) struct Call<'a> {
    breaker: &'a Breaker,
    number: u64,
}

impl Breaker {
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        Self { most, patience, state: Mutex::default() }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn admit(&self, now: Instant) -> Result<Call<'_>, Refused> {
        let mut state = self.state();
        if self.is_stuck(&state, now) {
            return Err(Refused::Slow);
        }
        if state.under_way.len() >= self.most {
            return Err(Refused::Busy);
        }
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number, now);
        Ok(Call { breaker: self, number })
    }

    /// Whether a call would be refused as `Slow`.
    pub(super) fn is_slow(&self, now: Instant) -> bool {
        self.is_stuck(&self.state(), now)
    }

    fn is_stuck(&self, state: &BreakerState, now: Instant) -> bool {
        let oldest = state.under_way.first_key_value();
        oldest.is_some_and(|(_, since)| {
            state.tripped || now.saturating_duration_since(*since) > self.patience
        })
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call<'_> {
    /// The node answered, whatever it said; or it didn't in time.
    pub(super) fn end(self, answered: bool) {
        self.breaker.state().tripped = !answered;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.breaker.state().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_join_a_queue_that_does_not_move() {
        let (breaker, now) = (Breaker::new(3, Duration::from_secs(1)), Instant::now());
        let first = breaker.admit(now).unwrap();
        let second = breaker.admit(now + Duration::from_millis(900)).unwrap();
        let later = now + Duration::from_millis(1001);
        assert_eq!(breaker.admit(later).err(), Some(Refused::Slow));
        first.end(true);
        let third = breaker.admit(later).unwrap();
        let fourth = breaker.admit(later).unwrap();
        assert_eq!(breaker.admit(later).err(), Some(Refused::Busy));
        drop((second, third, fourth));
        assert!(!breaker.is_slow(later));
    }

    #[test]
    fn after_a_silence_one_at_a_time_may_try() {
        let (breaker, now) = (Breaker::new(64, Duration::from_secs(1)), Instant::now());
        breaker.admit(now).unwrap().end(false);
        assert!(!breaker.is_slow(now), "somebody has to try");
        let trial = breaker.admit(now).unwrap();
        assert_eq!(breaker.admit(now).err(), Some(Refused::Slow));
        // A client that leaves says nothing.
        drop(trial);
        let trial = breaker.admit(now).unwrap();
        assert_eq!(breaker.admit(now).err(), Some(Refused::Slow));
        trial.end(true);
        let both = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
        drop(both);
    }
}
