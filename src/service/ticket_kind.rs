//! What one payment buys.

use std::time::Duration;

/// What one payment buys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TicketKind {
    /// One request.
    SingleUse,
    /// Any requests, for a time.
    Pass {
        /// How long, from when its invoice could be paid the last.
        time: Duration,
        /// How many; `None` for as many as fit.
        uses: Option<u32>,
    },
}

impl TicketKind {
    /// How long a pass is worth something, from when its invoice could be paid the last.
    pub const fn pass_time(self) -> Option<Duration> {
        match self {
            Self::Pass { time, .. } => Some(time),
            Self::SingleUse => None,
        }
    }

    /// Whether one payment buys more than one request.
    pub const fn is_pass(self) -> bool {
        matches!(self, Self::Pass { .. })
    }
}
