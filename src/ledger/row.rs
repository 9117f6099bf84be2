//! What a ledger knows of a ticket.

use super::clock::Moment;
use crate::keys::{Fingerprint, WhichRequest};
use crate::place::Place;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// Random name of one try to redeem. What settles must name the try, so that a late first one can't
/// touch the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ClaimId([u8; 16]);

impl ClaimId {
    /// From 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Where a ticket stands that was handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Somebody holds it and may be asking the upstream right now.
    Claimed,
    /// The last try certainly did nothing; it may be claimed again.
    Free,
    /// Its request was served.
    Delivered,
    /// It may have been served; the operator or a look-up has to say.
    Parked,
    /// Taken back by the operator.
    Revoked,
    /// The upstream certainly did nothing, and never will for its request: it may be handed in once
    /// more with another one.
    Refused,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Claimed, Self::Free, Self::Delivered, Self::Parked, Self::Revoked, Self::Refused];

    /// The number by which ledgers store it.
    pub const fn number(self) -> i16 {
        match self {
            Self::Claimed => 1,
            Self::Free => 2,
            Self::Delivered => 3,
            Self::Parked => 4,
            Self::Revoked => 5,
            Self::Refused => 6,
        }
    }

    /// The state of a number.
    pub fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The word that operators read and write.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Free => "free",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Revoked => "revoked",
            Self::Refused => "refused",
        }
    }
}

/// The request of a ticket was refused for good, and another one took its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rebound {
    /// How many segments of a text message were priced with it, if they were counted.
    pub segments: Option<u32>,
}

impl Rebound {
    /// The number by which ledgers store it.
    pub fn number(self) -> i64 {
        self.segments.map_or(0, i64::from)
    }

    /// Back from a ledger.
    pub fn of_number(number: i64) -> Self {
        Self { segments: u32::try_from(number).ok().filter(|count| *count > 0) }
    }
}

/// What the ledger knows of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name of the service that it was handed in to.
    pub service: String,
    /// Digest of the request that it was bought for, or of that which took its place.
    pub request: RequestDigest,
    /// Set once another request took the place of a refused one: it happens once.
    pub rebound: Option<Rebound>,
    /// The secret that signed it; `None` for one that was revoked before it was ever handed in.
    pub key: Option<Fingerprint>,
    /// When it was minted, by its own word.
    pub minted: UnixTime,
    /// `valid_until` as we minted it, in Unix seconds; not the narrower one of a holder.
    pub valid_until: u64,
    /// Its price as minted, in msat.
    pub price_msat: u64,
    /// Where it stands.
    pub state: State,
    /// The latest try.
    pub claim: ClaimId,
    /// Tries that certainly did nothing.
    pub attempts: u32,
    /// Whether some try may have been served: then none that comes after it can say that nothing
    /// happened.
    pub maybe_delivered: bool,
    /// Where its last try was sent to, if there was one.
    pub place: Option<Place>,
    /// When the first try was made that may have been served; by the wall clock, the earliest time
    /// that it showed at any such try.
    pub first_try: Moment,
    /// Whether it is parked since the ledger was put back from a copy: what became of it meanwhile,
    /// nobody knows.
    pub since_restore: bool,
    /// When the state was last changed.
    pub changed: Moment,
}

impl Row {
    /// Which request it has.
    pub fn which_request(&self) -> WhichRequest {
        if self.rebound.is_some() { WhichRequest::Rebound } else { WhichRequest::Bought }
    }

    /// Of a ticket that was revoked before it was ever handed in; it is remembered until
    /// `valid_until` (Unix seconds), and then as long as any.
    pub(super) fn never_handed_in(valid_until: u64, now: Moment) -> Self {
        Self {
            service: String::new(),
            request: RequestDigest::NONE,
            rebound: None,
            key: None,
            minted: UnixTime::from_millis(0),
            valid_until,
            price_msat: 0,
            state: State::Revoked,
            claim: ClaimId([0; 16]),
            attempts: 0,
            maybe_delivered: false,
            place: None,
            first_try: now,
            since_restore: false,
            changed: now,
        }
    }
}
