//! What becomes of tickets.

use std::time::Duration;

use super::{REPLAY, START, Subject, hash};
use crate::ledger::limits::PRUNE_MARGIN;
use crate::ledger::state::{Attempt, Claim, ClaimId, RejectReason, State};
use crate::ledger::store::{Settled, Settlement};
use crate::ledger::stored_answer::StoredAnswer;
use crate::outcome::Outcome;
use crate::request_digest::RequestDigest;

/// How long the tickets of the suite are worth something.
pub(super) const LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// The ticket whose upstream throws repeats away by a key.
pub(super) const REPEATABLE: u8 = 2;

pub(super) fn attempt(ticket: u8, claim: u8) -> Attempt {
    let valid_until = START.plus(LIFETIME).seconds();
    Attempt {
        hash: hash(ticket),
        service: "sms".into(),
        request: RequestDigest::from_bytes([7; 32]),
        own_request: true,
        minted_valid_until: valid_until,
        valid_until,
        price_msat: 100_000,
        repeatable: ticket == REPEATABLE,
        // Longer than the test: leases run out when it says so.
        lease: Duration::from_secs(1_000_000_000),
        claim: ClaimId::from_bytes([claim; 16]),
    }
}

fn answer(ticket: u8) -> StoredAnswer {
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    StoredAnswer { status: 201, headers, body: Some(vec![ticket].into()) }
}

pub(super) fn settlement(ticket: u8, claim: ClaimId, outcome: Outcome) -> Settlement {
    let answer = (outcome == Outcome::Delivered).then(|| answer(ticket));
    Settlement { hash: hash(ticket), claim, outcome, answer }
}

/// The table of what is answered, as far as a ledger decides it.
pub(super) fn the_table(subject: &mut impl Subject) {
    let claim = |subject: &mut _, ticket, claim| Subject::claim(subject, &attempt(ticket, claim));
    for (ticket, outcome) in [(1, Outcome::Delivered), (3, Outcome::Unknown), (4, Outcome::NotSent)]
    {
        let first = claim(subject, ticket, 1);
        assert_eq!(
            (first.claim, first.answer, first.maybe_delivered),
            (Claim::Granted, None, false)
        );
        assert_eq!(claim(subject, ticket, 2).claim, Claim::Busy);
        let settled = subject.settle(&settlement(ticket, ClaimId::from_bytes([1; 16]), outcome));
        let attempts = u32::from(outcome == Outcome::NotSent);
        assert_eq!(settled, Settled::Done { attempts });
    }
    let replay = claim(subject, 1, 2);
    assert_eq!((replay.claim, replay.answer), (Claim::Replay, Some(answer(1))));
    assert_eq!(claim(subject, 3, 2).claim, Claim::Parked);
    let retry_after = Duration::from_secs(1);
    assert_eq!(claim(subject, 4, 2).claim, Claim::RetryLater { retry_after });
    let other = Attempt { own_request: false, ..attempt(1, 3) };
    let used = Claim::Rejected(RejectReason::UsedForAnother);
    assert_eq!(subject.claim(&other).claim, used);
    let unused = Attempt { own_request: false, ..attempt(5, 3) };
    assert_eq!(subject.claim(&unused).claim, Claim::OtherRequest);
    assert_eq!(subject.row(hash(5)), None, "it is not claimed by that");
    subject.revoke(hash(1), 0);
    assert_eq!(claim(subject, 1, 4).claim, Claim::Rejected(RejectReason::Revoked));
    subject.set_now(START.plus(retry_after));
    assert_eq!(claim(subject, 4, 2).claim, Claim::Granted);
    subject.set_now(START.plus(LIFETIME));
    assert_eq!(claim(subject, 6, 1).claim, Claim::Rejected(RejectReason::Expired));
}

/// Lists and single rows tell the same.
pub(super) fn what_is_listed(subject: &mut impl Subject) {
    let outcomes = [Outcome::Delivered, Outcome::NotSent, Outcome::Unknown];
    for (n, outcome) in (1..).zip(outcomes) {
        subject.set_now(START.plus(Duration::from_secs(n.into())));
        subject.claim(&attempt(n, 1));
        subject.settle(&settlement(n, ClaimId::from_bytes([1; 16]), outcome));
    }
    subject.set_now(START.plus(Duration::from_secs(9)));
    subject.claim(&attempt(4, 1));
    subject.revoke(hash(5), START.plus(LIFETIME).seconds());
    let mut of = |state| subject.list(state).iter().map(|(hash, _)| *hash).collect::<Vec<_>>();
    for (n, state) in [(1, State::Delivered), (2, State::Free), (3, State::Parked)] {
        assert_eq!(of(Some(state)), [hash(n)], "{state:?}");
    }
    assert_eq!(
        (of(Some(State::Claimed)), of(Some(State::Revoked))),
        (vec![hash(4)], vec![hash(5)])
    );
    let all = of(None);
    assert_eq!((all.len(), &all[2..]), (5, [hash(3), hash(2), hash(1)].as_slice()), "newest first");
    assert_eq!(subject.revoked(), [hash(5)]);
    for (hash, row) in subject.list(None) {
        assert_eq!(subject.row(hash), Some(row));
    }
}

/// What is forgotten is not taken for what never was, whatever the clock says.
pub(super) fn pruning_leaves_a_watermark(subject: &mut impl Subject) {
    for (n, outcome) in [(1, Outcome::Delivered), (3, Outcome::Unknown), (4, Outcome::NotSent)] {
        subject.claim(&attempt(n, 1));
        subject.settle(&settlement(n, ClaimId::from_bytes([1; 16]), outcome));
    }
    subject.revoke(hash(5), START.plus(LIFETIME).seconds());
    let claim = |subject: &mut _, n| Subject::claim(subject, &attempt(n, 9)).claim;
    subject.set_now(START.plus(LIFETIME).plus(PRUNE_MARGIN));
    subject.prune();
    assert!(
        subject.row(hash(1)).is_some() && subject.row(hash(5)).is_some(),
        "not before its time"
    );
    subject.set_now(START.plus(LIFETIME).plus(PRUNE_MARGIN).plus(Duration::from_secs(1)));
    subject.prune();
    assert_eq!((subject.row(hash(1)), subject.row(hash(5))), (None, None));
    // The clock is set back: the rows are gone, and their tickets are refused all the same.
    subject.set_now(START);
    assert_eq!(claim(subject, 1), Claim::Rejected(RejectReason::Expired));
    assert_eq!(claim(subject, 5), Claim::Rejected(RejectReason::Expired));
    assert_eq!(claim(subject, 3), Claim::Parked, "it is still worth something");
    assert!(matches!(claim(subject, 4), Claim::RetryLater { .. }));
    let until = START.plus(LIFETIME).seconds() + 5;
    let newer = Attempt { minted_valid_until: until, valid_until: until, ..attempt(6, 1) };
    assert_eq!(subject.claim(&newer).claim, Claim::Granted);
    // An answer is forgotten earlier than its ticket's row.
    assert!(REPLAY < PRUNE_MARGIN);
}
