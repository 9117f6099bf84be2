//! The store against the pure state machine, and against what older versions wrote.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rusqlite::params;

use super::store::Store;
use crate::ledger::accounts::{Entry, Minted};
use crate::ledger::state::{self, Attempt, Claim, ClaimId, Horizon, Resolution, Row};
use crate::ledger::store::{Settled, Settlement};
use crate::ledger::stored_answer::Kept;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

const REPLAY: Duration = Duration::from_secs(3600);

fn hash(n: u8) -> PaymentHash {
    PaymentHash::from_bytes([n; 32])
}

fn attempt(ticket: u8, claim: u8, request: u8) -> Attempt {
    Attempt {
        hash: hash(ticket),
        service: Arc::from("sms"),
        request: [request; 32],
        own_request: request != 9,
        minted_valid_until: 2_000_000_000,
        valid_until: 2_000_000_000,
        price_msat: 1000,
        repeatable: ticket == 2,
        lease: Duration::from_secs(30),
        claim: ClaimId::from_bytes([claim; 16]),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Claim { ticket: u8, request: u8 },
    Settle { ticket: u8, stale: bool, outcome: Outcome },
    Resolve { ticket: u8, resolution: Resolution },
    Withdraw { ticket: u8 },
    Revoke { ticket: u8 },
    Wait(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let ticket = || 1..4_u8;
    let outcome = prop_oneof![3 => Just(Outcome::Delivered), 1 => Just(Outcome::NotSent), 1 => Just(Outcome::Unknown)];
    prop_oneof![
        6 => (ticket(), prop_oneof![8 => Just(1_u8), 1 => Just(2), 1 => Just(9)]).prop_map(|(ticket, request)| Step::Claim { ticket, request }),
        5 => (ticket(), prop::bool::weighted(0.2), outcome).prop_map(|(ticket, stale, outcome)| Step::Settle { ticket, stale, outcome }),
        1 => (ticket(), prop_oneof![Just(Resolution::Delivered), Just(Resolution::Release)])
            .prop_map(|(ticket, resolution)| Step::Resolve { ticket, resolution }),
        1 => ticket().prop_map(|ticket| Step::Withdraw { ticket }),
        1 => ticket().prop_map(|ticket| Step::Revoke { ticket }),
        3 => (1..5_000_000_u64).prop_map(Step::Wait),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Promise 1: whatever shortcut the store takes, each ticket is granted, settled and refused as
    /// the state machine says.
    #[test]
    fn the_store_does_as_the_state_machine_says(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let mut store = Store::open(&path).unwrap();
        let mut rows: HashMap<u8, Row> = HashMap::new();
        let mut now = UnixTime::from_seconds(1_700_000_000);
        for (n, step) in steps.into_iter().enumerate() {
            let n = u8::try_from(n).unwrap();
            match step {
                Step::Claim { ticket, request } => {
                    let attempt = attempt(ticket, n, request);
                    let (expected, next) = state::claim(rows.get(&ticket), &attempt, now, Horizon { replay: REPLAY, watermark: 0 });
                    let claimed = store.claim(&attempt, now, REPLAY).unwrap();
                    prop_assert_eq!(claimed.claim, expected);
                    prop_assert_eq!(claimed.doubtful, next.as_ref().is_some_and(|next| next.doubtful));
                    if claimed.claim == Claim::Replay {
                        let body = claimed.kept.and_then(|kept| kept.body);
                        prop_assert!(body.is_none() || body == Some(Bytes::from(vec![ticket])), "another ticket's answer");
                    }
                    if let Some(next) = next {
                        rows.insert(ticket, next);
                    }
                }
                Step::Settle { ticket, stale, outcome } => {
                    let claim = match rows.get(&ticket) {
                        Some(row) if !stale => row.claim,
                        _ => ClaimId::from_bytes([255; 16]),
                    };
                    let kept = (outcome == Outcome::Delivered)
                        .then(|| Kept { status: 200, headers: Vec::new(), body: Some(Bytes::from(vec![ticket])) });
                    let expected = match rows.get(&ticket).and_then(|row| state::settle(row, claim, outcome, now).ok()) {
                        Some(next) => {
                            let attempts = next.attempts;
                            rows.insert(ticket, next);
                            Settled::Done { attempts }
                        }
                        None => Settled::Stale,
                    };
                    let settled = store.settle(&Settlement { hash: hash(ticket), claim, outcome, kept }, now).unwrap();
                    prop_assert_eq!(settled, expected);
                }
                Step::Resolve { ticket, resolution } => {
                    let claim = rows.get(&ticket).map_or(ClaimId::from_bytes([0; 16]), |row| row.claim);
                    store.resolve(&hash(ticket), claim, resolution, now).unwrap();
                    if let Some(Ok(next)) = rows.get(&ticket).map(|row| state::resolve(row, claim, resolution, now)) {
                        rows.insert(ticket, next);
                    }
                }
                Step::Withdraw { ticket } => {
                    let Some(row) = rows.get(&ticket) else { continue };
                    store.withdraw(&[(hash(ticket), row.claim)]).unwrap();
                    if let Ok(next) = state::withdraw(row, row.claim) {
                        rows.insert(ticket, next);
                    }
                }
                Step::Revoke { ticket } => {
                    let Some(row) = rows.get(&ticket) else { continue };
                    store.revoke(&hash(ticket), row.valid_until, now).unwrap();
                    let next = state::revoke(row, now);
                    rows.insert(ticket, next);
                }
                Step::Wait(millis) => now = now.plus(Duration::from_millis(millis)),
                Step::Reopen => {
                    drop(store);
                    store = Store::open(&path).unwrap();
                }
            }
            for (ticket, row) in &rows {
                let stored = store.row(&hash(*ticket)).unwrap();
                prop_assert_eq!(stored.as_ref(), Some(row));
            }
        }
    }
}

/// As versions with layout 2 made them, and, without the accounts, those with layout 1.
const OLD: &str = "
    CREATE TABLE tickets (hash BLOB PRIMARY KEY, service TEXT NOT NULL, request BLOB NOT NULL,
        valid_until INTEGER NOT NULL,
        price_msat INTEGER NOT NULL, state INTEGER NOT NULL, claim BLOB NOT NULL, attempts INTEGER
            NOT NULL, doubtful INTEGER NOT NULL,
        changed INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX tickets_by_age ON tickets (valid_until) WHERE state IN (3, 5);
    CREATE INDEX tickets_few ON tickets (state) WHERE state IN (1, 4, 5);
    CREATE TABLE answers (hash BLOB PRIMARY KEY, status INTEGER NOT NULL, headers TEXT NOT NULL,
        body BLOB, stored_at INTEGER NOT NULL);
    CREATE INDEX answers_by_age ON answers (stored_at);
    CREATE TABLE secrets (fingerprint BLOB PRIMARY KEY, needed_until INTEGER NOT NULL) WITHOUT
        ROWID;
    CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO marks VALUES ('watermark', 17);
";

#[test]
fn what_older_versions_wrote_is_taken_along() {
    for layout in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let now = UnixTime::now();
        let old = rusqlite::Connection::open(&path).unwrap();
        let accounts = if layout == 2 { super::accounts::TABLES } else { "" };
        old.execute_batch(&format!("{OLD} {accounts} PRAGMA user_version = {layout};")).unwrap();
        for (ticket, state) in [(1_u8, 3), (2, 4), (3, 2), (4, 1)] {
            let row = params![
                [ticket; 32],
                [1_u8; 32],
                state,
                [7_u8; 16],
                now.millis() - u64::from(ticket) * 100_000
            ];
            old.execute(
                "INSERT INTO tickets VALUES (?1, 'sms', ?2, 2000000000, 1000, ?3, ?4, 1, 0, ?5)",
                row,
            )
            .unwrap();
        }
        let answer = params![[1_u8; 32], now.millis()];
        old.execute(
            "INSERT INTO answers VALUES (?1, 201, '[[\"x-id\",\"7\"]]', x'6f6b', ?2)",
            answer,
        )
        .unwrap();
        drop(old);

        let mut store = Store::open(&path).unwrap();
        let claimed = |store: &mut Store, ticket| {
            let attempt = Attempt { repeatable: false, ..attempt(ticket, 9, 1) };
            store.claim(&attempt, now, REPLAY).unwrap()
        };
        let replay = claimed(&mut store, 1);
        let kept = Kept {
            status: 201,
            headers: vec![("x-id".into(), "7".into())],
            body: Some(Bytes::from("ok")),
        };
        assert_eq!((replay.claim, replay.kept), (Claim::Replay, Some(kept)));
        assert_eq!(claimed(&mut store, 2).claim, Claim::Parked);
        assert_eq!(claimed(&mut store, 3).claim, Claim::Granted);
        assert_eq!(claimed(&mut store, 4).claim, Claim::Busy);
        assert_eq!(claimed(&mut store, 5).claim, Claim::Granted);
        let minted = Minted {
            hash: hash(6),
            service: Arc::from("sms"),
            price_msat: 1,
            at: now,
            expires: 1,
            valid_until: 2,
        };
        store.note(&[Entry::Minted(minted)], true).unwrap();
        let left: Vec<String> = {
            let connection = store.connection();
            let mut select = connection
                .prepare("SELECT name FROM sqlite_master WHERE name LIKE '%\\_2' ESCAPE '\\'")
                .unwrap();
            select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        assert!(left.is_empty(), "{left:?}");
        drop(store);
        assert!(Store::open(&path).is_ok(), "once and for all");
    }
}

/// The number of a ticket that is forgotten may be given to the next: not so its answer.
#[test]
fn a_forgotten_tickets_answer_is_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("ledger.db")).unwrap();
    let then = UnixTime::from_seconds(1_700_000_000);
    let mut deliver = |ticket: u8, at: UnixTime, kept: Option<Kept>| {
        let attempt = Attempt {
            minted_valid_until: at.seconds() + 60,
            valid_until: at.seconds() + 60,
            ..attempt(ticket, ticket, 1)
        };
        assert_eq!(store.claim(&attempt, at, REPLAY).unwrap().claim, Claim::Granted);
        let settlement = Settlement {
            hash: hash(ticket),
            claim: attempt.claim,
            outcome: Outcome::Delivered,
            kept,
        };
        assert_eq!(store.settle(&settlement, at).unwrap(), Settled::Done { attempts: 0 });
        // An answer that was stored late, so that its own pruning doesn't reach it.
        store.connection().execute("UPDATE answers SET stored_at = 9000000000000000", []).unwrap();
        let later = at.plus(Duration::from_secs(30 * 24 * 3600));
        let replay = store.claim(&attempt, at, REPLAY).unwrap();
        store.prune(later, REPLAY).unwrap();
        (replay.claim, replay.kept, later)
    };
    let answer = Kept { status: 200, headers: Vec::new(), body: Some(Bytes::from("private")) };
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
