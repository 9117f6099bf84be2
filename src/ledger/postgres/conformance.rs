//! The PostgreSQL ledger on a server of the test's own, whose clock reads what the test says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::connect::connect;
use super::statements::RELEASE_RESTORED;
use super::url::read_url;
use super::{Admin, PostgresLedger, SecretTerms};
use crate::era::Era;
use crate::keys::Fingerprint;
use crate::ledger::accounts::{
    Accounts as _, Challenge, Days, JournalEntry, NewlyPaid, Recorded, SettledInvoice, SoldOffer,
    Sum,
};
use crate::ledger::clock::Moment;
use crate::ledger::conformance::messages::MessagesSubject;
use crate::ledger::conformance::postgres_server::Postgres;
use crate::ledger::conformance::{AccountsSubject, REPLAY, START, Subject, at, wait_until};
use crate::ledger::error::LedgerError;
use crate::ledger::messages::{
    Allowed, Delivery, Messages as _, RefusedNumber, Report, Reported, RoomQuery, Standing,
};
use crate::ledger::state::{Attempt, Claim, ClaimId, Marks, Resolution, Row, State};
use crate::ledger::store::{Claimed, LedgerStore as _, LedgerTerms, Settled, Settlement, Waiting};
use crate::number_hash::NumberHash;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

pub(in crate::ledger) struct PostgresSubject {
    runtime: Runtime,
    ledger: Arc<PostgresLedger>,
    url: Zeroizing<String>,
    tls: Arc<ClientConfig>,
    _server: Postgres,
}

/// What a copy holds.
const TABLES: [&str; 3] = ["tickets", "answers", "marks"];

/// The one place by which the ledger reads the time.
const CLOCK: &str = "
    CREATE TABLE farebox.test_clock (ms bigint NOT NULL);
    INSERT INTO farebox.test_clock VALUES (0);
    CREATE OR REPLACE FUNCTION farebox.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
        'SELECT ms FROM farebox.test_clock';";

impl PostgresSubject {
    pub(in crate::ledger) fn new() -> Self {
        let server = Postgres::start();
        server.query("ALTER SYSTEM SET fsync = off");
        server.query("SELECT pg_reload_conf()");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let terms = LedgerTerms { replay: REPLAY };
        let secrets = SecretTerms {
            known: vec![[1; 16]],
            minting: [1; 16],
            ledgers: Vec::new(),
            needed_for: Duration::ZERO,
            network: "regtest",
        };
        let url = Zeroizing::new(server.url());
        let tls = Arc::new(tls);
        let opening =
            PostgresLedger::open(&url, Arc::clone(&tls), terms, secrets, Box::new(|_| {}));
        let ledger = Arc::new(runtime.block_on(opening).unwrap());
        let kept = Arc::clone(&ledger);
        runtime.spawn(async move { kept.keep_connections().await });
        wait_until("a connection", || ledger.health().is_ok());
        server.query(CLOCK);
        let mut subject = Self { runtime, ledger, url, tls, _server: server };
        subject.set_now(at(START));
        subject
    }

    /// Claims on as many connections as there are, at the same moment.
    pub(in crate::ledger) fn claim_at_once(&mut self, attempts: Vec<Attempt>) -> Vec<Claim> {
        self.runtime.block_on(async {
            let claiming = |attempt| {
                let ledger = Arc::clone(&self.ledger);
                tokio::spawn(async move { ledger.claim(attempt).await.unwrap().claim })
            };
            let all: Vec<_> = attempts.into_iter().map(claiming).collect();
            let mut claims = Vec::new();
            for one in all {
                claims.push(one.await.unwrap());
            }
            claims
        })
    }

