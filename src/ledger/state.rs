//! The life of a ticket once it is handed in, as a pure state machine. Every ledger decides by it.
//!
//! ```text
//! (no row) --> claimed --> delivered            revoked: from any state, for good
//!                 |  \---> parked --> delivered | free   (the operator, a look-up, or the try
//!                 |           |                           itself, late)
//!                 |           \-----> claimed            (again, where the upstream knows our key)
//!                 |------> free --> claimed
//!                 \------> refused --> claimed           (once, with another request)
//!                             \-----> free              (the operator)
//! free, claimed, refused --> parked                     (a restore)
//! claimed --> free, parked                              (never confirmed, and taken back)
//! (no row, another era) --> parked
//! (no row) --> free                                     (no room for its message now)
//! ```

use std::time::Duration;

pub use super::attempt::{Asked, Attempt, ClaimRules, FIRST_CLAIM_GRACE, Marks, first_claim_until};
use super::clock::Moment;
use super::messages::NoRoom;
pub use super::row::{ClaimId, Rebound, Row, State};
use crate::outcome::Outcome;
use crate::time::UnixTime;

/// Pause that is asked for after the first try that did nothing. It doubles with each further one.
pub const RETRY_DELAY_FIRST: Duration = Duration::from_secs(1);

/// Longest pause that is asked for, however often a ticket was tried.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

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
    /// Its request will never be served, and nothing happened.
    Refused {
        /// Whether another request may take its place.
        may_change: bool,
    },
    /// It would be granted, but so many messages were sent.
    NoRoom(NoRoom),
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

/// Decides an attempt. The second part is the row to write, if there is one: `Granted` has one, and
/// a ticket of another era that is parked by this.
pub fn claim(
    row: Option<&Row>,
    attempt: &Attempt,
    now: Moment,
    rules: &ClaimRules,
) -> (Claim, Option<Row>) {
    let Some(row) = row else { return first_claim(attempt, now, &rules.marks) };
    let answer = match row.state {
        State::Revoked => Claim::Rejected(RejectReason::Revoked),
        _ if may_rebind(row, attempt) => Claim::Granted,
        _ if attempt.asked == Asked::Other || row.request != attempt.request => {
            Claim::Rejected(RejectReason::UsedForAnother)
        }
        State::Claimed => Claim::Busy,
        State::Parked if may_repeat(row, attempt, now) => Claim::Granted,
        State::Parked => Claim::Parked,
        // Nobody pays again for a jump of a clock.
        State::Delivered if now.at_least_since(&row.changed) > rules.replay => {
            Claim::Rejected(RejectReason::Spent)
        }
        State::Delivered => Claim::Replay,
        // By the wall clock alone: the ledger's stands still while that is behind.
        State::Free => match now.wall.since(row.changed.wall) {
            Some(age) if age < retry_delay(row.attempts) => {
                Claim::RetryLater { retry_after: retry_delay(row.attempts).saturating_sub(age) }
            }
            _ => Claim::Granted,
        },
        State::Refused => Claim::Refused { may_change: row.rebound.is_none() },
    };
    // What comes after a try that nobody knows of can't say that nothing happened.
    let maybe_delivered = row.maybe_delivered || row.state == State::Parked;
    // Of the tries before a free row, none was served.
    let first_try = if row.state == State::Parked { row.first_try.earlier(&now) } else { now };
    let next = (answer == Claim::Granted).then(|| Row {
        state: State::Claimed,
        request: attempt.request,
        rebound: match attempt.asked {
            Asked::Instead { rebound, .. } if row.state == State::Refused => Some(rebound),
            _ => row.rebound,
        },
        claim: attempt.claim,
        maybe_delivered,
        place: attempt.place,
        first_try,
        since_restore: false,
        changed: now,
        ..row.clone()
    });
    (answer, next)
}

/// Whether another request takes the place of a refused one.
fn may_rebind(row: &Row, attempt: &Attempt) -> bool {
    let Asked::Instead { price_msat, .. } = attempt.asked else { return false };
    row.state == State::Refused
        && row.rebound.is_none()
        && row.request != attempt.request
        && price_msat <= row.price_msat
}

/// Whether the upstream throws this try away should it know an earlier one: it is the very place
/// that knows it, and it still does.
fn may_repeat(row: &Row, attempt: &Attempt, now: Moment) -> bool {
    let age = now.at_most_since(&row.first_try);
    row.place.is_some()
        && row.place == attempt.place
        && attempt.remembered.is_some_and(|known| age <= known)
}

fn first_claim(attempt: &Attempt, now: Moment, marks: &Marks) -> (Claim, Option<Row>) {
    let is_over = attempt.first_claim_until() <= now.ledger.seconds();
    if is_over || attempt.minted_valid_until <= marks.watermark {
        return (Claim::Rejected(RejectReason::Expired), None);
    }
    if attempt.asked != Asked::Bought {
        return (Claim::OtherRequest, None);
    }
    let is_unknown = marks.is_of_another_life(attempt.era, attempt.minted);
    let row = Row {
        service: attempt.service.to_string(),
        request: attempt.request,
        rebound: None,
        key: Some(attempt.key),
        minted: attempt.minted,
        valid_until: attempt.minted_valid_until,
        price_msat: attempt.price_msat,
        state: if is_unknown { State::Parked } else { State::Claimed },
        claim: attempt.claim,
        attempts: 0,
        maybe_delivered: is_unknown,
        place: attempt.place.filter(|_| !is_unknown),
        first_try: now,
        since_restore: is_unknown,
        changed: now,
    };
    (if is_unknown { Claim::Parked } else { Claim::Granted }, Some(row))
}

