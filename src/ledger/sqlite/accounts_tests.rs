use super::*;
use crate::ledger::accounts::{ChallengeState, DAY, Entry, Found, Minted, Receipt, Sum};
use crate::ledger::state::{Attempt, ClaimId};
use crate::ledger::store::Terms;
use crate::outcome::Outcome;

const TERMS: Terms = Terms { replay: Duration::from_secs(3600) };

fn hash(n: u8) -> PaymentHash {
    PaymentHash::from_bytes([n; 32])
}

fn minted(n: u8, at: UnixTime) -> Minted {
    Minted {
        hash: hash(n),
        service: "sms".into(),
        price_msat: 100_000,
        at,
        expires: at.seconds() + 600,
        valid_until: at.seconds() + 1000,
    }
}

fn receipt(n: u8, index: u64, at: UnixTime) -> Receipt {
    Receipt { hash: hash(n), msat: 100_001, settle_index: index, at }
}

fn day(path: &Path, at: UnixTime) -> crate::ledger::accounts::Day {
    Store::days(path, at.seconds() / DAY).unwrap()[&(at.seconds() / DAY, "sms".to_owned())]
}

fn sum(count: u64, msat: u64) -> Sum {
    Sum { count, msat }
}

#[test]
fn a_payment_counts_once_however_often_and_by_whomever_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (store, now) = (Store::open(&path).unwrap(), UnixTime::now());
    let entries: Vec<_> = [1, 2].map(|n| Entry::Minted(minted(n, now))).into();
    store.note(&entries, true).unwrap();
    store.note(&entries, true).unwrap();
    // Somebody else's invoice moves the index all the same.
    let news =
        store.paid("node", &[receipt(1, 5, now), receipt(9, 6, now), receipt(1, 7, now)]).unwrap();
    assert_eq!((news.len(), news[0].hash, news[0].service.as_str()), (1, hash(1), "sms"));
    assert_eq!(
        (store.settle_index("node").unwrap(), store.settle_index("another").unwrap()),
        (7, 0)
    );
    assert!(store.paid("node", &[receipt(1, 5, now)]).unwrap().is_empty());
    assert_eq!(store.found("node", &receipt(1, 5, now)).unwrap(), Found::Known);
    assert_eq!(day(&path, now).minted, sum(2, 200_000));
    assert_eq!(day(&path, now).paid, sum(1, 100_001));
    assert_eq!(day(&path, now).unredeemed, sum(1, 100_001));
}

#[test]
fn an_index_that_has_passed_what_is_news_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, now) = (Store::open(&folder.path().join("ledger.db")).unwrap(), UnixTime::now());
    store.note(&[1, 2, 3].map(|n| Entry::Minted(minted(n, now))), true).unwrap();
    store.paid("node", &[receipt(1, 50, now)]).unwrap();
    assert!(
        matches!(store.found("node", &receipt(2, 51, now)).unwrap(), Found::New(_)),
        "the stream will tell of it too"
    );
    assert_eq!(store.settle_index("node").unwrap(), 50);
    assert!(matches!(store.found("node", &receipt(3, 2, now)).unwrap(), Found::PastTheIndex(_)));
    assert_eq!(store.settle_index("node").unwrap(), 2);
    // One that turned up again is older than the accounts, perhaps.
    store.note(&[Entry::Found(minted(4, now))], true).unwrap();
    assert!(matches!(store.found("node", &receipt(4, 1, now)).unwrap(), Found::New(_)));
    assert_eq!(store.settle_index("node").unwrap(), 2);
}

#[test]
fn what_is_forgotten_is_kept_as_sums() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (mut store, now) = (Store::open(&path).unwrap(), UnixTime::now());
    store.note(&[1, 2, 3, 4].map(|n| Entry::Minted(minted(n, now))), true).unwrap();
    store.paid("node", &[receipt(1, 1, now), receipt(2, 2, now), receipt(3, 3, now)]).unwrap();
    store.close_challenges(&[hash(4), hash(1)]).unwrap();
    // 1 was delivered, and a crash came before that was noted; 2 was delivered and noted; 3 never.
    for n in [1, 2] {
        let claim = ClaimId::from_bytes([n; 16]);
        let attempt = Attempt {
            hash: hash(n),
            service: "sms".into(),
            request: [7; 32],
            own_request: true,
            minted_valid_until: now.seconds() + 1000,
            valid_until: now.seconds() + 1000,
            price_msat: 100_000,
            repeatable: false,
            lease: Duration::from_secs(60),
            claim,
        };
        store.claim(&attempt, now, TERMS.replay).unwrap();
        store
            .settle(
                &Settlement { hash: hash(n), claim, outcome: Outcome::Delivered, kept: None },
                now,
            )
            .unwrap();
    }
    store.note(&[Entry::Served(hash(2))], true).unwrap();
    let before = day(&path, now);
    assert_eq!((before.minted, before.paid), (sum(4, 400_000), sum(3, 300_003)));
    assert_eq!((before.redeemed, before.unredeemed), (sum(2, 200_000), sum(1, 100_001)));
    assert_eq!(Store::unredeemed(&path).unwrap(), vec![("sms".to_owned(), sum(1, 100_001))]);
    store.prune(now.plus(Duration::from_secs(600 + 3601)), TERMS.replay).unwrap();
    assert_eq!(store.challenge(&hash(4)).unwrap(), None, "unpaid: an hour after it ran out");
    assert!(store.challenge(&hash(3)).unwrap().is_some());
    for _ in 0..3 {
        store.prune(now.plus(Duration::from_secs(9 * DAY)), TERMS.replay).unwrap();
    }
    assert!([1, 2, 3].iter().all(|n| store.challenge(&hash(*n)).unwrap().is_none()));
    assert!(store.row(&hash(1)).unwrap().is_none());
    assert_eq!(day(&path, now), before);
}

/// What was paid while nobody looked, for however long, is looked up before it is forgotten.
#[test]
fn open_challenges_are_never_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, now) =
        (Store::open(&folder.path().join("ledger.db")).unwrap(), UnixTime::now());
    store.note(&[Entry::Minted(minted(1, now))], true).unwrap();
    let later = now.plus(Duration::from_secs(90 * DAY));
    store.prune(later, TERMS.replay).unwrap();
    assert!(store.challenge(&hash(1)).unwrap().is_some());
    store.close_challenges(&[hash(1)]).unwrap();
    store.prune(later, TERMS.replay).unwrap();
    assert!(store.challenge(&hash(1)).unwrap().is_none());
}

/// The payment and the stream's index are one step: neither is there without the other.
#[tokio::test]
async fn a_failed_commit_neither_marks_a_payment_nor_moves_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let ledger =
        SqliteLedger::open(&folder.path().join("ledger.db"), TERMS, Box::new(|_| {})).unwrap();
    let now = UnixTime::now();
    ledger.note(vec![Entry::Minted(minted(1, now))], true).await.unwrap();
    ledger
        .ask(|store, _| {
            store.fail_commit(2);
            Ok(())
        })
        .await
        .unwrap();
    assert!(ledger.paid("node".into(), vec![receipt(1, 4, now)]).await.is_err());
    assert_eq!(ledger.settle_index("node".into()).await.unwrap(), 0);
    assert_eq!(ledger.challenge(hash(1)).await.unwrap().unwrap().state, ChallengeState::Open);
    assert_eq!(
        ledger.paid("node".into(), vec![receipt(1, 4, now)]).await.unwrap().len(),
        1,
        "told again, it is news"
    );
    assert_eq!(ledger.settle_index("node".into()).await.unwrap(), 4);
}
