//! How late a request may still be sent. Past that somebody else may hold its ticket.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment by a clock that goes on while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub struct SendDeadline {
    at: Duration,
}

impl SendDeadline {
    /// In `length` from now.
    pub fn after(length: Duration) -> Self {
        Self { at: now().saturating_add(length) }
    }

    /// Whether it is over: nothing is sent any more.
    pub fn is_over(&self) -> bool {
        now() >= self.at
    }
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_in_time() {
        assert!(!SendDeadline::after(Duration::from_secs(60)).is_over());
        assert!(SendDeadline::after(Duration::ZERO).is_over());
    }
}
