//! Where the service allows it, the node's word instead of the preimage of a client that hands in a
//! macaroon alone.

use crate::answer::problem::Problem;
use crate::payment::Payments;
use crate::payment::check::Undetermined;
use crate::sale::Sale;
use crate::service::request::PaidRequest;
use crate::ticket::{Pending, Presented, Rejected, Tickets};

/// Turns a challenge that the node says is paid into the ticket that it is.
pub(super) async fn accept(
    tickets: &Tickets,
    sale: &Sale,
    payments: Option<&Payments>,
    request: &PaidRequest<'_>,
    presented: Presented,
) -> Result<Presented, Problem> {
    let (pending, why, payments) = match (presented, payments) {
        (Presented::Nothing(Rejected { pending: Some(pending), why }), Some(payments))
            if request.offer.without_preimage && !pending.is_shown_to_all =>
        {
            (pending, why, payments)
        }
        (presented, _) => return Ok(presented),
    };
    let Pending { hash, invoice_expires, .. } = pending;
    let paid = if sale.is_open_here(&hash) {
        payments.preimage(hash, invoice_expires).await
    } else {
        // Whoever would be given a new invoice has certainly not paid the old one.
        payments.preimage_for_certain(hash, invoice_expires).await
    };
    Ok(match paid.map_err(Undetermined::problem)? {
        None => Presented::Nothing(Rejected { why, pending: Some(pending) }),
        Some(preimage) => tickets.present_paid(request, pending, preimage),
    })
}
