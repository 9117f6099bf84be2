//! The life of a ticket once it is handed in, as a pure state machine. Every ledger decides by it.
//!
//! ```text
//! (no row) --> claimed --> delivered            revoked: from any state, for good
//!                 |  \---> parked --> delivered | free   (the operator, or a look-up)
//!                 \------> free --> claimed
//! ```

use std::time::Duration;

use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// Pause that is asked for after the first try that did nothing. It doubles with each further one.
pub const RETRY_DELAY_FIRST: Duration = Duration::from_secs(1);

/// Longest pause that is asked for, however often a ticket was tried.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

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
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Claimed, Self::Free, Self::Delivered, Self::Parked, Self::Revoked];

    /// The number by which ledgers store it.
    pub const fn number(self) -> i16 {
        match self {
            Self::Claimed => 1,
            Self::Free => 2,
            Self::Delivered => 3,
            Self::Parked => 4,
            Self::Revoked => 5,
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
        }
    }
}

/// What the ledger knows of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name of the service that it was handed in to.
    pub service: String,
    /// Digest of the request that it was bought for.
    pub request: RequestDigest,
    /// `valid_until` as we minted it, in Unix seconds; not the narrower one of a holder.
    pub valid_until: u64,
    /// Price of its request when it was first handed in, in msat.
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
    /// When the state was last changed.
    pub changed: UnixTime,
}

/// Somebody hands in a verified ticket.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The ticket.
    pub hash: PaymentHash,
    /// Name of the service.
    pub service: std::sync::Arc<str>,
    /// Digest of the request that the ticket was bought for.
    pub request: RequestDigest,
    /// Whether that is the request it was handed in with.
    pub own_request: bool,
    /// `valid_until` as we minted it, in Unix seconds.
    pub minted_valid_until: u64,
    /// The holder's narrowest `valid_until`, in Unix seconds.
    pub valid_until: u64,
    /// Price of the request, in msat.
    pub price_msat: u64,
    /// Whether the upstream itself throws repeats away, by a key that we give it: then a parked
    /// ticket may be tried again.
    pub repeatable: bool,
    /// How long this try may take at most; past that, where several instances share a ledger, its
    /// ticket is parked.
    pub lease: Duration,
    /// Name of this try.
    pub claim: ClaimId,
}

/// What the ledger is told about times.
#[derive(Clone, Copy, Debug)]
pub struct ReplayWindow {
    /// How long a delivered answer is given back.
    pub replay: Duration,
    /// Highest `valid_until` among pruned rows, in Unix seconds: at or below it, "no row" doesn't
    /// mean "never used".
    pub watermark: u64,
}

/// The answer to an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// The caller, and nobody else, may ask the upstream now.
    Granted,
    /// Delivered already; here is the answer.
    Replay,
    /// Somebody else holds it.
    Busy,
    /// Nobody knows whether it was delivered.
    Parked,
    /// The last try did nothing, but it was a moment ago.
    RetryLater {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Unused, but bought for another request.
    OtherRequest,
    /// It buys nothing any more, or not here.
    Rejected(RejectReason),
}

/// Why a ticket buys nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectReason {
    /// Past its `valid_until` and never handed in.
    Expired,
    /// Handed in before, for another request than this.
    UsedForAnother,
    /// Delivered, and the time for giving the answer back is over.
    Spent,
    /// Taken back by the operator.
    Revoked,
}

/// The row was changed by somebody else meanwhile; nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stale;

/// Decides an attempt. The second part is the row to write, and only `Granted` has one.
pub fn claim(
    row: Option<&Row>,
    attempt: &Attempt,
    now: UnixTime,
    horizon: ReplayWindow,
) -> (Claim, Option<Row>) {
    let Some(row) = row else { return first_claim(attempt, now, horizon) };
    let answer = match row.state {
        State::Revoked => Claim::Rejected(RejectReason::Revoked),
        _ if !attempt.own_request || row.request != attempt.request => {
            Claim::Rejected(RejectReason::UsedForAnother)
        }
        State::Claimed => Claim::Busy,
        State::Parked if attempt.repeatable => Claim::Granted,
        State::Parked => Claim::Parked,
        // A clock that was set back makes the answer younger, never too old.
        State::Delivered => match now.since(row.changed) {
            Some(age) if age > horizon.replay => Claim::Rejected(RejectReason::Spent),
            _ => Claim::Replay,
        },
        State::Free => match now.since(row.changed) {
            Some(age) if age < retry_delay(row.attempts) => {
                Claim::RetryLater { retry_after: retry_delay(row.attempts).saturating_sub(age) }
            }
            _ => Claim::Granted,
        },
    };
    // What comes after a try that nobody knows of can't say that nothing happened.
    let maybe_delivered = row.maybe_delivered || row.state == State::Parked;
    let next = (answer == Claim::Granted).then(|| Row {
        state: State::Claimed,
        claim: attempt.claim,
        maybe_delivered,
        changed: now,
        ..row.clone()
    });
    (answer, next)
}

