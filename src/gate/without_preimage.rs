//! Where the service allows it, the node's word instead of the preimage of a client that hands in a
//! macaroon alone.

use std::time::Instant;

use super::Gate;
use crate::answer::problem::Problem;
use crate::payment::check as invoice_state;
use crate::payment::check::Undetermined;
use crate::service::request::PaidRequest;
use crate::ticket::{Pending, Presented, Rejected};

/// Turns a challenge that the node says is paid into the ticket that it is.
pub(crate) async fn accept(
    gate: &Gate,
    request: &PaidRequest<'_>,
    presented: Presented,
) -> Result<Presented, Problem> {
    let (pending, why, payments) = match (presented, &gate.payments) {
        (Presented::Nothing(Rejected { pending: Some(pending), why }), Some(payments))
            if request.offer.without_preimage =>
        {
            (pending, why, payments)
        }
        (presented, _) => return Ok(presented),
    };
    let Pending { hash, invoice_expires, .. } = pending;
    // Whoever would be given a new invoice has certainly not paid the old one.
    let for_certain = gate.unpaid.pending(&hash, Instant::now()).is_none();
    let paid = invoice_state::preimage(gate, payments, hash, invoice_expires, for_certain).await;
    Ok(match paid.map_err(Undetermined::problem)? {
        None => Presented::Nothing(Rejected { why, pending: Some(pending) }),
        Some(preimage) => gate.tickets.present_paid(request, pending, preimage),
    })
}