    /// Whoever takes a message back waits for the row of one scope without having that of a later
    /// one, whichever the server comes upon first: else it and a claim wait for each other.
    pub(in crate::ledger) fn takes_back_in_the_order_of_counting(&mut self) {
        let message = "'\\x01', ARRAY['\\x02']::bytea[], ARRAY['sms +44', 'sms']";
        let named = message.replacen(',', ", 'sms',", 1);
        self.run(&format!("SELECT farebox.keep_message({named}, '+44', NULL, 60000, false)"));
        // It is written anew, behind the other.
        self.run("UPDATE farebox.day_counts SET messages = messages WHERE scope = 'sms'");
        self.runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..3 {
                let (client, _driver) =
                    connect(&read_url(&self.url).unwrap(), &self.tls).await.unwrap();
                clients.push(client);
            }
            let [holds_first, takes_back, looks] = clients.try_into().unwrap();
            let lock = |scope| {
                let row = format!("FROM farebox.day_counts WHERE scope = '{scope}'");
                format!("SELECT {row} FOR UPDATE NOWAIT")
            };
            holds_first.batch_execute(&format!("BEGIN; {}", lock("sms"))).await.unwrap();
            let taking = tokio::spawn(async move {
                let by_place = "SET enable_indexscan = off; SET enable_bitmapscan = off";
                let take = format!("{by_place}; SELECT farebox.take_back_message({message})");
                takes_back.batch_execute(&take).await
            });
            let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query \
                         LIKE '%take_back%'";
            while looks.query(waits, &[]).await.unwrap().is_empty() {
                assert!(!taking.is_finished(), "it had nothing to wait for");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            looks.batch_execute(&lock("sms +44")).await.expect("the later row is free");
            holds_first.batch_execute("COMMIT").await.unwrap();
            taking.await.unwrap().unwrap();
        });
    }

    /// Whoever refuses a number waits for the row of the secret without having that of the number,
    /// by a settlement as by itself: else two wait for each other.
    pub(in crate::ledger) fn refuses_a_number_after_its_secret(&mut self, settling: Settlement) {
        let refused = settling.refused.unwrap();
        self.refuse_number(refused);
        let (by_itself, settles) = (Arc::clone(&self.ledger), Arc::clone(&self.ledger));
        self.runtime.block_on(async {
            self.has_only_the_secret(async move { by_itself.refuse_number(refused).await }).await;
            let settled = async move { settles.settle(settling).await.map(|_| ()) };
            self.has_only_the_secret(settled).await;
        });
    }

    /// Has a statement wait for a secret's row, and looks which others it has.
    async fn has_only_the_secret(
        &self,
        refuses: impl Future<Output = Result<(), LedgerError>> + Send + 'static,
    ) {
        let mut clients = Vec::new();
        for _ in 0..2 {
            let url = read_url(&self.url).unwrap();
            clients.push(connect(&url, &self.tls).await.unwrap());
        }
        let [(holds_secret, _), (looks, _)] = &clients[..] else { unreachable!() };
        let lock = "SELECT FROM farebox.secrets FOR UPDATE";
        holds_secret.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        let refusing = tokio::spawn(refuses);
        let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while looks.query(waits, &[]).await.unwrap().is_empty() {
            assert!(!refusing.is_finished(), "it had nothing to wait for");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let lock = "SELECT FROM farebox.refused_numbers FOR UPDATE NOWAIT";
        assert_eq!(looks.query(lock, &[]).await.expect("the number's row is free").len(), 1);
        holds_secret.batch_execute("COMMIT").await.unwrap();
        refusing.await.unwrap().unwrap();
    }

    fn clock(&self) -> i64 {
        let sql = "SELECT farebox.clock_ms()";
        let rows = self.runtime.block_on(self.ledger.rows(sql, &[])).unwrap();
        rows[0].get(0)
    }

    fn run(&self, sql: &str) {
        self.runtime.block_on(self.ledger.execute(sql, &[])).unwrap();
    }
}

impl Subject for PostgresSubject {
    fn set_now(&mut self, now: Moment) {
        self.run(&format!("UPDATE farebox.test_clock SET ms = {}", now.wall.millis()));
        self.run(&format!(
            "UPDATE farebox.marks SET value = {} WHERE name = 'clock'",
            now.ledger.millis()
        ));
    }

    fn marks(&mut self) -> Marks {
        let number = |name: &str| {
            let sql = "SELECT value FROM farebox.marks WHERE name = $1";
            let rows = self.runtime.block_on(self.ledger.rows(sql, &[&name])).unwrap();
            rows.first().map_or(0, |row| row.get::<_, i64>(0))
        };
        Marks {
            era: Era::from_number(number("era")),
            released_before: UnixTime::from_millis(number("released").try_into().unwrap()),
            watermark: number("watermark").try_into().unwrap(),
        }
    }

    fn claim(&mut self, attempt: &Attempt) -> Claimed {
        self.runtime.block_on(self.ledger.claim(attempt.clone())).unwrap()
    }

    fn settle(&mut self, settlement: &Settlement) -> Settled {
        self.runtime.block_on(self.ledger.settle(settlement.clone())).unwrap()
    }

    fn resolve(&mut self, hash: PaymentHash, claim: ClaimId, resolution: Resolution) -> Settled {
        self.runtime.block_on(self.ledger.resolve(hash, claim, resolution)).unwrap()
    }

    fn withdraw(&mut self, hash: PaymentHash, claim: ClaimId) {
        self.ledger.remember(hash, claim, Instant::now());
        self.runtime.block_on(self.ledger.withdraw_unconfirmed()).unwrap();
        self.ledger.unconfirmed.lock().unwrap().clear();
    }

    fn revoke(&mut self, hash: PaymentHash, valid_until: u64) {
        self.runtime.block_on(self.ledger.revoke(hash, valid_until)).unwrap();
    }

    fn park_orphans(&mut self) {
        self.run("UPDATE farebox.tickets SET lease_until = 0");
        self.runtime.block_on(self.ledger.sweep()).unwrap();
    }

    fn prune(&mut self) {
        while self.runtime.block_on(self.ledger.prune()).unwrap() {}
    }

    fn row(&mut self, hash: PaymentHash) -> Option<Row> {
        self.runtime.block_on(self.ledger.show(hash)).unwrap()
    }

    fn list(&mut self, state: Option<State>) -> Vec<(PaymentHash, Row)> {
        self.runtime.block_on(self.ledger.list(state, 1000)).unwrap()
    }

    fn waiting(&mut self) -> Vec<Waiting> {
        self.runtime.block_on(self.ledger.waiting()).unwrap()
    }

