//! What the SQL of all ledgers has in common: the numbers that stand for states, outcomes and
//! times, and how our numbers become SQL's.

use std::time::Duration;

use super::accounts::{ChallengeState, DAY_S};
use super::limits::{CLOSED_FOR, PRUNE_STEP};
use super::state::{Asked, RETRY_DELAY_FIRST, RETRY_DELAY_MAX, State};
use crate::outcome::Outcome;

/// Fills the names in a statement with their numbers, so that each stands in Rust only:
/// `{claimed}`, `{free}`, .. for the states of tickets, `{open}`, `{paid}`, `{closed}` for those of
/// challenges, `{was_delivered}`, `{was_not_sent}`, `{is_unknown}` for outcomes.
pub(super) fn fill(statement: &str) -> String {
    let states = State::ALL.map(|state| (state.word(), i64::from(state.number())));
    let challenges = [
        ("open", ChallengeState::Open),
        ("paid", ChallengeState::Paid),
        ("closed", ChallengeState::Closed),
    ]
    .map(|(word, state)| (word, i64::from(state.number())));
    let others = [
        ("was_delivered", i64::from(outcome_number(Outcome::Delivered))),
        ("was_refused", i64::from(outcome_number(Outcome::Refused))),
        ("was_not_sent", i64::from(outcome_number(Outcome::NotSent))),
        ("is_unknown", i64::from(outcome_number(Outcome::Unknown))),
        ("bought", i64::from(asked_number(Asked::Bought))),
        ("instead", i64::from(INSTEAD)),
        ("other", i64::from(asked_number(Asked::Other))),
        ("day_s", signed(DAY_S)),
        ("day_ms", signed(DAY_S * 1000)),
        ("closed_for_s", signed(CLOSED_FOR.as_secs())),
        ("prune_step", i64::from(PRUNE_STEP)),
        ("retry_delay_first_ms", millis(RETRY_DELAY_FIRST)),
        ("retry_delay_max_ms", millis(RETRY_DELAY_MAX)),
    ];
    let names = states.into_iter().chain(challenges).chain(others);
    names.fold(statement.to_owned(), |filled, (name, number)| {
        filled.replace(&format!("{{{name}}}"), &number.to_string())
    })
}

/// The number by which a statement is told how a try ended. It is stored nowhere.
pub(super) const fn outcome_number(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Delivered => 1,
        Outcome::NotSent => 2,
        Outcome::Unknown => 3,
        Outcome::Refused => 4,
    }
}

/// The number by which a statement is told what a request is to its ticket.
pub(super) const fn asked_number(asked: Asked) -> i32 {
    match asked {
        Asked::Other => 0,
        Asked::Bought => 1,
        Asked::Rebound => 2,
        Asked::Instead { .. } => INSTEAD,
    }
}

const INSTEAD: i32 = 3;

/// The price of a request that is to take another's place, and what is kept of it.
pub(super) fn instead(asked: Asked) -> (Option<i64>, Option<i64>) {
    match asked {
        Asked::Instead { price_msat, rebound } => {
            (Some(signed(price_msat)), Some(rebound.number()))
        }
        Asked::Bought | Asked::Rebound | Asked::Other => (None, None),
    }
}

/// The name under which the stream's position at a node is kept.
pub(super) fn settle_index_name(node: &str) -> String {
    format!("settle-index {node}")
}

/// SQL's integers are signed; a time or an amount that large is the end of time.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Back from SQL.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_numbers_and_no_name_is_left() {
        assert_eq!(fill("state = {claimed} OR state = {parked}"), "state = 1 OR state = 4");
        assert_eq!(fill("'{unknown}'"), "'{unknown}'");
    }
}
