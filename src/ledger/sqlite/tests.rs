use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::ledger::accounts::{ChallengeState, Minted};
use crate::ledger::attempt::TEST_ERA;
use crate::ledger::state::{Claim, ClaimId};
use crate::ledger::stored_answer::StoredAnswer;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;

const TERMS: LedgerTerms = LedgerTerms { replay: Duration::from_secs(3600) };

fn open(path: &Path) -> SqliteLedger {
    if !path.exists() {
        let store = Store::open(path).unwrap();
        marks::set(store.connection(), marks::ERA, TEST_ERA.number()).unwrap();
    }
    SqliteLedger::open(path, TERMS, Box::new(|_| {})).unwrap()
}

fn attempt(ticket: u8, claim: u8) -> Attempt {
    Attempt::of_test(ticket, claim, UnixTime::now().seconds() + 1000)
}

fn settlement(ticket: u8, claim: u8, outcome: Outcome, answer: Option<StoredAnswer>) -> Settlement {
    Settlement {
        hash: PaymentHash::from_bytes([ticket; 32]),
        claim: ClaimId::from_bytes([claim; 16]),
        outcome,
        answer,
        refused: None,
        uncounted: None,
    }
}

fn answer() -> StoredAnswer {
    StoredAnswer {
        status: 201,
        headers: vec![("content-type".into(), "text/plain".into())],
        body: Some("Okay".into()),
    }
}

#[tokio::test]
async fn one_of_many_at_once_is_granted_and_the_answer_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Arc::new(open(&path));
    let granted = Arc::new(AtomicUsize::new(0));
    let tries: Vec<_> = (0..200)
        .map(|n| {
            let (ledger, granted) = (Arc::clone(&ledger), Arc::clone(&granted));
            tokio::spawn(async move {
                match ledger.claim(attempt(1, n)).await.unwrap().claim {
                    Claim::Granted => {
                        granted.fetch_add(1, Ordering::SeqCst);
                        ledger
                            .settle(settlement(1, n, Outcome::Delivered, Some(answer())))
                            .await
                            .unwrap();
                    }
                    Claim::Busy | Claim::Replay => {}
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    for one in tries {
        one.await.unwrap();
    }
    assert_eq!(granted.load(Ordering::SeqCst), 1);
    drop(ledger);
    let again = open(&path).claim(attempt(1, 250)).await.unwrap();
    assert_eq!((again.claim, again.answer), (Claim::Replay, Some(answer())));
}

#[tokio::test]
async fn what_was_claimed_at_a_crash_is_parked_and_what_was_free_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    for ticket in [1, 2] {
        assert_eq!(ledger.claim(attempt(ticket, 1)).await.unwrap().claim, Claim::Granted);
    }
    ledger.settle(settlement(2, 1, Outcome::NotSent, None)).await.unwrap();
    drop(ledger);
    let ledger = open(&path);
    assert_eq!(ledger.parked_at_start(), 1);
    assert_eq!(ledger.claim(attempt(1, 2)).await.unwrap().claim, Claim::Parked);
    assert_eq!(
        ledger.settle(settlement(1, 9, Outcome::NotSent, None)).await.unwrap(),
        Settled::Stale,
        "another try's word"
    );
    assert!(matches!(ledger.claim(attempt(2, 2)).await.unwrap().claim, Claim::RetryLater { .. }));
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(ledger.claim(attempt(2, 2)).await.unwrap().claim, Claim::Granted);
    let summary = SqliteLedger::inspect(&path).unwrap().unwrap();
    assert_eq!((summary.tickets, summary.parked), (2, 1));
}

#[tokio::test]
async fn a_second_process_is_kept_out_and_another_layout_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    let second = SqliteLedger::open(&path, TERMS, Box::new(|_| {}));
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    drop(ledger);
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(matches!(
        SqliteLedger::open(&path, TERMS, Box::new(|_| {})),
        Err(OpenError::OtherLayout { found: 99, .. })
    ));
}

/// A failing database (here: one that is swapped for a folder) refuses claims, and takes them again
/// once it is back.
#[tokio::test]
async fn a_broken_database_grants_nothing_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    assert_eq!(ledger.claim(attempt(1, 1)).await.unwrap().claim, Claim::Granted);
    // A second writer holds the database longer than we wait: the same to us as a disk that says
    // no.
    let rival = rusqlite::Connection::open(&path).unwrap();
    rival.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = ledger.claim(attempt(2, 1)).await;
    assert!(matches!(refused, Err(LedgerError::Down(_))), "{refused:?}");
    assert!(ledger.health().is_err());
    rival.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ledger.claim(attempt(2, 2)).await.unwrap().claim, Claim::Granted);
    assert!(ledger.health().is_ok());
    // The claim from before is still ours to settle.
    assert_eq!(
        ledger.settle(settlement(1, 1, Outcome::Delivered, None)).await.unwrap(),
        Settled::Done { attempts: 0 }
    );
}

