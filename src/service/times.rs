//! How long tickets, their invoices and their answers live.

use std::time::Duration;

use super::ticket_kind::TicketKind;
use crate::time::UnixTime;

/// Times of tickets.
pub struct TicketTimes {
    /// How long an invoice can be paid.
    pub invoice_expiry: Duration,
    /// How long its ticket is worth something after that, if it is for a single use.
    pub lifetime: Duration,
    /// How long any ticket is.
    pub longest_life: Duration,
    /// How long a delivered answer is given back.
    pub replay: Duration,
    /// How long a second request waits for the first one's answer.
    pub wait: Duration,
}

impl TicketTimes {
    /// How long a ticket is worth something after its invoice could be paid.
    pub fn life(&self, kind: TicketKind) -> Duration {
        match kind {
            TicketKind::SingleUse => self.lifetime,
            TicketKind::Pass { time, .. } => time,
        }
    }

    /// Until when the invoice of a ticket can be paid at most, by when it was minted: where no row
    /// tells, or none yet.
    pub fn invoice_expires(&self, minted: UnixTime) -> UnixTime {
        minted.plus(self.invoice_expiry)
    }
}
