use super::*;
use crate::ledger::attempt::TEST_ERA;
use crate::request_digest::RequestDigest;

const NOW: Moment = at(UnixTime::from_seconds(1_000_000));
const RULES: ClaimRules = ClaimRules {
    replay: Duration::from_secs(86_400),
    marks: Marks { era: TEST_ERA, released_before: UnixTime::from_millis(0), watermark: 0 },
};

/// A moment on which both clocks agree.
const fn at(time: UnixTime) -> Moment {
    Moment { wall: time, ledger: time }
}

fn later(by: Duration) -> Moment {
    at(NOW.wall.plus(by))
}

fn repeatable(claim: u8) -> Attempt {
    Attempt { remembered: Some(Duration::from_secs(60)), ..attempt(claim) }
}

fn attempt(claim: u8) -> Attempt {
    Attempt::of_test(1, claim, 2_000_000)
}

fn claimed() -> Row {
    claim(None, &attempt(1), NOW, &RULES).1.unwrap()
}

fn settled(outcome: Outcome) -> Row {
    settle(&claimed(), ClaimId::from_bytes([1; 16]), outcome, NOW).unwrap()
}

fn answer(row: &Row, attempt: &Attempt, now: Moment) -> Claim {
    claim(Some(row), attempt, now, &RULES).0
}

#[test]
fn the_table() {
    let (own, other) = (attempt(2), Attempt { asked: Asked::Other, ..attempt(2) });
    let later = later(Duration::from_secs(3600));
    assert_eq!(claim(None, &own, NOW, &RULES).0, Claim::Granted);
    assert_eq!(claim(None, &other, NOW, &RULES).0, Claim::OtherRequest);
    assert_eq!(answer(&claimed(), &own, later), Claim::Busy);
    assert_eq!(answer(&settled(Outcome::Delivered), &own, later), Claim::Replay);
    assert_eq!(answer(&settled(Outcome::Unknown), &own, later), Claim::Parked);
    assert_eq!(answer(&settled(Outcome::NotSent), &own, later), Claim::Granted);
    for row in [
        claimed(),
        settled(Outcome::Delivered),
        settled(Outcome::Unknown),
        settled(Outcome::NotSent),
    ] {
        assert_eq!(answer(&row, &other, later), Claim::Rejected(RejectReason::UsedForAnother));
        let revoked = Row { state: State::Revoked, ..row };
        assert_eq!(answer(&revoked, &own, later), Claim::Rejected(RejectReason::Revoked));
    }
}

#[test]
fn expiry_counts_only_without_a_row() {
    let late = at(UnixTime::from_seconds(2_000_000).plus(FIRST_CLAIM_GRACE));
    assert_eq!(claim(None, &attempt(2), late, &RULES).0, Claim::Rejected(RejectReason::Expired));
    assert_eq!(answer(&settled(Outcome::NotSent), &attempt(2), late), Claim::Granted);
    assert_eq!(answer(&settled(Outcome::Unknown), &attempt(2), late), Claim::Parked);
    let narrowed = Attempt { valid_until: 999_999, ..attempt(2) };
    assert_eq!(claim(None, &narrowed, NOW, &RULES).0, Claim::Rejected(RejectReason::Expired));
    assert_eq!(
        claim(None, &Attempt { valid_until: 1_500_000, ..attempt(2) }, NOW, &RULES)
            .1
            .unwrap()
            .valid_until,
        2_000_000
    );
}

#[test]
fn at_or_below_the_watermark_no_row_does_not_mean_unused() {
    let of = |watermark| ClaimRules { marks: Marks { watermark, ..RULES.marks }, ..RULES };
    assert_eq!(
        claim(None, &attempt(2), NOW, &of(2_000_000)).0,
        Claim::Rejected(RejectReason::Expired)
    );
    assert_eq!(claim(None, &attempt(2), NOW, &of(1_999_999)).0, Claim::Granted);
}

