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
    /// Whether one payment buys more than one request.
    pub const fn is_pass(self) -> bool {
        matches!(self, Self::Pass { .. })
    }
}
