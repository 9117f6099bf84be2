//! How late a request may still be sent. Past that somebody else may hold its ticket.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A stretch of time by a clock that goes on while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub struct SendWindow {
    closes: Duration,
}

impl SendWindow {
    /// Open from now on for `length`.
    pub fn open_for(length: Duration) -> Self {
        Self { closes: now().saturating_add(length) }
    }

    /// Whether a request may still be sent.
    pub fn is_open(&self) -> bool {
        now() < self.closes
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
    fn it_closes() {
        assert!(SendWindow::open_for(Duration::from_secs(60)).is_open());
        assert!(!SendWindow::open_for(Duration::ZERO).is_open());
    }
}
