//! How an invoice stands: by the ledger as far as that does, else by the node's own word.

use super::Gate;
use super::payments::{Payments, look_up, ran_out};
use crate::ledger::accounts::{Challenge, ChallengeState};
use crate::lightning::Standing;
use crate::payment_hash::{PaymentHash, Preimage};
use crate::time::UnixTime;

/// Why it can't be said whether something was paid.
pub(super) enum Unsure {
    Ledger,
    Node,
}

/// What was paid with a ticket's invoice, if it was: `None` means that it wasn't; with
/// `for_certain` by the node's own word, else as far as the stream tells, which may be a moment
/// behind. `expires` is what the ticket says of its invoice.
pub(super) async fn preimage(
    gate: &Gate,
    payments: &Payments,
    hash: PaymentHash,
    expires: UnixTime,
    for_certain: bool,
) -> Result<Option<Preimage>, Unsure> {
    if let Some(preimage) = payments.known(&hash) {
        return Ok(Some(preimage));
    }
    let row = gate.ledger.challenge(hash).await.map_err(|_| Unsure::Ledger)?;
    match row.map(|row| row.state) {
        Some(ChallengeState::Closed) if !for_certain => return Ok(None),
        Some(ChallengeState::Open) if !for_certain && payments.state().is_ok() => return Ok(None),
        Some(_) | None => {}
    }
    Ok(match asked(gate, payments, hash, row, expires).await? {
        Left::Paid(preimage) => Some(preimage),
        Left::Open { .. } | Left::Over => None,
    })
}

/// What certainly is with a challenge.
pub(super) enum Left {
    /// It can be paid.
    Open { bolt11: Box<str>, expires: UnixTime },
    /// It can't be paid any more, and wasn't.
    Over,
    /// It was paid.
    Paid(Preimage),
}

/// What is with a challenge of which nothing is remembered here: nobody is asked to pay another as
/// long as this one may have been, or may be.
pub(super) async fn left(
    gate: &Gate,
    payments: &Payments,
    hash: PaymentHash,
    expires: UnixTime,
) -> Result<Left, Unsure> {
    let row = gate.ledger.challenge(hash).await.map_err(|_| Unsure::Ledger)?;
    asked(gate, payments, hash, row, expires).await
}

/// The same by the node's own word, where the row is at hand. `expires` counts where there is none.
pub(super) async fn asked(
    gate: &Gate,
    payments: &Payments,
    hash: PaymentHash,
    row: Option<Challenge>,
    expires: UnixTime,
) -> Result<Left, Unsure> {
    let expires = row.map_or(expires, |row| row.expires);
    match look_up(gate, payments, hash).await.map_err(|_| Unsure::Node)? {
        Standing::Settled(payment) => Ok(Left::Paid(payment.preimage)),
        // Paid, and the node knows nothing of it: another node, or one restored.
        _ if row.is_some_and(|row| row.state == ChallengeState::Paid) => Err(Unsure::Node),
        Standing::Open { expires, .. } if ran_out(expires) => Ok(Left::Over),
        Standing::Open { bolt11, expires } => Ok(Left::Open { bolt11, expires }),
        Standing::Canceled => Ok(Left::Over),
        Standing::Unknown if ran_out(expires) => Ok(Left::Over),
        // Another node's; or money is on its way.
        Standing::Unknown | Standing::Accepted => Err(Unsure::Node),
    }
}