/// The claim itself goes well, and the commit doesn't: nobody may be told that it was granted.
#[tokio::test]
async fn a_failed_commit_grants_nothing_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"));
    ledger
        .ask(|store, _| {
            store.fail_commit(2);
            Ok(())
        })
        .await
        .unwrap();
    let refused = ledger.claim(attempt(1, 1)).await;
    assert!(matches!(refused, Err(LedgerError::Down(_))), "{refused:?}");
    assert!(ledger.health().is_err());
    assert_eq!(ledger.claim(attempt(1, 2)).await.unwrap().claim, Claim::Granted);
    assert!(ledger.health().is_ok());
}

#[tokio::test]
async fn a_full_disk_grants_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"));
    let hash = |n: u16| {
        PaymentHash::from_bytes([&n.to_be_bytes()[..], &[0; 30]].concat().try_into().unwrap())
    };
    let mut granted = Vec::new();
    ledger
        .ask(|store, _| {
            store.fill_up();
            Ok(())
        })
        .await
        .unwrap();
    let refused = loop {
        let n = u16::try_from(granted.len()).unwrap();
        match ledger.claim(Attempt { hash: hash(n), ..attempt(0, 1) }).await {
            Ok(claimed) => {
                assert_eq!(claimed.claim, Claim::Granted);
                granted.push(n);
            }
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("full"), "{refused}");
    assert!(ledger.health().is_err());
    let last = u16::try_from(granted.len()).unwrap();
    assert_eq!(
        ledger.claim(Attempt { hash: hash(last), ..attempt(0, 2) }).await.unwrap().claim,
        Claim::Granted,
        "there is room again"
    );
    for n in granted {
        assert_eq!(
            ledger.claim(Attempt { hash: hash(n), ..attempt(0, 3) }).await.unwrap().claim,
            Claim::Busy,
            "still held"
        );
    }
}

/// The payment and the stream's index are one step: neither is there without the other.
#[tokio::test]
async fn a_failed_commit_neither_marks_a_payment_nor_moves_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"));
    let (hash, now) = (PaymentHash::from_bytes([1; 32]), UnixTime::now());
    let until = now.seconds() + 600;
    let service = "sms".into();
    let minted = Minted {
        hash,
        service,
        price_msat: 100_000,
        at: now,
        expires: until,
        valid_until: until,
        is_pass: false,
        address: "POST /sms".into(),
    };
    ledger.note(vec![JournalEntry::Minted(minted)], true).await.unwrap();
    let fail = |store: &mut Store, _: &mut Batch| {
        store.fail_commit(2);
        Ok(())
    };
    ledger.ask(fail).await.unwrap();
    let settled = || vec![SettledInvoice { hash, msat: 100_000, settle_index: 4, at: now }];
    assert!(ledger.paid("node".into(), settled()).await.is_err());
    assert_eq!(ledger.settle_index("node".into()).await.unwrap(), 0);
    assert_eq!(ledger.challenge(hash).await.unwrap().unwrap().state, ChallengeState::Open);
    let again = ledger.paid("node".into(), settled()).await.unwrap();
    assert_eq!(again.len(), 1, "told again, it is news");
    assert_eq!(ledger.settle_index("node".into()).await.unwrap(), 4);
}