/// A first claim for which there is no room, such as of one more message to a number: it certainly
/// did nothing, and its ticket, which was handed in, doesn't run out while it waits.
pub fn held_back(first: &Row) -> Row {
    Row { state: State::Free, place: None, ..first.clone() }
}

/// Ends a try. Saying the same twice is fine: the first time may have gone unconfirmed.
pub fn settle(row: &Row, claim: ClaimId, outcome: Outcome, now: Moment) -> Result<Row, Stale> {
    if row.claim != claim || row.since_restore {
        return Err(Stale);
    }
    let state = match outcome {
        Outcome::Delivered => State::Delivered,
        Outcome::NotSent if !row.maybe_delivered => State::Free,
        Outcome::Refused if !row.maybe_delivered => State::Refused,
        Outcome::NotSent | Outcome::Refused | Outcome::Unknown => State::Parked,
    };
    match row.state {
        // Whoever parked it knew less than who made this very try.
        State::Claimed | State::Parked if row.state == State::Claimed || state != State::Parked => {
            let did_nothing = matches!(outcome, Outcome::NotSent | Outcome::Refused);
            let attempts = row.attempts.saturating_add(u32::from(did_nothing));
            let maybe_delivered = match outcome {
                Outcome::Delivered => false,
                Outcome::NotSent | Outcome::Refused => row.maybe_delivered,
                Outcome::Unknown => true,
            };
            Ok(Row { state, attempts, maybe_delivered, changed: now, ..row.clone() })
        }
        before if before == state => Ok(row.clone()),
        _ => Err(Stale),
    }
}

/// What the operator, or a look-up at the upstream, says of a parked ticket; the operator may also
/// free a refused one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// It was delivered.
    Delivered,
    /// It certainly was not: it may be handed in again.
    Release,
}

/// Ends a ticket's being parked, or refused. `claim` is the try that was judged: what is said of
/// one says nothing of a later one.
pub fn resolve(
    row: &Row,
    claim: ClaimId,
    resolution: Resolution,
    now: Moment,
) -> Result<Row, Stale> {
    let state = match (row.state, resolution) {
        _ if row.claim != claim => return Err(Stale),
        (State::Parked, Resolution::Delivered) => State::Delivered,
        (State::Parked | State::Refused, Resolution::Release) => State::Free,
        _ => return Err(Stale),
    };
    // Released, it needn't wait: the tries that count were before it was parked.
    let (attempts, maybe_delivered, since_restore) = (0, false, false);
    Ok(Row { state, attempts, maybe_delivered, since_restore, changed: now, ..row.clone() })
}

/// Takes a ticket back for good, whatever its state.
pub fn revoke(row: &Row, now: Moment) -> Row {
    Row { state: State::Revoked, since_restore: false, changed: now, ..row.clone() }
}

/// After the ledger was put back from a copy: what was free then may have been served since.
pub fn restored(row: &Row, now: Moment) -> Result<Row, Stale> {
    match row.state {
        // Where it was sent to since, nobody knows either. One that was under way may have been
        // served before the copy: what is said of the time since says nothing of that. In place of
        // a refused request another one may have been served.
        State::Free | State::Claimed | State::Refused => Ok(Row {
            state: State::Parked,
            maybe_delivered: true,
            place: None,
            since_restore: row.state != State::Claimed,
            changed: now,
            ..row.clone()
        }),
        // It may have been freed since, and tried again at another place: neither its key nor what
        // is said of the try before the copy tells what became of it.
        State::Parked => Ok(Row { maybe_delivered: true, place: None, ..row.clone() }),
        State::Delivered | State::Revoked => Err(Stale),
    }
}

/// The operator knows by now what became of what a restore parked, of tickets that were minted
/// before a time: nothing.
pub fn release_restored(row: &Row, minted_before: UnixTime, now: Moment) -> Result<Row, Stale> {
    if row.state == State::Parked && row.since_restore && row.minted < minted_before {
        resolve(row, row.claim, Resolution::Release, now)
    } else {
        Err(Stale)
    }
}

/// Takes back a claim whose commit was not confirmed: it sent nothing, so it doesn't count as a
/// try.
pub fn withdraw(row: &Row, claim: ClaimId) -> Result<Row, Stale> {
    let state = if row.maybe_delivered { State::Parked } else { State::Free };
    let is_held = matches!(row.state, State::Claimed | State::Parked) && !row.since_restore;
    let holds = row.claim == claim && is_held;
    if holds { Ok(Row { state, ..row.clone() }) } else { Err(Stale) }
}

/// Whoever held the claim is gone, and nobody knows how far it got.
pub fn orphaned(row: &Row, now: Moment) -> Result<Row, Stale> {
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
