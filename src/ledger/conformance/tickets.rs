//! What becomes of tickets.

use std::time::Duration;

use super::{REPLAY, START, Subject, at, hash};
use crate::era::Era;
use crate::ledger::clock::Moment;
use crate::ledger::limits::PRUNE_MARGIN;
use crate::ledger::state::{
    Asked, Attempt, Claim, ClaimId, FIRST_CLAIM_GRACE, RejectReason, Resolution, State,
};
use crate::ledger::store::{Settled, Settlement};
use crate::ledger::stored_answer::StoredAnswer;
use crate::outcome::Outcome;
use crate::place::Place;

/// How long the tickets of the suite are worth something.
pub(super) const LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// The ticket whose upstream throws repeats away by a key.
pub(super) const REPEATABLE: u8 = 2;

/// For how long it does.
pub(super) const REMEMBERED: Duration = Duration::from_secs(86_400);

/// Where the tickets' requests are sent to, and another place.
pub(super) const HERE: Place = Place::from_bytes([1; 16]);
pub(super) const ELSEWHERE: Place = Place::from_bytes([2; 16]);

/// Of the life that the subject has now.
fn attempt_now(subject: &mut impl Subject, ticket: u8, claim: u8) -> Attempt {
    Attempt { era: subject.marks().era, ..attempt(ticket, claim) }
}

pub(super) fn attempt(ticket: u8, claim: u8) -> Attempt {
    Attempt {
        minted: START,
        place: Some(HERE),
        remembered: (ticket == REPEATABLE).then_some(REMEMBERED),
        sealed: Some(vec![ticket; 40]),
        // Longer than the test: leases run out when it says so.
        lease: Duration::from_secs(1_000_000_000),
        ..Attempt::of_test(ticket, claim, START.plus(LIFETIME).seconds())
    }
}

fn answer(ticket: u8) -> StoredAnswer {
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    StoredAnswer { status: 201, headers, body: Some(vec![ticket].into()) }
}

pub(super) fn settlement(ticket: u8, claim: ClaimId, outcome: Outcome) -> Settlement {
    let answer = (outcome == Outcome::Delivered).then(|| answer(ticket));
    Settlement { hash: hash(ticket), claim, outcome, answer, refused: None, uncounted: None }
}

/// The table of what is answered, as far as a ledger decides it.
pub(super) fn the_table(subject: &mut impl Subject) {
    let era = subject.marks().era;
    let attempt = |ticket, claim| Attempt { era, ..attempt(ticket, claim) };
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
    let other = Attempt { asked: Asked::Other, ..attempt(1, 3) };
    let used = Claim::Rejected(RejectReason::UsedForAnother);
    assert_eq!(subject.claim(&other).claim, used);
    let unused = Attempt { asked: Asked::Other, ..attempt(5, 3) };
    assert_eq!(subject.claim(&unused).claim, Claim::OtherRequest);
    assert_eq!(subject.row(hash(5)), None, "it is not claimed by that");
    subject.revoke(hash(1), 0);
    assert_eq!(claim(subject, 1, 4).claim, Claim::Rejected(RejectReason::Revoked));
    subject.set_now(at(START.plus(retry_after)));
    assert_eq!(claim(subject, 4, 2).claim, Claim::Granted);
    subject.set_now(at(START.plus(LIFETIME)));
    let narrowed = Attempt { valid_until: START.seconds() + 100, ..attempt(6, 1) };
    let expired = Claim::Rejected(RejectReason::Expired);
    assert_eq!(subject.claim(&narrowed).claim, expired, "a holder's word is exact");
    assert_eq!(claim(subject, 6, 1).claim, Claim::Granted, "ours has a grace");
    subject.set_now(at(START.plus(LIFETIME).plus(FIRST_CLAIM_GRACE)));
    assert_eq!(claim(subject, 7, 1).claim, expired);
}

