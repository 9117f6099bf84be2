//! What is counted and kept of text messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::tickets::{LIFETIME, attempt, settlement};
use super::{START, Subject, at, hash};
use crate::era::Era;
use crate::keys::Fingerprint;
use crate::ledger::clock::Moment;
use crate::ledger::messages::{
    Allowed, Delivery, DeliveryState, Limit, MessageClaim, NoRoom, PerDay, PerNumber, RefusedBy,
    RefusedNumber, Report, ReportName, Reported, RoomQuery, Standing,
};
use crate::ledger::postgres::conformance::PostgresSubject;
use crate::ledger::state::{
    Asked, Attempt, Claim, ClaimId, FIRST_CLAIM_GRACE, Rebound, RejectReason, Resolution, State,
};
use crate::ledger::store::Settlement;
use crate::number_hash::NumberHash;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// What keeps messages too.
pub(in crate::ledger) trait MessagesSubject: Subject {
    fn standing(&mut self, asked: &RoomQuery) -> Standing;
    fn report(&mut self, report: &Report) -> Option<Reported>;
    fn delivery(&mut self, ticket: PaymentHash) -> Option<Delivery>;
    fn refuse_number(&mut self, refused: RefusedNumber);
    fn allow_numbers(&mut self, numbers: &[NumberHash], allowed: Allowed) -> bool;
}

fn number(n: u8) -> NumberHash {
    NumberHash::from_bytes([n; 16])
}

fn name(n: u8) -> ReportName {
    ReportName::read(&hex::encode([n; 16])).unwrap()
}

/// To a number of which two messages go in an hour, and of a service of which three go in a day.
fn room(n: u8) -> RoomQuery {
    RoomQuery {
        numbers: vec![number(n), number(n + 100)],
        per_number: Some(PerNumber { max: 2, within: HOUR }),
        per_day: vec![
            PerDay { scope: "sms".into(), max: 4 },
            PerDay { scope: "sms +9".into(), max: 3 },
        ],
    }
}

fn to(subject: &mut impl Subject, ticket: u8, claim: u8, n: u8) -> Attempt {
    let message = MessageClaim {
        room: room(n),
        country: "+44".into(),
        name: Some(name(ticket)),
        kept_for: 7 * DAY,
    };
    let era = subject.marks().era;
    Attempt { era, message: Some(Arc::new(message)), ..attempt(ticket, claim) }
}

fn claim(subject: &mut impl Subject, ticket: u8, n: u8) -> Claim {
    let attempt = to(subject, ticket, 1, n);
    subject.claim(&attempt).claim
}

fn settle(subject: &mut impl Subject, ticket: u8, outcome: Outcome) {
    let claim = ClaimId::from_bytes([1; 16]);
    subject.settle(&settlement(ticket, claim, outcome));
}

/// Said by the backend of the service that has sold it, which had another name then.
fn report(
    subject: &mut impl MessagesSubject,
    ticket: u8,
    state: DeliveryState,
) -> Option<Reported> {
    let services = vec!["renamed".into(), "sms".into()];
    subject.report(&Report { name: name(ticket), state, services })
}

fn refused_for(n: u8, lasts: Duration, by: RefusedBy) -> RefusedNumber {
    RefusedNumber { number: number(n), lasts, by, key: Fingerprint::from_bytes([5; 16]) }
}

fn full(limit: Limit, retry_after: Duration) -> NoRoom {
    NoRoom { limit, retry_after }
}

fn later(by: Duration) -> Moment {
    at(START.plus(by))
}

/// What was claimed counts, whatever became of it; a ticket's own tries count once.
pub(super) fn so_many_to_a_number(subject: &mut impl MessagesSubject) {
    assert_eq!(subject.standing(&room(1)), Standing::default());
    assert_eq!(claim(subject, 1, 1), Claim::Granted);
    settle(subject, 1, Outcome::NotSent);
    subject.set_now(later(Duration::from_secs(600)));
    assert_eq!(claim(subject, 2, 1), Claim::Granted);
    // Its number is kept under the first hash, and is known by any.
    let no_room = full(Limit::Number, Duration::from_secs(3000));
    assert_eq!(subject.standing(&room(1)).no_room, Some(no_room));
    assert_eq!(claim(subject, 3, 1), Claim::NoRoom(no_room));
    let waits = subject.row(hash(3)).unwrap();
    assert_eq!((waits.state, waits.attempts, waits.place), (State::Free, 0, None), "it waits");
    assert_eq!(subject.sealed(hash(3)), None);
    let renewed = RoomQuery { numbers: vec![number(77), number(1)], ..room(1) };
    assert_eq!(subject.standing(&renewed).no_room, Some(no_room));
    assert_eq!(subject.standing(&room(2)), Standing::default(), "another number");
    // One's own earlier try doesn't stand in one's way, and is counted from now on.
    assert_eq!(claim(subject, 1, 1), Claim::Granted);
    subject.set_now(later(HOUR));
    assert_eq!(
        claim(subject, 3, 1),
        Claim::NoRoom(full(Limit::Number, Duration::from_secs(600))),
        "from the later try on"
    );
    // What may have been sent is found out all the same.
    settle(subject, 1, Outcome::Unknown);
    let repeated = Attempt { remembered: Some(DAY), ..to(subject, 1, 2, 1) };
    assert_eq!(subject.claim(&repeated).claim, Claim::Granted);
    subject.set_now(later(2 * HOUR));
    assert_eq!(claim(subject, 3, 1), Claim::Granted);
}

