//! Challenges that are handed back unpaid: which of them can still be paid.

use std::time::Instant;

use super::Sale;
use super::unpaid_limit::OpenInvoice;
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::l402::verify::Kind;
use crate::ledger::state::Marks;
use crate::payment::check::{InvoiceCheck, Undetermined};
use crate::service::request::PaidRequest;
use crate::ticket::Pending;
use crate::time::UnixTime;

impl Sale {
    /// Whether it was sold in another life of the ledger: paid by now, it would be parked.
    pub(super) fn is_of_another_life(&self, pending: &Pending) -> bool {
        let ticket = &pending.ticket;
        let is_counted = !matches!(ticket.kind, Kind::Pass { uses: None });
        let is_another = |life: Marks| life.is_of_another_life(ticket.era, ticket.minted);
        is_counted && self.ledger.life().is_some_and(is_another)
    }

    /// The invoice that a pending challenge is paid by: as it is remembered here or, where it was
    /// sold before a restart or by another instance, as the node has it. `Err` where it was paid,
    /// or may have been.
    pub(super) async fn still_open(
        &self,
        request: &PaidRequest<'_>,
        pending: &Pending,
    ) -> Result<Option<OpenInvoice>, Problem> {
        let open = self.unpaid.pending(&pending.hash, Instant::now());
        let Some(payments) = &self.payments else { return Ok(open) };
        let is_paid = payments.is_known_paid(pending.hash).await;
        if let (false, Some(open)) = (is_paid.map_err(Undetermined::problem)?, open) {
            return Ok(Some(open));
        }
        let expires = pending.invoice_expires;
        match payments.check(pending.hash, expires).await {
            Ok(InvoiceCheck::Open { bolt11, expires }) => {
                let left = expires.since(UnixTime::now()).unwrap_or_default();
                let until = Instant::now() + left;
                Ok(Some(OpenInvoice { bolt11: bolt11.into(), expires, until }))
            }
            Ok(InvoiceCheck::Over) => Ok(None),
            // Paid since it was looked a moment ago.
            Ok(InvoiceCheck::Paid(_))
                if request.offer.without_preimage && !pending.is_shown_to_all =>
            {
                Err(Undetermined::Node.problem())
            }
            Ok(InvoiceCheck::Paid(_)) => Err(problems::preimage_missing()),
            Err(why) => Err(why.problem()),
        }
    }
}
