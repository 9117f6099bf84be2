//! A stop of a service's sales: why, and when a few may try again.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::ClientKey;

/// How many challenges are handed out at a time while it isn't known whether the trouble is over:
/// most are never paid.
const TRIAL_CHALLENGES: usize = 3;

/// The same where buyers themselves may have brought the stop about, who could keep others out.
const TRIAL_CHALLENGES_OF_ORDERS: usize = 20;

/// How long one counts that isn't paid.
pub(super) const TRIAL_FOR: Duration = Duration::from_secs(60);

/// How long nothing is sold at first, and at most.
pub(super) const PAUSE_FIRST: Duration = Duration::from_secs(5);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The same where each try parks a ticket.
const PARKING_PAUSE_FIRST: Duration = Duration::from_secs(60);
const PARKING_PAUSE_MAX: Duration = Duration::from_secs(600);

pub(super) struct Stopped {
    pub(super) why: String,
    pub(super) by: StoppedBy,
    /// From here on a few challenges are handed out.
    pub(super) until: Instant,
    pub(super) pause: Duration,
    /// Since when the pause is that long.
    pub(super) paused: Instant,
    /// To whom, since then, and when.
    pub(super) trials: Vec<(ClientKey, Instant)>,
}

/// What stops sales.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StoppedBy {
    /// Nothing is sent, and tickets stay their payers'.
    Refusals,
    /// The same, by orders that are refused for good: buyers can bring that about.
    Orders,
    /// Each try parks a ticket.
    Parking,
}

impl StoppedBy {
    /// How long nothing is sold, at first and at most.
    pub(super) const fn pauses(self) -> (Duration, Duration) {
        match self {
            Self::Refusals | Self::Orders => (PAUSE_FIRST, PAUSE_MAX),
            Self::Parking => (PARKING_PAUSE_FIRST, PARKING_PAUSE_MAX),
        }
    }

    /// To how many clients a challenge is handed out at a time on trial.
    pub(super) const fn trials(self) -> usize {
        match self {
            Self::Refusals | Self::Parking => TRIAL_CHALLENGES,
            Self::Orders => TRIAL_CHALLENGES_OF_ORDERS,
        }
    }
}

impl Stopped {
    /// All trials are handed out.
    pub(super) fn handed_out(&mut self, now: Instant) {
        match self.by {
            StoppedBy::Refusals => self.wait_longer(now),
            // Each counts for its time, and keeps nobody out but the one that has it.
            StoppedBy::Orders => {}
            // Whoever takes them and doesn't pay keeps nobody out for longer.
            StoppedBy::Parking => {
                self.until = self.until.max(now + PARKING_PAUSE_FIRST);
                self.trials.clear();
            }
        }
    }

    /// One more ticket. Those that were sold before the stop may come all at once.
    pub(super) fn parked_again(&mut self, now: Instant) {
        if now.saturating_duration_since(self.paused) >= self.pause {
            self.wait_longer(now);
        }
        self.until = self.until.max(now + self.pause);
    }

    pub(super) fn wait_longer(&mut self, now: Instant) {
        let (_, longest) = self.by.pauses();
        self.pause = (self.pause * 2).min(longest);
        self.until = now + self.pause;
        self.paused = now;
        self.trials.clear();
    }
}
