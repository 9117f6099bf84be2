//! What becomes of a ticket whose request was refused for good.

use super::tickets::{REPEATABLE, attempt, settlement};
use super::{Subject, hash};
use crate::ledger::state::{
    Asked, Attempt, Claim, ClaimId, Rebound, RejectReason, Resolution, State,
};
use crate::ledger::store::Settled;
use crate::outcome::Outcome;
use crate::request_digest::RequestDigest;

/// Another request for a refused one: once, at its price, and then it is the ticket's own.
pub(super) fn in_place_of_a_refused_request(subject: &mut impl Subject) {
    let era = subject.marks().era;
    let first = Attempt { era, ..attempt(1, 1) };
    let instead = |claim, digest: u8, price_msat| Attempt {
        request: RequestDigest::from_bytes([digest; 32]),
        asked: Asked::Instead { price_msat, rebound: Rebound { segments: Some(2) } },
        era,
        ..attempt(1, claim)
    };
    let rebound =
        |claim, digest: u8| Attempt { asked: Asked::Rebound, ..instead(claim, digest, 0) };
    let ask = |subject: &mut _, attempt: &Attempt| Subject::claim(subject, attempt).claim;
    let end = |subject: &mut _, claim: u8, outcome| {
        let claim = ClaimId::from_bytes([claim; 16]);
        Subject::settle(subject, &settlement(1, claim, outcome))
    };
    let used = Claim::Rejected(RejectReason::UsedForAnother);
    assert_eq!(ask(subject, &instead(1, 6, 1)), Claim::OtherRequest, "nothing was refused yet");
    assert_eq!(ask(subject, &first), Claim::Granted);
    assert_eq!(ask(subject, &instead(2, 6, 1)), used, "nor while it is under way");
    assert_eq!(end(subject, 1, Outcome::Refused), Settled::Done { attempts: 1 });
    assert_eq!(end(subject, 1, Outcome::Refused), Settled::Done { attempts: 1 }, "said twice");
    assert_eq!(ask(subject, &first), Claim::Refused { may_change: true });
    assert_eq!(ask(subject, &instead(2, 6, 100_001)), used, "dearer");
    assert_eq!(subject.row(hash(1)).unwrap().state, State::Refused);
    assert_eq!(ask(subject, &instead(2, 6, 100_000)), Claim::Granted);
    let row = subject.row(hash(1)).unwrap();
    assert_eq!(row.rebound, Some(Rebound { segments: Some(2) }));
    assert_eq!((row.price_msat, row.request), (100_000, RequestDigest::from_bytes([6; 32])));
    assert_eq!(ask(subject, &first), used, "from now on the other one counts");
    assert_eq!(ask(subject, &instead(3, 6, 1)), Claim::Busy);
    assert_eq!(ask(subject, &rebound(3, 6)), Claim::Busy);
    assert_eq!(ask(subject, &rebound(3, 5)), used);
    // The try that was refused says nothing of this one.
    assert_eq!(end(subject, 1, Outcome::Delivered), Settled::Stale);
    assert_eq!(end(subject, 2, Outcome::Refused), Settled::Done { attempts: 2 });
    assert_eq!(ask(subject, &rebound(3, 6)), Claim::Refused { may_change: false });
    assert_eq!(ask(subject, &instead(3, 5, 1)), used, "once");
    // The operator may say that it is taken after all.
    let second = ClaimId::from_bytes([2; 16]);
    assert_eq!(subject.resolve(hash(1), second, Resolution::Delivered), Settled::Stale);
    assert_eq!(
        subject.resolve(hash(1), second, Resolution::Release),
        Settled::Done { attempts: 0 }
    );
    assert_eq!(ask(subject, &rebound(4, 6)), Claim::Granted);
    end(subject, 4, Outcome::Delivered);
    assert_eq!(ask(subject, &rebound(5, 6)), Claim::Replay);
    assert_eq!(ask(subject, &first), used);
}

/// What may have been served is not refused: the upstream says it of the last try only.
pub(super) fn refused_after_a_try_that_nobody_knows_of(subject: &mut impl Subject) {
    let era = subject.marks().era;
    let attempt = |claim| Attempt { era, ..attempt(REPEATABLE, claim) };
    let settle = |subject: &mut _, claim, outcome| {
        let claim = ClaimId::from_bytes([claim; 16]);
        Subject::settle(subject, &settlement(REPEATABLE, claim, outcome))
    };
    subject.claim(&attempt(1));
    settle(subject, 1, Outcome::Unknown);
    assert_eq!(subject.claim(&attempt(2)).claim, Claim::Granted);
    settle(subject, 2, Outcome::Refused);
    assert_eq!(subject.row(hash(REPEATABLE)).unwrap().state, State::Parked);
    // One that was refused may have had another request since a copy.
    let third = Attempt { era, ..super::tickets::attempt(3, 1) };
    subject.claim(&third);
    subject.settle(&settlement(3, third.claim, Outcome::Refused));
    subject.back_up();
    assert_eq!(subject.put_back(), 1);
    assert_eq!(subject.claim(&third).claim, Claim::Parked);
}
