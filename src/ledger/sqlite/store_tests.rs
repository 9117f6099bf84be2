//! What is the SQLite store's alone; what all ledgers do, the conformance suite tests.

use std::time::Duration;

use bytes::Bytes;

use super::store::Store;
use crate::ledger::attempt::TEST_ERA;
use crate::ledger::clock::Moment;
use crate::ledger::state::{Attempt, Claim};
use crate::ledger::store::{Settled, Settlement};
use crate::ledger::stored_answer::StoredAnswer;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

const REPLAY: Duration = Duration::from_secs(3600);

fn at(time: UnixTime) -> Moment {
    Moment { wall: time, ledger: time }
}

fn hash(n: u8) -> PaymentHash {
    PaymentHash::from_bytes([n; 32])
}

fn attempt(ticket: u8, claim: u8) -> Attempt {
    Attempt::of_test(ticket, claim, 2_000_000_000)
}

/// The number of a ticket that is forgotten may be given to the next: not so its answer.
#[test]
fn a_forgotten_tickets_answer_is_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("ledger.db")).unwrap();
    store.marks.era = TEST_ERA;
    let then = UnixTime::from_seconds(1_700_000_000);
    let mut deliver = |ticket: u8, then: UnixTime, answer: Option<StoredAnswer>| {
        let attempt = Attempt {
            minted_valid_until: then.seconds() + 60,
            valid_until: then.seconds() + 60,
            ..attempt(ticket, ticket)
        };
        assert_eq!(store.claim(&attempt, at(then), REPLAY).unwrap().claim, Claim::Granted);
        let settlement = Settlement {
            hash: hash(ticket),
            claim: attempt.claim,
            outcome: Outcome::Delivered,
            answer,
            refused: None,
            uncounted: None,
        };
        assert_eq!(store.settle(&settlement, at(then)).unwrap(), Settled::Done { attempts: 0 });
        // An answer that was stored late, so that its own pruning doesn't reach it.
        store.connection().execute("UPDATE answers SET stored_at = 9000000000000000", []).unwrap();
        let later = then.plus(Duration::from_secs(30 * 24 * 3600));
        let replay = store.claim(&attempt, at(then), REPLAY).unwrap();
        store.prune(at(later), REPLAY).unwrap();
        (replay.claim, replay.answer, later)
    };
    let answer =
        StoredAnswer { status: 200, headers: Vec::new(), body: Some(Bytes::from("private")) };
    let (_, _, later) = deliver(1, then, Some(answer));
    assert_eq!(
        deliver(2, later.plus(Duration::from_secs(60)), None),
        (Claim::Replay, None, later.plus(Duration::from_secs(60 + 30 * 24 * 3600)))
    );
}

/// The system drops all of a process's locks on a file once any of its descriptors is closed.
#[test]
fn opening_it_again_leaves_the_lock_of_who_has_it_open() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let _first = Store::open(&path).unwrap();
    let is_locked = || {
        let of_file = format!(":{} ", std::fs::metadata(&path).unwrap().ino());
        let of_us = format!(" {} ", std::process::id());
        std::fs::read_to_string("/proc/locks")
            .unwrap()
            .lines()
            .any(|lock| lock.contains(&of_file) && lock.contains(&of_us))
    };
    assert!(is_locked());
    let _second = Store::open(&path).unwrap();
    assert!(is_locked());
}
