//! An invoice as the play node keeps it.

use crate::payment_hash::Preimage;
use crate::time::UnixTime;

/// Where an invoice stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoredState {
    /// It can be paid.
    Open,
    /// The payer's money is locked in; only a hold invoice stays so.
    Accepted {
        /// What was paid, in msat.
        paid_msat: u64,
    },
    /// It was paid.
    Settled {
        /// When, in Unix seconds.
        at: u64,
        /// How many were paid before it, plus one.
        index: u64,
        /// What was paid, in msat.
        paid_msat: u64,
    },
    /// It ran out, or was cancelled.
    Canceled,
}

/// An invoice as the node keeps it.
#[derive(Clone)]
pub struct StoredInvoice {
    /// Its description.
    pub memo: String,
    /// What its payer gets; `None` while only the maker of a hold invoice knows it.
    pub preimage: Option<Preimage>,
    /// What its payer must name.
    pub payment_secret: [u8; 32],
    /// In msat; 0 leaves it to the payer.
    pub amount_msat: u64,
    /// Unix seconds.
    pub created: u64,
    /// Seconds that it can be paid.
    pub expiry: u64,
    /// How many were added before it, plus one.
    pub add_index: u64,
    /// BOLT 11 text.
    pub bolt11: String,
    /// Where it stands.
    pub state: StoredState,
}

impl StoredInvoice {
    /// Ends it, if its time is over.
    pub(super) fn expire(&mut self) {
        if self.state == StoredState::Open
            && UnixTime::now().seconds() >= self.created.saturating_add(self.expiry)
        {
            self.state = StoredState::Canceled;
        }
    }
}