/// Handed in, a ticket doesn't run out while it waits for its turn.
pub(super) fn a_ticket_that_waits_keeps_its_worth(subject: &mut impl MessagesSubject) {
    for ticket in [1, 2, 3] {
        claim(subject, ticket, 1);
    }
    subject.set_now(later(LIFETIME + FIRST_CLAIM_GRACE));
    assert_eq!(claim(subject, 3, 1), Claim::Granted);
    assert_eq!(claim(subject, 4, 1), Claim::Rejected(RejectReason::Expired));
    // What was sold in another life is parked, whether there is room or not.
    subject.set_now(at(START));
    let era = Era::from_number(77);
    let foreign = Attempt { era, ..to(subject, 5, 1, 1) };
    assert_eq!(subject.claim(&foreign).claim, Claim::Parked);
    assert_eq!(subject.row(hash(5)).unwrap().state, State::Parked);
}

/// What certainly never goes out takes nobody's place, and what was reported of it is nothing to
/// what takes its place.
pub(super) fn a_refused_message_is_not_counted(subject: &mut impl MessagesSubject) {
    let refuses = |subject: &mut _, ticket| {
        let first = to(subject, ticket, 1, 1);
        assert_eq!(Subject::claim(subject, &first).claim, Claim::Granted, "{ticket}");
        report(subject, ticket, DeliveryState::Failed);
        let settlement = settlement(ticket, first.claim, Outcome::Refused);
        Subject::settle(subject, &Settlement { uncounted: first.message, ..settlement });
    };
    for ticket in 1..=5 {
        refuses(subject, ticket);
    }
    assert_eq!(subject.standing(&room(1)), Standing::default());
    assert_eq!(subject.delivery(hash(1)), None);
    let instead = Asked::Instead { price_msat: 1, rebound: Rebound { segments: None } };
    let request = RequestDigest::from_bytes([6; 32]);
    for ticket in 1..=3 {
        let attempt = Attempt { asked: instead, request, ..to(subject, ticket, 2, ticket + 1) };
        assert_eq!(subject.claim(&attempt).claim, Claim::Granted, "{ticket}");
        assert_eq!(subject.delivery(hash(ticket)).unwrap().state, DeliveryState::Accepted);
    }
    assert_eq!(subject.standing(&room(9)).no_room.map(|full| full.limit), Some(Limit::Day));
}

/// What is said of a try counts for the next one only if that may repeat it.
pub(super) fn reports_of_an_earlier_try(subject: &mut impl MessagesSubject) {
    let repeats =
        |subject: &mut _, claim| Attempt { remembered: Some(DAY), ..to(subject, 1, claim, 1) };
    claim(subject, 1, 1);
    report(subject, 1, DeliveryState::Sent);
    settle(subject, 1, Outcome::Unknown);
    let again = repeats(subject, 2);
    assert_eq!(subject.claim(&again).claim, Claim::Granted);
    assert_eq!(subject.delivery(hash(1)).unwrap().state, DeliveryState::Sent);
    subject.settle(&settlement(1, again.claim, Outcome::Unknown));
    subject.resolve(hash(1), again.claim, Resolution::Release);
    let third = repeats(subject, 3);
    assert_eq!(subject.claim(&third).claim, Claim::Granted);
    assert_eq!(subject.delivery(hash(1)).unwrap().state, DeliveryState::Accepted);
}