fn first_claim(attempt: &Attempt, now: UnixTime, horizon: ReplayWindow) -> (Claim, Option<Row>) {
    if attempt.valid_until <= now.seconds() || attempt.minted_valid_until <= horizon.watermark {
        return (Claim::Rejected(RejectReason::Expired), None);
    }
    if !attempt.own_request {
        return (Claim::OtherRequest, None);
    }
    let row = Row {
        service: attempt.service.to_string(),
        request: attempt.request,
        valid_until: attempt.minted_valid_until,
        price_msat: attempt.price_msat,
        state: State::Claimed,
        claim: attempt.claim,
        attempts: 0,
        maybe_delivered: false,
        changed: now,
    };
    (Claim::Granted, Some(row))
}

/// Ends a try. Saying the same twice is fine: the first time may have gone unconfirmed.
pub fn settle(row: &Row, claim: ClaimId, outcome: Outcome, now: UnixTime) -> Result<Row, Stale> {
    if row.claim != claim {
        return Err(Stale);
    }
    let state = match outcome {
        Outcome::Delivered => State::Delivered,
        Outcome::NotSent if !row.maybe_delivered => State::Free,
        Outcome::NotSent | Outcome::Unknown => State::Parked,
    };
    match row.state {
        // Whoever parked it knew less than who made this very try.
        State::Claimed | State::Parked if row.state == State::Claimed || state != State::Parked => {
            let attempts = row.attempts.saturating_add(u32::from(outcome == Outcome::NotSent));
            let maybe_delivered = match outcome {
                Outcome::Delivered => false,
                Outcome::NotSent => row.maybe_delivered,
                Outcome::Unknown => true,
            };
            Ok(Row { state, attempts, maybe_delivered, changed: now, ..row.clone() })
        }
        before if before == state => Ok(row.clone()),
        _ => Err(Stale),
    }
}

/// What the operator, or a look-up at the upstream, says of a parked ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// It was delivered.
    Delivered,
    /// It certainly was not: it may be handed in again.
    Release,
}

/// Ends a ticket's being parked. `claim` is the try that was judged: what is said of one says
/// nothing of a later one.
pub fn resolve(
    row: &Row,
    claim: ClaimId,
    resolution: Resolution,
    now: UnixTime,
) -> Result<Row, Stale> {
    if row.state != State::Parked || row.claim != claim {
        return Err(Stale);
    }
    let state = match resolution {
        Resolution::Delivered => State::Delivered,
        Resolution::Release => State::Free,
    };
    // Released, it needn't wait: the tries that count were before it was parked.
    Ok(Row { state, attempts: 0, maybe_delivered: false, changed: now, ..row.clone() })
}

/// Takes a ticket back for good, whatever its state.
pub fn revoke(row: &Row, now: UnixTime) -> Row {
    Row { state: State::Revoked, changed: now, ..row.clone() }
}

/// Takes back a claim whose commit was not confirmed: it sent nothing, so it doesn't count as a
/// try.
pub fn withdraw(row: &Row, claim: ClaimId) -> Result<Row, Stale> {
    let state = if row.maybe_delivered { State::Parked } else { State::Free };
    let holds = row.claim == claim && matches!(row.state, State::Claimed | State::Parked);
    if holds { Ok(Row { state, ..row.clone() }) } else { Err(Stale) }
}

/// Whoever held the claim is gone, and nobody knows how far it got.
pub fn orphaned(row: &Row, now: UnixTime) -> Result<Row, Stale> {
    if row.state == State::Claimed {
        Ok(Row { state: State::Parked, changed: now, ..row.clone() })
    } else {
        Err(Stale)
    }
}

/// Pause before a ticket is tried again after `attempts` tries that did nothing: 1 s, 2 s, 4 s ..
/// 60 s.
pub fn retry_delay(attempts: u32) -> Duration {
    match attempts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            RETRY_DELAY_FIRST.saturating_mul(1 << doublings.min(16)).min(RETRY_DELAY_MAX)
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