/// Lists and single rows tell the same.
pub(super) fn what_is_listed(subject: &mut impl Subject) {
    let outcomes = [Outcome::Delivered, Outcome::NotSent, Outcome::Unknown];
    for (n, outcome) in (1..).zip(outcomes) {
        subject.set_now(at(START.plus(Duration::from_secs(n.into()))));
        let attempt = attempt_now(subject, n, 1);
        subject.claim(&attempt);
        subject.settle(&settlement(n, ClaimId::from_bytes([1; 16]), outcome));
    }
    subject.set_now(at(START.plus(Duration::from_secs(9))));
    let attempt = attempt_now(subject, 4, 1);
    subject.claim(&attempt);
    subject.revoke(hash(5), START.plus(LIFETIME).seconds());
    let refused = attempt_now(subject, 6, 1);
    subject.claim(&refused);
    subject.settle(&settlement(6, refused.claim, Outcome::Refused));
    assert_eq!(subject.list(Some(State::Refused)).len(), 1);
    let waiting = [State::Parked, State::Free, State::Refused].map(|state| {
        let waiting = subject.waiting();
        waiting.iter().filter(|one| one.state == state).map(|one| one.count).collect::<Vec<_>>()
    });
    assert_eq!(waiting, [[1], [1], [1]], "one service's");
    let mut of = |state| subject.list(state).iter().map(|(hash, _)| *hash).collect::<Vec<_>>();
    for (n, state) in [(1, State::Delivered), (2, State::Free), (3, State::Parked)] {
        assert_eq!(of(Some(state)), [hash(n)], "{state:?}");
    }
    assert_eq!(
        (of(Some(State::Claimed)), of(Some(State::Revoked))),
        (vec![hash(4)], vec![hash(5)])
    );
    let all = of(None);
    assert_eq!((all.len(), &all[3..]), (6, [hash(3), hash(2), hash(1)].as_slice()), "newest first");
    assert_eq!(subject.revoked(), [hash(5)]);
    for (hash, row) in subject.list(None) {
        assert_eq!(subject.row(hash), Some(row));
    }
}