/// A day's messages, which a ticket is one of, however often it is tried.
pub(super) fn so_many_in_a_day(subject: &mut impl MessagesSubject) {
    for ticket in 1..=3 {
        assert_eq!(claim(subject, ticket, ticket), Claim::Granted, "{ticket}");
        settle(subject, ticket, Outcome::NotSent);
    }
    // START is at 22:13:20.
    let left = Duration::from_secs(3600 + 2800);
    let no_room = full(Limit::Day, left);
    assert_eq!(claim(subject, 4, 4), Claim::NoRoom(no_room));
    assert_eq!(subject.standing(&room(5)).no_room, Some(no_room));
    let of_service = vec![PerDay { scope: "sms".into(), max: 4 }];
    let elsewhere = RoomQuery { per_day: of_service, ..room(6) };
    assert_eq!(subject.standing(&elsewhere), Standing::default(), "another prefix");
    subject.set_now(later(Duration::from_secs(5)));
    assert_eq!(claim(subject, 2, 2), Claim::Granted, "counted before");
    assert_eq!(claim(subject, 3, 3), Claim::Granted, "counted before");
    subject.set_now(later(left));
    assert_eq!(claim(subject, 4, 4), Claim::Granted);
}

/// While the ledger's clock is ahead it waits, and so does who is kept waiting.
pub(super) fn a_clock_that_is_ahead(subject: &mut impl MessagesSubject) {
    let ahead = Duration::from_secs(1200);
    subject.set_now(Moment { wall: START, ledger: START.plus(ahead) });
    for ticket in 1..=2 {
        assert_eq!(claim(subject, ticket, 1), Claim::Granted, "{ticket}");
    }
    let to_number = full(Limit::Number, ahead + HOUR);
    assert_eq!(claim(subject, 3, 1), Claim::NoRoom(to_number));
    assert_eq!(subject.standing(&room(1)).no_room, Some(to_number));
    assert_eq!(claim(subject, 4, 2), Claim::Granted);
    // START is at 22:13:20.
    let in_a_day = full(Limit::Day, Duration::from_secs(3600 + 2800));
    assert_eq!(claim(subject, 5, 3), Claim::NoRoom(in_a_day));
    assert_eq!(subject.standing(&room(4)).no_room, Some(in_a_day));
}

/// A number that can't be reached is remembered in the very step that says so, with an end.
pub(super) fn refused_numbers(subject: &mut impl MessagesSubject) {
    let first = to(subject, 1, 1, 1);
    assert_eq!(subject.claim(&first).claim, Claim::Granted);
    let refused = refused_for(1, DAY, RefusedBy::Others);
    let ended = Settlement {
        refused: Some(refused),
        ..settlement(1, ClaimId::from_bytes([9; 16]), Outcome::Refused)
    };
    subject.settle(&ended);
    assert_eq!(subject.standing(&room(1)).refused_until, None, "somebody else's word");
    subject.settle(&Settlement { claim: first.claim, ..ended });
    let until = Some(START.plus(DAY));
    assert_eq!(subject.standing(&room(1)).refused_until, until);
    // The payer's other number is counted in its place.
    let instead = Asked::Instead { price_msat: 1, rebound: Rebound { segments: None } };
    let request = RequestDigest::from_bytes([6; 32]);
    let instead = Attempt { asked: instead, request, ..to(subject, 1, 2, 2) };
    assert_eq!(subject.claim(&instead).claim, Claim::Granted);
    subject.refuse_number(refused_for(1, HOUR, RefusedBy::Others));
    assert_eq!(subject.standing(&room(1)).refused_until, until, "never shorter");
    assert!(subject.allow_numbers(&room(1).numbers, Allowed::ByPhone));
    assert!(!subject.allow_numbers(&room(1).numbers, Allowed::ByPhone), "there is none any more");
    subject.refuse_number(refused_for(1, HOUR, RefusedBy::Operator));
    assert!(!subject.allow_numbers(&room(1).numbers, Allowed::ByPhone), "the operator said so");
    assert!(subject.standing(&room(1)).refused_until.is_some());
    assert!(subject.allow_numbers(&room(1).numbers, Allowed::ByOperator));
    assert_eq!(subject.standing(&room(1)).refused_until, None);
    subject.refuse_number(refused_for(1, HOUR, RefusedBy::Others));
    subject.set_now(later(HOUR));
    assert_eq!(subject.standing(&room(1)).refused_until, None);
    subject.prune();
    subject.set_now(at(START));
    assert_eq!(subject.standing(&room(1)).refused_until, None, "forgotten");
}

