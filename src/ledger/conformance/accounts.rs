//! What becomes of the accounts.

use std::time::Duration;

use super::tickets::attempt;
use super::{AccountsSubject, START, at, hash};
use crate::keys::{Fingerprint, Keys, MasterSecret};
use crate::ledger::accounts::{
    ChallengeState, DAY_S, Day, JournalEntry, Minted, Recorded, SettledInvoice, SoldOffer, Sum,
};
use crate::ledger::limits::CLOSED_FOR;
use crate::ledger::state::{Attempt, Claim};
use crate::ledger::store::Settlement;
use crate::outcome::Outcome;
use crate::time::UnixTime;

const PRICE_MSAT: u64 = 100_000;

fn challenge(n: u8) -> Minted {
    Minted {
        hash: hash(n),
        service: "sms".into(),
        price_msat: PRICE_MSAT,
        at: START,
        expires: START.seconds() + 600,
        valid_until: START.seconds() + 1000,
        is_pass: false,
        address: "POST /sms".into(),
    }
}

fn minted(n: u8) -> JournalEntry {
    JournalEntry::Minted(challenge(n))
}

/// A payer may pay a little more than was asked for.
fn settled(n: u8, settle_index: u64) -> SettledInvoice {
    SettledInvoice { hash: hash(n), msat: PRICE_MSAT + 1, settle_index, at: START }
}

fn sum(count: u64, msat_each: u64) -> Sum {
    Sum { count, msat: count * msat_each }
}

/// The day of the test.
fn day(subject: &mut impl AccountsSubject) -> Day {
    let today = START.seconds() / DAY_S;
    let days = subject.days(today);
    assert_eq!(subject.days(today + 1).len(), 0, "later days");
    assert_eq!(subject.days(0), days, "earlier days");
    days.get(&(today, "sms".to_owned())).copied().unwrap_or_default()
}

fn deliver(subject: &mut impl AccountsSubject, n: u8) {
    let (era, valid_until) = (subject.marks().era, START.seconds() + 1000);
    let attempt = Attempt {
        era,
        minted_valid_until: valid_until,
        valid_until,
        price_msat: PRICE_MSAT,
        ..attempt(n, n)
    };
    let claim = attempt.claim;
    assert_eq!(subject.claim(&attempt).claim, Claim::Granted);
    let outcome = Outcome::Delivered;
    subject.settle(&Settlement {
        hash: hash(n),
        claim,
        outcome,
        answer: None,
        refused: None,
        uncounted: None,
    });
}

/// Whoever tells of it, and however often.
pub(super) fn a_payment_counts_once(subject: &mut impl AccountsSubject) {
    subject.note(&[minted(1), minted(2)], true);
    subject.note(&[minted(1), minted(2)], true);
    // Somebody else's invoice moves the index all the same.
    let news = subject.paid("node", &[settled(1, 5), settled(9, 6), settled(1, 7)]);
    assert_eq!((news.len(), news[0].hash, news[0].service.as_str()), (1, hash(1), "sms"));
    assert_eq!((subject.settle_index("node"), subject.settle_index("another")), (7, 0));
    assert!(subject.paid("node", &[settled(1, 8)]).is_empty());
    assert_eq!(subject.found("node", settled(1, 5)), Recorded::Known);
    let day = day(subject);
    assert_eq!((day.minted, day.paid), (sum(2, PRICE_MSAT), sum(1, PRICE_MSAT + 1)));
    assert_eq!((day.redeemed, day.unredeemed), (Sum::default(), sum(1, PRICE_MSAT + 1)));
    assert_eq!(subject.challenge(hash(1)).unwrap().state, ChallengeState::Paid);
    assert_eq!(subject.challenge(hash(2)).unwrap().state, ChallengeState::Open);
    assert_eq!(subject.challenge(hash(9)), None);
}

/// What another instance reads late doesn't; what is looked up, and is news, does.
pub(super) fn only_a_look_up_sets_the_index_back(subject: &mut impl AccountsSubject) {
    subject.note(&[1, 2, 3].map(minted), true);
    subject.paid("node", &[settled(1, 50)]);
    subject.paid("node", &[settled(9, 40)]);
    assert_eq!(subject.settle_index("node"), 50, "written late");
    let told_again = subject.found("node", settled(2, 51));
    assert!(matches!(told_again, Recorded::New(_)), "the stream will tell of it too");
    assert_eq!(subject.settle_index("node"), 50);
    assert!(matches!(subject.found("node", settled(3, 2)), Recorded::PastTheIndex(_)));
    assert_eq!(subject.settle_index("node"), 2);
    // One that turned up again is older than the accounts, perhaps.
    subject.note(&[JournalEntry::Found(challenge(4))], true);
    assert!(matches!(subject.found("node", settled(4, 1)), Recorded::New(_)));
    assert_eq!(subject.settle_index("node"), 2);
}

