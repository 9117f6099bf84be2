//! How long tickets, their invoices and their answers live.

use std::time::Duration;

use super::ticket_kind::TicketKind;
use crate::time::UnixTime;

/// By how much a ticket may seem to be minted in the future: the clocks of instances differ.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

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

    /// Till when the invoice of a ticket can be paid, by the ticket's own `valid_until` as minted
    /// (Unix seconds): where no row tells, or none yet. `now` is what it would be minted by.
    pub fn invoice_expires(
        &self,
        kind: TicketKind,
        minted_valid_until: u64,
        now: UnixTime,
    ) -> UnixTime {
        let expires = UnixTime::from_seconds(minted_valid_until).minus(self.life(kind));
        // No invoice of today's can be paid so late: this one is of a time when tickets lived
        // longer.
        let latest = now.plus(self.invoice_expiry).plus(CLOCK_TOLERANCE);
        if expires > latest { UnixTime::from_seconds(0) } else { expires }
    }
}