/// Reports come in any order, twice, after the answer or before it, and for a time.
pub(super) fn reports(subject: &mut impl MessagesSubject) {
    use DeliveryState::{Accepted, Delivered, Failed, Sent};
    assert_eq!(report(subject, 1, Sent), None, "not known yet");
    claim(subject, 1, 1);
    let state = |subject: &mut _| MessagesSubject::delivery(subject, hash(1)).unwrap();
    assert_eq!(state(subject), Delivery { state: Accepted, at: START });
    let says = |subject: &mut _, state| {
        let reported = report(subject, 1, state).unwrap();
        assert_eq!(reported.country, "+44");
        assert_eq!(reported.ticket, hash(1));
        reported.is_news
    };
    let row = subject.row(hash(1));
    let services = vec!["other".into()];
    let of_another = Report { name: name(1), state: Delivered, services };
    assert_eq!(subject.report(&of_another), None, "another backend has no word in it");
    let minute = START.plus(Duration::from_secs(60));
    subject.set_now(at(minute));
    assert!(says(subject, Failed));
    assert_eq!(state(subject), Delivery { state: Failed, at: minute });
    subject.set_now(at(minute.plus(HOUR)));
    assert!(!says(subject, Failed) && !says(subject, Sent) && !says(subject, Accepted));
    assert_eq!(state(subject), Delivery { state: Failed, at: minute });
    assert!(says(subject, Delivered), "it came after all");
    assert!(!says(subject, Failed));
    assert_eq!(state(subject).state, Delivered);
    assert_eq!(subject.row(hash(1)), row, "a report never touches the money");
    assert_eq!((report(subject, 2, Sent), subject.delivery(hash(2))), (None, None));
    subject.set_now(later(7 * DAY));
    assert_eq!((report(subject, 1, Sent), subject.delivery(hash(1))), (None, None));
    subject.prune();
    subject.set_now(at(START));
    assert_eq!(subject.delivery(hash(1)), None, "forgotten");
}

/// Several connections claim at the same moment.
pub(super) fn many_at_once_to_one_number(subject: &mut PostgresSubject) {
    let attempts = (1..=12).map(|ticket| to(subject, ticket, 1, 1)).collect();
    let claims = subject.claim_at_once(attempts);
    let granted = claims.iter().filter(|claim| **claim == Claim::Granted).count();
    let kept_waiting = claims.iter().filter(|claim| matches!(claim, Claim::NoRoom(_))).count();
    assert_eq!((granted, kept_waiting), (2, 10), "{claims:?}");
}

/// Refused by a backend while somebody else refuses the same number.
pub(super) fn a_number_is_refused_by_two_at_once(subject: &mut PostgresSubject) {
    let first = to(subject, 1, 1, 1);
    assert_eq!(subject.claim(&first).claim, Claim::Granted);
    let refused = Some(refused_for(1, DAY, RefusedBy::Others));
    let ended = Settlement { refused, ..settlement(1, first.claim, Outcome::Refused) };
    subject.refuses_a_number_after_its_secret(ended);
}

/// Promise of `per_number`: in no time of that length more are granted, and none is kept waiting
/// for nothing.
pub(super) fn never_more_in_any_such_time<const CASES: u32>(subject: &mut impl MessagesSubject) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let events = prop::collection::vec((1..4_u8, 0..2000_u64), 1..25);
    let subject = std::cell::RefCell::new(subject);
    let checked = TestRunner::new(config).run(&events, |events| {
        let mut subject = subject.borrow_mut();
        subject.clear();
        let mut granted: HashMap<u8, Vec<UnixTime>> = HashMap::new();
        let mut now = START;
        for (ticket, (n, seconds)) in (1..).zip(events) {
            now = now.plus(Duration::from_secs(seconds));
            subject.set_now(at(now));
            let mut attempt = to(*subject, ticket, 1, n);
            let message = attempt.message.as_deref().unwrap().clone();
            let room = RoomQuery { per_day: Vec::new(), ..message.room };
            attempt.message = Some(Arc::new(MessageClaim { room, ..message }));
            let before = granted.entry(n).or_default();
            let young = before.iter().filter(|at| now.since(**at).unwrap() < HOUR).count();
            let said = subject.claim(&attempt).claim;
            match said {
                Claim::Granted => {
                    prop_assert!(young < 2, "one too many");
                    before.push(now);
                }
                Claim::NoRoom(NoRoom { retry_after, .. }) => {
                    prop_assert!(young == 2, "kept waiting for nothing");
                    let oldest = before[before.len() - 2];
                    prop_assert_eq!(now.plus(retry_after), oldest.plus(HOUR));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(LIFETIME > 25 * Duration::from_secs(2000));
}