#[test]
fn answers_are_given_back_within_the_window_and_when_the_clock_was_set_back() {
    let row = settled(Outcome::Delivered);
    assert_eq!(answer(&row, &attempt(2), later(RULES.replay)), Claim::Replay);
    assert_eq!(
        answer(&row, &attempt(2), later(RULES.replay + Duration::from_millis(1))),
        Claim::Rejected(RejectReason::Spent)
    );
    assert_eq!(answer(&row, &attempt(2), at(UnixTime::from_seconds(5))), Claim::Replay);
}

#[test]
fn tries_are_spaced() {
    let seconds: Vec<u64> = (0..9).map(|n| retry_delay(n).as_secs()).collect();
    assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(retry_delay(u32::MAX), RETRY_DELAY_MAX);
    let row = settled(Outcome::NotSent);
    let soon = later(Duration::from_millis(400));
    assert_eq!(
        answer(&row, &attempt(2), soon),
        Claim::RetryLater { retry_after: Duration::from_millis(600) }
    );
    assert_eq!(answer(&row, &attempt(2), at(UnixTime::from_seconds(5))), Claim::Granted);
}

#[test]
fn only_the_try_that_holds_the_claim_settles_it() {
    let row = claimed();
    assert_eq!(settle(&row, ClaimId::from_bytes([9; 16]), Outcome::Delivered, NOW), Err(Stale));
    let free = settled(Outcome::NotSent);
    let second = claim(Some(&free), &attempt(2), later(Duration::from_secs(9)), &RULES).1.unwrap();
    assert_eq!(
        settle(&second, ClaimId::from_bytes([1; 16]), Outcome::NotSent, NOW),
        Err(Stale),
        "the late first try"
    );
    assert_eq!(
        settle(&free, ClaimId::from_bytes([1; 16]), Outcome::NotSent, NOW),
        Ok(free.clone()),
        "said twice"
    );
    assert_eq!(settle(&free, ClaimId::from_bytes([1; 16]), Outcome::Delivered, NOW), Err(Stale));
    assert_eq!(orphaned(&free, NOW), Err(Stale));
    assert_eq!(
        withdraw(&second, ClaimId::from_bytes([2; 16])).map(|r| (r.state, r.attempts)),
        Ok((State::Free, 1))
    );
}

#[test]
fn a_parked_ticket_is_tried_again_only_if_the_upstream_throws_repeats_away() {
    let parked = settled(Outcome::Unknown);
    assert_eq!(answer(&parked, &attempt(2), NOW), Claim::Parked);
    assert_eq!(answer(&parked, &repeatable(2), NOW), Claim::Granted);
    assert_eq!(answer(&claimed(), &repeatable(2), NOW), Claim::Busy);
}

/// The upstream may have forgotten the key by the time of a third try: a refusal of the second says
/// nothing of the first.
#[test]
fn what_may_have_happened_once_is_never_free_by_itself_again() {
    let parked = settled(Outcome::Unknown);
    let again = claim(Some(&parked), &repeatable(2), NOW, &RULES).1.unwrap();
    let refused = settle(&again, again.claim, Outcome::NotSent, NOW).unwrap();
    assert_eq!(refused.state, State::Parked);
    assert_eq!(withdraw(&again, again.claim).unwrap().state, State::Parked);
    assert_eq!(
        settle(&again, again.claim, Outcome::Delivered, NOW).unwrap().state,
        State::Delivered
    );
    let released = resolve(&refused, refused.claim, Resolution::Release, NOW).unwrap();
    let last = claim(Some(&released), &attempt(3), NOW, &RULES).1.unwrap();
    assert_eq!(settle(&last, last.claim, Outcome::NotSent, NOW).unwrap().state, State::Free);
}

/// A look-up's answer about one try comes when a later one is parked already.
#[test]
fn what_is_said_of_one_try_does_not_count_for_the_next() {
    let parked = settled(Outcome::Unknown);
    let again = claim(Some(&parked), &repeatable(2), NOW, &RULES).1.unwrap();
    let parked_again = settle(&again, again.claim, Outcome::Unknown, NOW).unwrap();
    assert_eq!(resolve(&parked_again, parked.claim, Resolution::Release, NOW), Err(Stale));
}