/// 1 was delivered, and a crash came before that was noted; 2 was delivered and noted; 3 never; 4
/// was never paid.
pub(super) fn what_is_forgotten_is_kept_as_sums(subject: &mut impl AccountsSubject) {
    subject.note(&[1, 2, 3, 4].map(minted), true);
    subject.paid("node", &[settled(1, 1), settled(2, 2), settled(3, 3)]);
    subject.close(&[hash(4), hash(1)]);
    deliver(subject, 1);
    deliver(subject, 2);
    subject.note(&[JournalEntry::Served(hash(2))], true);
    let before = day(subject);
    assert_eq!((before.minted, before.paid), (sum(4, PRICE_MSAT), sum(3, PRICE_MSAT + 1)));
    let (redeemed, unredeemed) = (sum(2, PRICE_MSAT), sum(1, PRICE_MSAT + 1));
    assert_eq!((before.redeemed, before.unredeemed), (redeemed, unredeemed));
    assert_eq!(subject.unredeemed(), [("sms".to_owned(), sum(1, PRICE_MSAT + 1))]);
    let ran_out = UnixTime::from_seconds(challenge(4).expires);
    subject.set_now(at(ran_out.plus(CLOSED_FOR)));
    subject.prune();
    assert!(subject.challenge(hash(4)).is_some(), "not before its time");
    subject.set_now(at(ran_out.plus(CLOSED_FOR).plus(Duration::from_secs(1))));
    subject.prune();
    assert_eq!(subject.challenge(hash(4)), None);
    assert!(subject.challenge(hash(3)).is_some());
    subject.set_now(at(START.plus(Duration::from_secs(9 * DAY_S))));
    subject.prune();
    assert!([1, 2, 3].iter().all(|n| subject.challenge(hash(*n)).is_none()));
    assert!([1, 2].iter().all(|n| subject.row(hash(*n)).is_none()));
    assert_eq!(day(subject), before);
}

/// What was paid while nobody looked, for however long, is looked up before it is forgotten.
pub(super) fn open_challenges_are_never_forgotten(subject: &mut impl AccountsSubject) {
    let later = Minted { expires: challenge(2).expires + 60, ..challenge(2) };
    subject.note(&[JournalEntry::Minted(later.clone()), minted(1)], true);
    let open = |subject: &mut _, before| -> Vec<_> {
        let open = AccountsSubject::open_challenges(subject, before);
        open.into_iter().map(|challenge| challenge.hash).collect()
    };
    assert_eq!(open(subject, None), [hash(1), hash(2)], "the soonest to run out first");
    assert_eq!(open(subject, Some(later.expires)), [hash(1)]);
    subject.set_now(at(START.plus(Duration::from_secs(90 * DAY_S))));
    subject.prune();
    assert_eq!(open(subject, None).len(), 2);
    subject.close(&[hash(1)]);
    assert_eq!(subject.challenge(hash(1)).unwrap().state, ChallengeState::Closed);
    subject.prune();
    assert_eq!((subject.challenge(hash(1)), open(subject, None)), (None, vec![hash(2)]));
}

/// A ledger that was down for a while gets both at once.
pub(super) fn served_counts_in_the_same_breath(subject: &mut impl AccountsSubject) {
    subject.note(&[minted(1), JournalEntry::Served(hash(1))], true);
    subject.paid("node", &[settled(1, 1)]);
    assert_eq!(subject.unredeemed(), []);
    // Found, and then said by the instance that handed it out: counted then.
    subject.note(&[JournalEntry::Found(challenge(2))], true);
    assert_eq!(day(subject).minted, sum(1, PRICE_MSAT));
    subject.note(&[minted(2)], true);
    assert_eq!(day(subject).minted, sum(2, PRICE_MSAT));
}

/// Where payments aren't detected.
pub(super) fn without_rows_only_sums(subject: &mut impl AccountsSubject) {
    subject.note(&[minted(1), minted(2)], false);
    assert_eq!(day(subject).minted, sum(2, PRICE_MSAT));
    assert_eq!((subject.challenge(hash(1)), subject.open_challenges(None)), (None, vec![]));
}

/// For as long as their tickets live.
pub(super) fn secrets_are_remembered(subject: &mut impl AccountsSubject) {
    let secret = Keys::derive(&MasterSecret::new([1; 32]), "regtest").fingerprint();
    subject.note_secret(secret, START.plus(Duration::from_secs(100)));
    subject.note_secret(secret, START);
    assert_eq!(subject.secrets_in_use(START), [*secret.as_bytes()]);
    assert!(subject.secrets_in_use(START.plus(Duration::from_secs(101))).is_empty());
}

/// So that it can be said what the services of today don't redeem.
pub(super) fn what_was_sold_is_known(subject: &mut impl AccountsSubject) {
    let later = Minted { valid_until: START.seconds() + 5000, ..challenge(2) };
    let pass = Minted { is_pass: true, address: "GET /sms".into(), ..challenge(3) };
    for rows in [true, false] {
        let entries = [later.clone(), challenge(1), pass.clone()].map(JournalEntry::Minted);
        subject.note(&entries, rows);
    }
    subject.note(&[minted(4)], true);
    let sold = |is_pass, address: &str, until| SoldOffer {
        service: "sms".into(),
        is_pass,
        address: address.into(),
        until: START.seconds() + until,
    };
    assert_eq!(subject.sold(), [sold(false, "POST /sms", 5000), sold(true, "GET /sms", 1000)]);
}

/// A ticket that was handed in and not delivered doesn't expire, and so is the secret needed that
/// signed it.
pub(super) fn secrets_of_tickets_that_do_not_end(subject: &mut impl AccountsSubject) {
    let era = subject.marks().era;
    for (n, outcome) in [(1, Outcome::Delivered), (2, Outcome::Unknown), (3, Outcome::NotSent)] {
        let key = Fingerprint::from_bytes([n; 16]);
        let attempt = Attempt { era, key, ..attempt(n, n) };
        subject.claim(&attempt);
        subject.settle(&Settlement {
            hash: hash(n),
            claim: attempt.claim,
            outcome,
            answer: None,
            refused: None,
            uncounted: None,
        });
    }
    let mut needed = subject.secrets_in_use(START.plus(Duration::from_secs(900 * DAY_S)));
    needed.sort_unstable();
    assert_eq!(needed, [[2; 16], [3; 16]]);
}
