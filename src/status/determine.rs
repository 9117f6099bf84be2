//! How a ticket stands: by the ledger's rows, else by the node's word.

use std::sync::Arc;

use super::Status;
use super::state::{Standing, TicketStatus};
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::l402::verify::{Genuine, Kind};
use crate::ledger::accounts::{Challenge, ChallengeState, JournalEntry, Minted};
use crate::ledger::state::{State, first_claim_until};
use crate::payment::check::InvoiceCheck;
use crate::ticket::HeldTicket;
use crate::time::UnixTime;

impl Status {
    /// How a ticket stands now, and its message.
    pub(super) async fn standing(&self, held: &HeldTicket) -> Result<Standing, Problem> {
        let status = self.ticket_status(held).await?;
        let reports = held.service.mapping.as_ref().and_then(|mapping| mapping.reports.as_ref());
        let delivery = match reports {
            Some(_) => self.ledger.delivery(held.ticket.payment_hash).await,
            None => Ok(None),
        };
        let delivery = delivery.map_err(|_| problems::status_ledger_down())?;
        Ok(Standing::new(status, delivery))
    }

    async fn ticket_status(&self, held: &HeldTicket) -> Result<TicketStatus, Problem> {
        let (hash, now) = (held.ticket.payment_hash, self.ledger.now().ledger.seconds());
        if self.ledger.is_revoked(&hash) {
            return Ok(TicketStatus::Revoked);
        }
        let row = self.ledger.show(hash).await.map_err(|_| problems::status_ledger_down())?;
        let may_change = row.as_ref().is_some_and(|row| row.rebound.is_none());
        match row.map(|row| row.state) {
            Some(State::Claimed) => return Ok(TicketStatus::Sending),
            Some(State::Delivered) => return Ok(TicketStatus::Delivered),
            Some(State::Parked) => return Ok(TicketStatus::Parked),
            Some(State::Revoked) => return Ok(TicketStatus::Revoked),
            Some(State::Refused) => return Ok(TicketStatus::Refused { may_change }),
            // A ticket that was handed in doesn't expire.
            Some(State::Free) => return Ok(TicketStatus::Paid),
            None => {}
        }
        let challenge = self.ledger.challenge(hash).await;
        let challenge = challenge.map_err(|_| problems::status_ledger_down())?;
        let status = match challenge {
            Some(Challenge { state: ChallengeState::Paid, .. }) => TicketStatus::Paid,
            Some(Challenge { state: ChallengeState::Closed, .. }) => TicketStatus::Expired,
            Some(Challenge { state: ChallengeState::Open, .. })
                if self.payments.state().is_ok() =>
            {
                TicketStatus::Unpaid
            }
            Some(_) => self.ask_node(held, challenge).await?,
            // So old that it may have been forgotten: not to be accounted for once more.
            None if last_use(&held.ticket) <= now => TicketStatus::Expired,
            None => {
                self.note_down(held);
                self.ask_node(held, None).await?
            }
        };
        Ok(match status {
            TicketStatus::Paid if last_use(&held.ticket) <= now => TicketStatus::Expired,
            // Handed in, it is parked: what became of it in an earlier life of the ledger, nobody
            // knows.
            TicketStatus::Paid if self.is_held_back(&held.ticket)? => TicketStatus::Parked,
            status => status,
        })
    }

    /// Whether it would be parked by being handed in.
    fn is_held_back(&self, ticket: &Genuine) -> Result<bool, Problem> {
        let life = self.ledger.life().ok_or_else(problems::status_ledger_down)?;
        let is_counted = !matches!(ticket.kind, Kind::Pass { uses: None });
        Ok(is_counted && life.is_of_another_life(ticket.era, ticket.minted))
    }

    /// A challenge that no row tells of was handed out a moment before a crash. It gets one, so
    /// that its payment counts.
    fn note_down(&self, held: &HeldTicket) {
        self.ledger.append(JournalEntry::Found(Minted {
            hash: held.ticket.payment_hash,
            service: Arc::clone(&held.service.name),
            price_msat: held.ticket.price_msat,
            at: held.invoice_expires.minus(self.invoice_expiry).min(UnixTime::now()),
            expires: held.invoice_expires.seconds(),
            valid_until: held.ticket.minted_valid_until,
            is_pass: matches!(held.ticket.kind, Kind::Pass { .. }),
            address: Arc::clone(&held.service.address),
        }));
    }

    async fn ask_node(
        &self,
        held: &HeldTicket,
        row: Option<Challenge>,
    ) -> Result<TicketStatus, Problem> {
        let (hash, expires) = (held.ticket.payment_hash, held.invoice_expires);
        match self.payments.asked(hash, row, expires).await {
            Ok(InvoiceCheck::Paid(_)) => Ok(TicketStatus::Paid),
            Ok(InvoiceCheck::Open { .. }) => Ok(TicketStatus::Unpaid),
            Ok(InvoiceCheck::Over) => Ok(TicketStatus::Expired),
            Err(_) => Err(problems::status_node_down()),
        }
    }
}

/// Until when, by the ledger's clock in Unix seconds, a ticket is taken that was never handed in.
fn last_use(ticket: &Genuine) -> u64 {
    match ticket.kind {
        Kind::SingleUse { .. } => first_claim_until(ticket.minted_valid_until, ticket.valid_until),
        Kind::Pass { .. } => ticket.valid_until,
    }
}
