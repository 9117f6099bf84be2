//! The SQLite store, by the same functions that its writer calls, at the test's time.

use tempfile::TempDir;

use super::read;
use super::store::Store;
use crate::keys::Fingerprint;
use crate::ledger::accounts::{
    Challenge, Days, JournalEntry, NewlyPaid, Recorded, SettledInvoice, Sum,
};
use crate::ledger::conformance::{AccountsSubject, REPLAY, START, Subject};
use crate::ledger::state::{Attempt, ClaimId, Resolution, Row, State};
use crate::ledger::store::{Claimed, Settled, Settlement};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

pub(in crate::ledger) struct SqliteSubject {
    now: UnixTime,
    folder: TempDir,
    store: Store,
}

impl SqliteSubject {
    pub(in crate::ledger) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ledger.db")).unwrap();
        Self { now: START, folder, store }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.db")
    }
}

impl Subject for SqliteSubject {
    fn set_now(&mut self, now: UnixTime) {
        self.now = now;
    }

    fn claim(&mut self, attempt: &Attempt) -> Claimed {
        self.store.claim(attempt, self.now, REPLAY).unwrap()
    }

    fn settle(&mut self, settlement: &Settlement) -> Settled {
        self.store.settle(settlement, self.now).unwrap()
    }

    fn resolve(&mut self, hash: PaymentHash, claim: ClaimId, resolution: Resolution) -> Settled {
        self.store.resolve(&hash, claim, resolution, self.now).unwrap()
    }

    fn withdraw(&mut self, hash: PaymentHash, claim: ClaimId) {
        self.store.withdraw(&[(hash, claim)]).unwrap();
    }

    fn revoke(&mut self, hash: PaymentHash, valid_until: u64) {
        self.store.revoke(&hash, valid_until, self.now).unwrap();
    }

    /// As at a start, which forgets what this store remembered.
    fn park_orphans(&mut self) {
        self.store = Store::open(&self.path()).unwrap();
        self.store.park_orphans(self.now).unwrap();
    }

    fn prune(&mut self) {
        while self.store.prune(self.now, REPLAY).unwrap() {}
    }

    fn row(&mut self, hash: PaymentHash) -> Option<Row> {
        self.store.row(&hash).unwrap()
    }

    fn list(&mut self, state: Option<State>) -> Vec<(PaymentHash, Row)> {
        read::list(&self.path(), state, 1000).unwrap()
    }

    fn revoked(&mut self) -> Vec<PaymentHash> {
        self.store.revoked().unwrap()
    }

    fn clear(&mut self) {
        *self = Self::new();
    }
}

impl AccountsSubject for SqliteSubject {
    fn note(&mut self, entries: &[JournalEntry], challenges: bool) {
        self.store.note(entries, challenges).unwrap();
    }

    fn paid(&mut self, node: &str, settled: &[SettledInvoice]) -> Vec<NewlyPaid> {
        self.store.paid(node, settled).unwrap()
    }

    fn found(&mut self, node: &str, settled: SettledInvoice) -> Recorded {
        self.store.found(node, &settled).unwrap()
    }

    fn close(&mut self, hashes: &[PaymentHash]) {
        self.store.close_challenges(hashes).unwrap();
    }

    fn settle_index(&mut self, node: &str) -> u64 {
        self.store.settle_index(node).unwrap()
    }

    fn open_challenges(&mut self, ran_out_before: Option<u64>) -> Vec<Challenge> {
        self.store.open_challenges(ran_out_before, 1000).unwrap()
    }

    fn challenge(&mut self, hash: PaymentHash) -> Option<Challenge> {
        self.store.challenge(&hash).unwrap()
    }

    fn days(&mut self, first_day: u64) -> Days {
        Store::days(&self.path(), first_day).unwrap()
    }

    fn unredeemed(&mut self) -> Vec<(String, Sum)> {
        Store::unredeemed(&self.path()).unwrap()
    }

    fn note_secret(&mut self, secret: Fingerprint, needed_until: UnixTime) {
        self.store.note_secret(secret.as_bytes(), needed_until).unwrap();
    }

    fn secrets_in_use(&mut self, now: UnixTime) -> Vec<[u8; 16]> {
        self.store.secrets_in_use(now).unwrap()
    }
}
