//! How an invoice stands: by the ledger as far as that does, else by the node's own word.

use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::gate::Gate;
use crate::ledger::accounts::{Challenge, ChallengeState};
use crate::lightning::Standing;
use crate::payment::stream::{Payments, look_up, ran_out};
use crate::payment_hash::{PaymentHash, Preimage};
use crate::time::UnixTime;

/// Why it can't be said whether something was paid.
pub(crate) enum Undetermined {
    Ledger,
    Node,
}

impl Undetermined {
    /// Perhaps it was paid: nobody is asked to pay again.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Ledger => problems::ledger_down(),
            Self::Node => problems::payment_undetermined(),
        }
    }
}

/// What was paid with a ticket's invoice, if it was: `None` means that it wasn't; with
/// `for_certain` by the node's own word, else as far as the stream tells, which may be a moment
/// behind. `expires` is what the ticket says of its invoice.
pub(crate) async fn preimage(
    gate: &Gate,
    payments: &Payments,
    hash: PaymentHash,
    expires: UnixTime,
    for_certain: bool,
) -> Result<Option<Preimage>, Undetermined> {
    if let Some(preimage) = payments.known(&hash) {
        return Ok(Some(preimage));
    }
    let row = gate.ledger.challenge(hash).await.map_err(|_| Undetermined::Ledger)?;
    match row.map(|row| row.state) {
        Some(ChallengeState::Closed) if !for_certain => return Ok(None),
        Some(ChallengeState::Open) if !for_certain && payments.state().is_ok() => return Ok(None),
        Some(_) | None => {}
    }
    Ok(match asked(gate, payments, hash, row, expires).await? {
        InvoiceCheck::Paid(preimage) => Some(preimage),
        InvoiceCheck::Open { .. } | InvoiceCheck::Over => None,
    })
}

/// Whether it was heard already that an invoice was paid; the node isn't asked.
pub(crate) async fn is_known_paid(
    gate: &Gate,
    payments: &Payments,
    hash: PaymentHash,
) -> Result<bool, Undetermined> {
    if payments.known(&hash).is_some() {
        return Ok(true);
    }
    let row = gate.ledger.challenge(hash).await.map_err(|_| Undetermined::Ledger)?;
    Ok(row.is_some_and(|row| row.state == ChallengeState::Paid))
}

/// How the invoice of a challenge certainly stands.
pub(crate) enum InvoiceCheck {
    /// It can be paid.
    Open { bolt11: Box<str>, expires: UnixTime },
    /// It can't be paid any more, and wasn't.
    Over,
    /// It was paid.
    Paid(Preimage),
}

/// How the invoice of a challenge stands of which nothing is remembered here: nobody is asked to
/// pay another as long as this one may have been paid, or may still be.
pub(crate) async fn check(
    gate: &Gate,
    payments: &Payments,
    hash: PaymentHash,
    expires: UnixTime,
) -> Result<InvoiceCheck, Undetermined> {
    let row = gate.ledger.challenge(hash).await.map_err(|_| Undetermined::Ledger)?;
    asked(gate, payments, hash, row, expires).await
}

/// How an invoice stands by the node's own word, where the row is at hand. `expires` counts where
/// there is none.
pub(crate) async fn asked(
    gate: &Gate,
    payments: &Payments,
    hash: PaymentHash,
    row: Option<Challenge>,
    expires: UnixTime,
) -> Result<InvoiceCheck, Undetermined> {
    let expires = row.map_or(expires, |row| row.expires);
    match look_up(gate, payments, hash).await.map_err(|_| Undetermined::Node)? {
        Standing::Settled(payment) => Ok(InvoiceCheck::Paid(payment.preimage)),
        // Paid, and the node knows nothing of it: another node, or one restored.
        _ if row.is_some_and(|row| row.state == ChallengeState::Paid) => Err(Undetermined::Node),
        Standing::Open { expires, .. } if ran_out(expires) => Ok(InvoiceCheck::Over),
        Standing::Open { bolt11, expires } => Ok(InvoiceCheck::Open { bolt11, expires }),
        Standing::Canceled => Ok(InvoiceCheck::Over),
        Standing::Unknown if ran_out(expires) => Ok(InvoiceCheck::Over),
        // Another node's; or money is on its way.
        Standing::Unknown | Standing::Accepted => Err(Undetermined::Node),
    }
}