/// Parked because its lease ran out or its process was thought dead; but who made the try knows
/// better.
#[test]
fn who_made_the_try_may_still_say_for_certain_how_it_ended() {
    let row = claimed();
    let parked = orphaned(&row, NOW).unwrap();
    assert_eq!(
        settle(&parked, row.claim, Outcome::Delivered, NOW).unwrap().state,
        State::Delivered
    );
    assert_eq!(settle(&parked, row.claim, Outcome::NotSent, NOW).unwrap().state, State::Free);
    assert_eq!(withdraw(&parked, row.claim).unwrap().state, State::Free);
    assert_eq!(settle(&parked, ClaimId::from_bytes([9; 16]), Outcome::NotSent, NOW), Err(Stale));
    let unknown = settle(&parked, row.claim, Outcome::Unknown, NOW).unwrap();
    assert_eq!(unknown.state, State::Parked);
}

/// Promise 1: one other request, which costs no more, and only after a refusal.
#[test]
fn another_request_takes_the_place_of_a_refused_one_once() {
    let refused = settled(Outcome::Refused);
    assert_eq!(refused.state, State::Refused);
    assert_eq!(answer(&refused, &attempt(2), NOW), Claim::Refused { may_change: true });
    let rebound = Rebound { segments: None };
    let instead = |price_msat| Attempt {
        request: RequestDigest::from_bytes([6; 32]),
        asked: Asked::Instead { price_msat, rebound },
        ..attempt(2)
    };
    let used = Claim::Rejected(RejectReason::UsedForAnother);
    assert_eq!(answer(&refused, &instead(100_001), NOW), used);
    for row in [claimed(), settled(Outcome::NotSent), settled(Outcome::Unknown)] {
        assert_eq!(answer(&row, &instead(1), NOW), used, "{row:?}");
    }
    let taken = claim(Some(&refused), &instead(100_000), NOW, &RULES).1.unwrap();
    assert_eq!((taken.rebound, taken.price_msat), (Some(rebound), 100_000));
    assert_eq!(answer(&taken, &attempt(3), NOW), used);
    // Never confirmed, it was taken all the same: the payer sends it again.
    let free = withdraw(&taken, taken.claim).unwrap();
    let again = Attempt { asked: Asked::Rebound, ..instead(0) };
    assert_eq!(answer(&free, &again, later(RETRY_DELAY_MAX)), Claim::Granted);
    let twice = settle(&taken, taken.claim, Outcome::Refused, NOW).unwrap();
    assert_eq!(answer(&twice, &again, NOW), Claim::Refused { may_change: false });
    let third = Attempt { request: RequestDigest::from_bytes([5; 32]), ..instead(1) };
    assert_eq!(answer(&twice, &third, NOW), used);
}

#[test]
fn the_operator_resolves_what_is_parked_and_revokes_anything() {
    let parked = settled(Outcome::Unknown);
    let released = resolve(&parked, parked.claim, Resolution::Release, NOW).unwrap();
    assert_eq!(answer(&released, &attempt(2), NOW), Claim::Granted);
    let delivered = resolve(&parked, parked.claim, Resolution::Delivered, NOW).unwrap();
    assert_eq!(answer(&delivered, &attempt(2), NOW), Claim::Replay);
    for row in [claimed(), settled(Outcome::Delivered), settled(Outcome::NotSent), released] {
        assert_eq!(resolve(&row, row.claim, Resolution::Release, NOW), Err(Stale));
        assert_eq!(
            answer(&revoke(&row, NOW), &attempt(2), NOW),
            Claim::Rejected(RejectReason::Revoked)
        );
        assert_eq!(settle(&revoke(&row, NOW), row.claim, Outcome::Delivered, NOW), Err(Stale));
    }
}