/// What is forgotten is not taken for what never was, whatever the clock says.
pub(super) fn pruning_leaves_a_watermark(subject: &mut impl Subject) {
    let era = subject.marks().era;
    let attempt = |ticket, claim| Attempt { era, ..attempt(ticket, claim) };
    for (n, outcome) in [(1, Outcome::Delivered), (3, Outcome::Unknown), (4, Outcome::NotSent)] {
        subject.claim(&attempt(n, 1));
        subject.settle(&settlement(n, ClaimId::from_bytes([1; 16]), outcome));
    }
    subject.revoke(hash(5), START.plus(LIFETIME).seconds());
    let claim = |subject: &mut _, n| Subject::claim(subject, &attempt(n, 9)).claim;
    subject.set_now(at(START.plus(LIFETIME).plus(PRUNE_MARGIN)));
    subject.prune();
    assert!(
        subject.row(hash(1)).is_some() && subject.row(hash(5)).is_some(),
        "not before its time"
    );
    subject.set_now(at(START.plus(LIFETIME).plus(PRUNE_MARGIN).plus(Duration::from_secs(1))));
    subject.prune();
    assert_eq!((subject.row(hash(1)), subject.row(hash(5))), (None, None));
    // The clock is set back: the rows are gone, and their tickets are refused all the same.
    subject.set_now(at(START));
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

const EXPIRED: Claim = Claim::Rejected(RejectReason::Expired);

/// Expiry and pruning go by the ledger's clock: a wall clock that jumps ahead for a minute neither
/// empties the ledger nor makes a paid ticket worthless, and one that stands behind lets nothing be
/// tried twice.
pub(super) fn two_clocks(subject: &mut impl Subject) {
    let era = subject.marks().era;
    let attempt = |ticket, claim| Attempt { era, ..attempt(ticket, claim) };
    let first = ClaimId::from_bytes([1; 16]);
    for (ticket, outcome) in [(1, Outcome::Delivered), (2, Outcome::Unknown), (3, Outcome::NotSent)]
    {
        assert_eq!(subject.claim(&attempt(ticket, 1)).claim, Claim::Granted);
        subject.settle(&settlement(ticket, first, outcome));
    }
    let minute = Duration::from_secs(60);
    let jumped = START.plus(LIFETIME + PRUNE_MARGIN + REPLAY + minute);
    subject.set_now(Moment { wall: jumped, ledger: START.plus(2 * minute) });
    subject.prune();
    assert!(subject.row(hash(1)).is_some(), "not forgotten");
    assert_eq!(subject.marks().watermark, 0);
    assert_eq!(subject.claim(&attempt(1, 2)).claim, Claim::Replay, "nor is its answer too old");
    assert_eq!(subject.claim(&attempt(4, 1)).claim, Claim::Granted, "nor is an unused one");
    // The key may be forgotten by now: the greater age counts.
    assert_eq!(subject.claim(&attempt(REPEATABLE, 2)).claim, Claim::Parked);
    assert_eq!(subject.claim(&attempt(3, 2)).claim, Claim::Granted);
    // The wall clock was set right again; the ledger's never goes back.
    subject.set_now(Moment { wall: START.plus(minute), ledger: START.plus(2 * minute) });
    assert_eq!(subject.claim(&attempt(REPEATABLE, 2)).claim, Claim::Granted);
    // A clock that stands behind: what is over stays over.
    let over = START.plus(LIFETIME + FIRST_CLAIM_GRACE);
    subject.set_now(Moment { wall: START, ledger: over });
    assert_eq!(subject.claim(&attempt(5, 1)).claim, EXPIRED);
}

/// The upstream may count from any of the tries, and the clock may have been wrong at each: the
/// earliest that it showed counts.
pub(super) fn a_clock_that_was_wrong_at_the_first_try(subject: &mut impl Subject) {
    let day = Duration::from_secs(86_400);
    let era = subject.marks().era;
    let repeat = |subject: &mut _, claim| {
        let attempt = Attempt { era, ..attempt(REPEATABLE, claim) };
        let claimed = Subject::claim(subject, &attempt);
        Subject::park_orphans(subject);
        claimed.claim
    };
    assert_eq!(repeat(subject, 1), Claim::Granted);
    // It had been two weeks ahead; another try is made after it was set right.
    subject.set_now(Moment { wall: START.minus(14 * day), ledger: START });
    assert_eq!(repeat(subject, 2), Claim::Granted);
    subject.set_now(Moment { wall: START.minus(13 * day), ledger: START });
    assert_eq!(repeat(subject, 3), Claim::Granted);
    // Two weeks later the upstream has forgotten both, and the ledger's clock shows the same still.
    subject.set_now(Moment { wall: START, ledger: START });
    assert_eq!(repeat(subject, 4), Claim::Parked);
}

/// A key against repeats counts at the place that knows it, as long as that does.
pub(super) fn another_place_does_not_know_the_key(subject: &mut impl Subject) {
    let era = subject.marks().era;
    let claim = |subject: &mut _, claim, place, remembered| {
        let place = Some(place);
        let attempt = Attempt { era, place, remembered, ..attempt(REPEATABLE, claim) };
        Subject::claim(subject, &attempt).claim
    };
    assert_eq!(claim(subject, 1, HERE, None), Claim::Granted);
    let unknown = |subject: &mut _, claim| {
        let claim = ClaimId::from_bytes([claim; 16]);
        Subject::settle(subject, &settlement(REPEATABLE, claim, Outcome::Unknown));
    };
    unknown(subject, 1);
    assert_eq!(claim(subject, 2, HERE, None), Claim::Parked);
    assert_eq!(claim(subject, 2, ELSEWHERE, Some(REMEMBERED)), Claim::Parked, "it moved");
    assert_eq!(claim(subject, 2, HERE, Some(REMEMBERED)), Claim::Granted);
    unknown(subject, 2);
    // From the first try on, not from the last.
    subject.set_now(at(START.plus(REMEMBERED)));
    assert_eq!(claim(subject, 3, HERE, Some(REMEMBERED)), Claim::Granted);
    unknown(subject, 3);
    subject.set_now(at(START.plus(REMEMBERED).plus(Duration::from_millis(1))));
    assert_eq!(claim(subject, 4, HERE, Some(REMEMBERED)), Claim::Parked);
    // Certainly not sent, it begins again wherever it goes.
    let keyless = Attempt { era, place: None, ..attempt(9, 1) };
    assert_eq!(subject.claim(&keyless).claim, Claim::Granted);
    subject.settle(&settlement(9, keyless.claim, Outcome::Unknown));
    let keyless = Attempt { remembered: Some(REMEMBERED), ..keyless };
    assert_eq!(subject.claim(&keyless).claim, Claim::Parked, "nowhere is no place");
    let third = ClaimId::from_bytes([3; 16]);
    subject.resolve(hash(REPEATABLE), third, Resolution::Release);
    assert_eq!(claim(subject, 5, ELSEWHERE, Some(REMEMBERED)), Claim::Granted);
    unknown(subject, 5);
    assert_eq!(claim(subject, 6, HERE, Some(REMEMBERED)), Claim::Parked);
    assert_eq!(claim(subject, 6, ELSEWHERE, Some(REMEMBERED)), Claim::Granted);
}

/// What a copy doesn't know of is never granted, and what it knows as free neither.
pub(super) fn put_back_from_a_copy(subject: &mut impl Subject) {
    let old = subject.marks().era;
    let of_old = |ticket, claim| Attempt { era: old, ..attempt(ticket, claim) };
    let settle = |subject: &mut _, ticket, outcome| {
        let first = ClaimId::from_bytes([1; 16]);
        Subject::settle(subject, &settlement(ticket, first, outcome))
    };
    for (ticket, outcome) in [(1, Outcome::Delivered), (3, Outcome::Unknown), (4, Outcome::NotSent)]
    {
        subject.claim(&of_old(ticket, 1));
        settle(subject, ticket, outcome);
    }
    subject.claim(&of_old(5, 1));
    subject.back_up();
    settle(subject, 5, Outcome::NotSent);
    subject.claim(&of_old(6, 1));
    settle(subject, 6, Outcome::Delivered);
    assert_eq!(subject.put_back(), 2, "the free one and the one under way");
    let era = subject.marks().era;
    assert_ne!(era, old);
    subject.set_now(at(START.plus(Duration::from_secs(60))));
    assert_eq!(subject.claim(&of_old(1, 2)).claim, Claim::Replay, "what is known is known");
    for ticket in [3, 4, 5, 6, 7] {
        assert_eq!(subject.claim(&of_old(ticket, 2)).claim, Claim::Parked, "{ticket}");
        assert_eq!(subject.row(hash(ticket)).unwrap().state, State::Parked, "{ticket}");
    }
    // What is said twice of a try before the copy says nothing of those after it.
    assert_eq!(settle(subject, 4, Outcome::NotSent), Settled::Stale);
    for ticket in [4, 5, 7] {
        let repeatable = Attempt { remembered: Some(REMEMBERED), ..of_old(ticket, 3) };
        assert_eq!(subject.claim(&repeatable).claim, Claim::Parked, "no place is known");
    }
    let new = Attempt { era, ..attempt(8, 1) };
    assert_eq!(subject.claim(&new).claim, Claim::Granted, "those sold since are as ever");
    // Only what the restore has parked, and only what is as old as said.
    assert_eq!(subject.release_restored(START), 0);
    assert_eq!(subject.release_restored(START.plus(Duration::from_secs(1))), 3);
    for ticket in [4, 6, 7, 9] {
        assert_eq!(subject.claim(&of_old(ticket, 4)).claim, Claim::Granted, "{ticket}");
    }
    for ticket in [3, 5] {
        let still = subject.claim(&of_old(ticket, 4)).claim;
        assert_eq!(still, Claim::Parked, "{ticket} may have been served before the copy");
    }
    let younger = Attempt { minted: START.plus(Duration::from_secs(1)), ..of_old(10, 1) };
    assert_eq!(subject.claim(&younger).claim, Claim::Parked, "not that old");
    // Another restore: what was said before it says nothing.
    subject.back_up();
    subject.put_back();
    assert_eq!(subject.claim(&of_old(11, 1)).claim, Claim::Parked);
}

/// What was parked in the copy may have been freed since, and tried again at another place.
pub(super) fn parked_before_the_copy(subject: &mut impl Subject) {
    let era = subject.marks().era;
    let attempt = |claim| Attempt { era, ..attempt(REPEATABLE, claim) };
    let first = ClaimId::from_bytes([1; 16]);
    subject.claim(&attempt(1));
    subject.park_orphans();
    subject.back_up();
    // The operator finds that it was not sent, and moves the backend.
    let freed = subject.resolve(hash(REPEATABLE), first, Resolution::Release);
    assert_eq!(freed, Settled::Done { attempts: 0 });
    let moved = Attempt { place: Some(ELSEWHERE), ..attempt(2) };
    assert_eq!(subject.claim(&moved).claim, Claim::Granted);
    assert_eq!(subject.put_back(), 0, "it is parked already");
    assert_eq!(subject.claim(&attempt(3)).claim, Claim::Parked, "its key says nothing any more");
    // An instance may still say how the try before the copy ended.
    subject.settle(&settlement(REPEATABLE, first, Outcome::NotSent));
    subject.withdraw(hash(REPEATABLE), first);
    assert_eq!(subject.claim(&attempt(3)).claim, Claim::Parked, "nor does that try");
    let first = subject.resolve(hash(REPEATABLE), first, Resolution::Release);
    assert_eq!(first, Settled::Done { attempts: 0 }, "but the operator's word does");
    assert_eq!(subject.claim(&attempt(4)).claim, Claim::Granted);
}

/// So that the operator can be shown what a parked ticket was for.
pub(super) fn the_order_is_kept_while_nobody_knows(subject: &mut impl Subject) {
    let era = subject.marks().era;
    for (ticket, outcome, kept) in
        [(1, Outcome::Delivered, false), (3, Outcome::Unknown, true), (4, Outcome::NotSent, false)]
    {
        let attempt = Attempt { era, ..attempt(ticket, 1) };
        subject.claim(&attempt);
        assert_eq!(subject.sealed(hash(ticket)), attempt.sealed, "from the claim on");
        subject.settle(&settlement(ticket, attempt.claim, outcome));
        assert_eq!(subject.sealed(hash(ticket)).is_some(), kept, "{ticket}");
    }
    subject.resolve(hash(3), ClaimId::from_bytes([1; 16]), Resolution::Release);
    assert_eq!(subject.sealed(hash(3)), None);
    let foreign = Attempt { era: Era::from_number(77), ..attempt(5, 1) };
    assert_eq!(subject.claim(&foreign).claim, Claim::Parked);
    assert_eq!(subject.sealed(hash(5)), foreign.sealed);
    subject.set_now(at(START.plus(Duration::from_secs(91 * 86_400))));
    subject.prune();
    assert_eq!((subject.sealed(hash(5)), subject.row(hash(5)).is_some()), (None, true));
}