    fn revoked(&mut self) -> Vec<PaymentHash> {
        self.runtime.block_on(self.ledger.revoked()).unwrap()
    }

    fn sealed(&mut self, hash: PaymentHash) -> Option<Vec<u8>> {
        self.runtime.block_on(self.ledger.sealed(hash)).unwrap()
    }

    fn back_up(&mut self) {
        self.run("DROP SCHEMA IF EXISTS copy CASCADE");
        self.run("CREATE SCHEMA copy");
        for table in TABLES {
            self.run(&format!("CREATE TABLE copy.{table} AS TABLE farebox.{table}"));
        }
    }

    /// The rows of the copy, and what `ledger restored` does.
    fn put_back(&mut self) -> u64 {
        let now: i64 = self.clock();
        for table in TABLES {
            self.run(&format!("DELETE FROM farebox.{table}"));
            self.run(&format!("INSERT INTO farebox.{table} TABLE copy.{table}"));
        }
        self.run(&format!("UPDATE farebox.marks SET value = {now} WHERE name = 'clock'"));
        self.runtime.block_on(async {
            let mut admin = Admin::connect(&self.url, &self.tls).await.unwrap();
            admin.restored().await.unwrap().1
        })
    }

    fn release_restored(&mut self, minted_before: UnixTime) -> u64 {
        let before = i64::try_from(minted_before.millis()).unwrap();
        self.runtime
            .block_on(async { self.ledger.execute(&RELEASE_RESTORED, &[&before]).await })
            .unwrap()
    }

    fn clear(&mut self) {
        for table in [
            "tickets",
            "answers",
            "challenges",
            "days",
            "secrets",
            "offers",
            "messages",
            "day_counts",
            "refused_numbers",
        ] {
            self.run(&format!("DELETE FROM farebox.{table}"));
        }
        self.run("UPDATE farebox.marks SET value = 0 WHERE name IN ('watermark', 'released')");
        self.run("DELETE FROM farebox.marks WHERE name LIKE 'settle-index %'");
        self.set_now(at(START));
    }
}

impl AccountsSubject for PostgresSubject {
    fn note(&mut self, entries: &[JournalEntry], challenges: bool) {
        self.runtime.block_on(self.ledger.note(entries.to_vec(), challenges)).unwrap();
    }

    fn paid(&mut self, node: &str, settled: &[SettledInvoice]) -> Vec<NewlyPaid> {
        self.runtime.block_on(self.ledger.paid(node.into(), settled.to_vec())).unwrap()
    }

    fn found(&mut self, node: &str, settled: SettledInvoice) -> Recorded {
        self.runtime.block_on(self.ledger.found(node.into(), settled)).unwrap()
    }

    fn close(&mut self, hashes: &[PaymentHash]) {
        self.runtime.block_on(self.ledger.close(hashes.to_vec())).unwrap();
    }

    fn sold(&mut self) -> Vec<SoldOffer> {
        self.runtime.block_on(self.ledger.sold()).unwrap()
    }

    fn settle_index(&mut self, node: &str) -> u64 {
        self.runtime.block_on(self.ledger.settle_index(node.into())).unwrap()
    }

    fn open_challenges(&mut self, ran_out_before: Option<u64>) -> Vec<Challenge> {
        self.runtime.block_on(self.ledger.open_challenges(ran_out_before, 1000)).unwrap()
    }

    fn challenge(&mut self, hash: PaymentHash) -> Option<Challenge> {
        self.runtime.block_on(self.ledger.challenge(hash)).unwrap()
    }

    fn days(&mut self, first_day: u64) -> Days {
        self.runtime.block_on(self.ledger.days(first_day)).unwrap()
    }

    fn unredeemed(&mut self) -> Vec<(String, Sum)> {
        self.runtime.block_on(self.ledger.unredeemed()).unwrap()
    }

    fn note_secret(&mut self, secret: Fingerprint, needed_until: UnixTime) {
        self.runtime.block_on(self.ledger.note_secret(secret, needed_until)).unwrap();
    }

    fn secrets_in_use(&mut self, now: UnixTime) -> Vec<[u8; 16]> {
        self.runtime.block_on(self.ledger.secrets_in_use(now)).unwrap()
    }
}

impl MessagesSubject for PostgresSubject {
    fn standing(&mut self, asked: &RoomQuery) -> Standing {
        self.runtime.block_on(self.ledger.standing(asked.clone())).unwrap()
    }

    fn report(&mut self, report: &Report) -> Option<Reported> {
        self.runtime.block_on(self.ledger.report(report.clone())).unwrap()
    }

    fn delivery(&mut self, ticket: PaymentHash) -> Option<Delivery> {
        self.runtime.block_on(self.ledger.delivery(ticket)).unwrap()
    }

    fn refuse_number(&mut self, refused: RefusedNumber) {
        self.runtime.block_on(self.ledger.refuse_number(refused)).unwrap();
    }

    fn allow_numbers(&mut self, numbers: &[NumberHash], allowed: Allowed) -> bool {
        self.runtime.block_on(self.ledger.allow_numbers(numbers.to_vec(), allowed)).unwrap()
    }
}
