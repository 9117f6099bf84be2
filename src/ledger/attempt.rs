//! Somebody hands in a ticket, and what that is decided by beside its row.

use std::sync::Arc;
use std::time::Duration;

use super::messages::MessageClaim;
use super::row::{ClaimId, Rebound};
use crate::era::Era;
use crate::keys::{Fingerprint, WhichRequest};
use crate::payment_hash::PaymentHash;
use crate::place::Place;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// How long past its `valid_until` as minted a ticket is taken that was never handed in: whoever
/// met an outage of ours at the end of its time can still use it.
pub const FIRST_CLAIM_GRACE: Duration = Duration::from_secs(2 * 24 * 3600);

/// Somebody hands in a verified ticket.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The ticket.
    pub hash: PaymentHash,
    /// Name of the service.
    pub service: Arc<str>,
    /// Digest of the request that it was handed in with; of one that is nothing to the ticket, of
    /// the one that it was bought for.
    pub request: RequestDigest,
    /// What that is to the ticket.
    pub asked: Asked,
    /// The secret that signed it.
    pub key: Fingerprint,
    /// When it was minted, by its own word.
    pub minted: UnixTime,
    /// The ledger's life that it was minted in.
    pub era: Era,
    /// `valid_until` as we minted it, in Unix seconds.
    pub minted_valid_until: u64,
    /// The holder's narrowest `valid_until`, in Unix seconds.
    pub valid_until: u64,
    /// Its price as minted, in msat.
    pub price_msat: u64,
    /// Where this try is sent to; `None` if nobody there can know it by our name for it.
    pub place: Option<Place>,
    /// For how long the upstream itself throws repeats away, by a key that we give it, if it does:
    /// so long after the first try a parked ticket may be tried again at the same place.
    pub remembered: Option<Duration>,
    /// What is asked for, sealed, so that the operator can be shown what a parked ticket was for.
    pub sealed: Option<Vec<u8>>,
    /// The text message that it is for, where such are counted or followed.
    pub message: Option<Arc<MessageClaim>>,
    /// How long this try may take at most; past that, where several instances share a ledger, its
    /// ticket is parked.
    pub lease: Duration,
    /// Name of this try.
    pub claim: ClaimId,
}

/// What the request that a ticket is handed in with is to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// The one that it was bought for.
    Bought,
    /// The one that its row has in place of a refused one.
    Rebound,
    /// Another one, which is sold today, and may take the place of a refused one.
    Instead {
        /// What it costs today, in msat.
        price_msat: u64,
        /// What is kept of it.
        rebound: Rebound,
    },
    /// Another one.
    Other,
}

impl Asked {
    /// Which of its ticket's requests it is, should it be granted.
    pub fn which_request(self) -> WhichRequest {
        match self {
            Self::Bought | Self::Other => WhichRequest::Bought,
            Self::Rebound | Self::Instead { .. } => WhichRequest::Rebound,
        }
    }
}

/// The life of the tickets of tests.
#[cfg(test)]
pub(super) const TEST_ERA: Era = Era::from_number(1);

#[cfg(test)]
impl Attempt {
    /// At a ticket of a test, with its own request.
    pub(super) fn of_test(ticket: u8, claim: u8, valid_until: u64) -> Self {
        Self {
            hash: PaymentHash::from_bytes([ticket; 32]),
            service: "sms".into(),
            request: RequestDigest::from_bytes([7; 32]),
            asked: Asked::Bought,
            key: Fingerprint::from_bytes([9; 16]),
            minted: UnixTime::from_seconds(1),
            era: TEST_ERA,
            minted_valid_until: valid_until,
            valid_until,
            price_msat: 100_000,
            place: Some(Place::from_bytes([1; 16])),
            remembered: None,
            sealed: None,
            message: None,
            lease: Duration::from_secs(60),
            claim: ClaimId::from_bytes([claim; 16]),
        }
    }
}

impl Attempt {
    /// Until when, by the ledger's clock in Unix seconds, the ticket is taken if it was never
    /// handed in before.
    pub fn first_claim_until(&self) -> u64 {
        first_claim_until(self.minted_valid_until, self.valid_until)
    }
}

/// Until when, by the ledger's clock in Unix seconds, a ticket is taken that was never handed in. A
/// holder's narrower `valid_until` is exact.
pub fn first_claim_until(minted_valid_until: u64, valid_until: u64) -> u64 {
    if valid_until < minted_valid_until {
        valid_until
    } else {
        minted_valid_until.saturating_add(FIRST_CLAIM_GRACE.as_secs())
    }
}

/// What a ledger knows of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    /// Its life.
    pub era: Era,
    /// Tickets of earlier lives that were minted before this are taken as if they were of this one:
    /// the operator said so.
    pub released_before: UnixTime,
    /// Highest `valid_until` among pruned rows, in Unix seconds: at or below it, "no row" doesn't
    /// mean "never used".
    pub watermark: u64,
}

impl Marks {
    /// Whether nobody knows what became of a ticket without a row.
    pub fn is_of_another_life(&self, era: Era, minted: UnixTime) -> bool {
        era != self.era && minted >= self.released_before
    }
}

/// What an attempt is decided by, beside its row.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRules {
    /// How long a delivered answer is given back.
    pub replay: Duration,
    /// What the ledger knows of itself.
    pub marks: Marks,
}
