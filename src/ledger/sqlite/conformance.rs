//! The SQLite store, by the same functions that its writer calls, at the test's time.

use tempfile::TempDir;

use super::store::Store;
use super::{copy, read};
use crate::keys::Fingerprint;
use crate::ledger::accounts::{
    Challenge, Days, JournalEntry, NewlyPaid, Recorded, SettledInvoice, SoldOffer, Sum,
};
use crate::ledger::clock::Moment;
use crate::ledger::conformance::messages::MessagesSubject;
use crate::ledger::conformance::{AccountsSubject, REPLAY, START, Subject, at};
use crate::ledger::messages::{
    Allowed, Delivery, RefusedNumber, Report, Reported, RoomQuery, Standing,
};
use crate::ledger::state::{Attempt, ClaimId, Marks, Resolution, Row, State};
use crate::ledger::store::{Claimed, Settled, Settlement, Waiting};
use crate::number_hash::NumberHash;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

pub(in crate::ledger) struct SqliteSubject {
    now: Moment,
    folder: TempDir,
    store: Store,
}

impl SqliteSubject {
    pub(in crate::ledger) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ledger.db")).unwrap();
        Self { now: at(START), folder, store }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.db")
    }
}

impl Subject for SqliteSubject {
    fn set_now(&mut self, now: Moment) {
        self.now = now;
    }

    fn marks(&mut self) -> Marks {
        self.store.marks
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

    fn waiting(&mut self) -> Vec<Waiting> {
        read::waiting(&self.path()).unwrap()
    }

    fn revoked(&mut self) -> Vec<PaymentHash> {
        self.store.revoked().unwrap()
    }

    fn sealed(&mut self, hash: PaymentHash) -> Option<Vec<u8>> {
        self.store.sealed(&hash).unwrap()
    }

    fn back_up(&mut self) {
        let copy = self.folder.path().join("copy.db");
        let _ = std::fs::remove_file(&copy);
        copy::back_up(&self.path(), &copy).unwrap();
    }

    /// As the docs say: the file in its place, without the log of the one before.
    fn put_back(&mut self) -> u64 {
        let elsewhere = tempfile::tempdir().unwrap();
        self.store = Store::open(&elsewhere.path().join("ledger.db")).unwrap();
        for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            let _ = std::fs::remove_file(self.folder.path().join(name));
        }
        std::fs::copy(self.folder.path().join("copy.db"), self.path()).unwrap();
        let parked = copy::begin_life(&self.path(), self.now).unwrap().parked;
        self.store = Store::open(&self.path()).unwrap();
        parked
    }

    fn release_restored(&mut self, minted_before: UnixTime) -> u64 {
        self.store.release_restored(minted_before, self.now).unwrap()
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

    fn sold(&mut self) -> Vec<SoldOffer> {
        Store::sold(&self.path()).unwrap()
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

impl MessagesSubject for SqliteSubject {
    fn standing(&mut self, asked: &RoomQuery) -> Standing {
        self.store.standing(asked, self.now).unwrap()
    }

    fn report(&mut self, report: &Report) -> Option<Reported> {
        self.store.report(report, self.now).unwrap()
    }

    fn delivery(&mut self, ticket: PaymentHash) -> Option<Delivery> {
        self.store.delivery(&ticket, self.now).unwrap()
    }

    fn refuse_number(&mut self, refused: RefusedNumber) {
        self.store.refuse_number(&refused, self.now).unwrap();
    }

    fn allow_numbers(&mut self, numbers: &[NumberHash], allowed: Allowed) -> bool {
        self.store.allow_numbers(numbers, allowed).unwrap()
    }
}
