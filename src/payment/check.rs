//! How an invoice stands: by the ledger as far as that does, else by the node's own word.

use super::{Payments, ran_out};
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::ledger::accounts::{Challenge, ChallengeState};
use crate::lightning::InvoiceState;
use crate::payment_hash::{PaymentHash, Preimage};
use crate::time::UnixTime;

/// Why it can't be said whether something was paid.
pub enum Undetermined {
    /// The ledger can't be read.
    Ledger,
    /// The node can't be asked, or says nothing that counts.
    Node,
}

impl Undetermined {
    /// Perhaps it was paid: nobody is asked to pay again.
    pub fn problem(self) -> Problem {
        match self {
            Self::Ledger => problems::ledger_down(),
            Self::Node => problems::payment_undetermined(),
        }
    }
}

/// How the invoice of a challenge certainly stands.
pub enum InvoiceCheck {
    /// It can be paid.
    Open {
        /// BOLT 11 text.
        bolt11: Box<str>,
        /// When it runs out.
        expires: UnixTime,
    },
    /// It can't be paid any more, and wasn't.
    Over,
    /// It was paid.
    Paid(Preimage),
}

impl InvoiceCheck {
    fn preimage(self) -> Option<Preimage> {
        match self {
            Self::Paid(preimage) => Some(preimage),
            Self::Open { .. } | Self::Over => None,
        }
    }
}

impl Payments {
    /// What was paid with a ticket's invoice, if it was, as far as the stream tells, which may be a
    /// moment behind; `None` means that it wasn't. `expires` is what the ticket says of its
    /// invoice.
    pub async fn preimage(
        &self,
        hash: PaymentHash,
        expires: UnixTime,
    ) -> Result<Option<Preimage>, Undetermined> {
        if let Some(preimage) = self.known.get(&hash) {
            return Ok(Some(preimage));
        }
        let row = self.row(hash).await?;
        match row.map(|row| row.state) {
            Some(ChallengeState::Closed) => return Ok(None),
            Some(ChallengeState::Open) if self.state().is_ok() => return Ok(None),
            Some(_) | None => {}
        }
        self.asked(hash, row, expires).await.map(InvoiceCheck::preimage)
    }

    /// The same for certain: by the node's own word where nothing was heard yet.
    pub async fn preimage_for_certain(
        &self,
        hash: PaymentHash,
        expires: UnixTime,
    ) -> Result<Option<Preimage>, Undetermined> {
        match self.known.get(&hash) {
            Some(preimage) => Ok(Some(preimage)),
            None => self.check(hash, expires).await.map(InvoiceCheck::preimage),
        }
    }

    /// Whether it was heard already that an invoice was paid; the node isn't asked.
    pub async fn is_known_paid(&self, hash: PaymentHash) -> Result<bool, Undetermined> {
        if self.known.get(&hash).is_some() {
            return Ok(true);
        }
        Ok(self.row(hash).await?.is_some_and(|row| row.state == ChallengeState::Paid))
    }

    /// How the invoice of a challenge stands of which nothing is remembered here: nobody is asked
    /// to pay another as long as this one may have been paid, or may still be.
    pub async fn check(
        &self,
        hash: PaymentHash,
        expires: UnixTime,
    ) -> Result<InvoiceCheck, Undetermined> {
        let row = self.row(hash).await?;
        self.asked(hash, row, expires).await
    }

    /// How an invoice stands by the node's own word, where the row is at hand. `expires` counts
    /// where there is none.
    pub async fn asked(
        &self,
        hash: PaymentHash,
        row: Option<Challenge>,
        expires: UnixTime,
    ) -> Result<InvoiceCheck, Undetermined> {
        let expires = row.map_or(expires, |row| row.expires);
        match self.look_up(hash).await.map_err(|_| Undetermined::Node)? {
            InvoiceState::Settled(payment) => Ok(InvoiceCheck::Paid(payment.preimage)),
            // Paid, and the node knows nothing of it: another node, or one restored.
            _ if row.is_some_and(|row| row.state == ChallengeState::Paid) => {
                Err(Undetermined::Node)
            }
            InvoiceState::Open { expires, .. } if ran_out(expires) => Ok(InvoiceCheck::Over),
            InvoiceState::Open { bolt11, expires } => Ok(InvoiceCheck::Open { bolt11, expires }),
            InvoiceState::Canceled => Ok(InvoiceCheck::Over),
            InvoiceState::Unknown if ran_out(expires) => Ok(InvoiceCheck::Over),
            // Another node's; or money is on its way.
            InvoiceState::Unknown | InvoiceState::Accepted => Err(Undetermined::Node),
        }
    }

    async fn row(&self, hash: PaymentHash) -> Result<Option<Challenge>, Undetermined> {
        self.ledger.challenge(hash).await.map_err(|_| Undetermined::Ledger)
    }
}
