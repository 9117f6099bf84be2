//! The durable record of tickets that were handed in: exactly once, whatever keeps it. Whoever
//! waits for a ticket hears of each change from here, after its commit.

pub mod accounts;
mod attempt;
pub mod changes;
pub mod clock;
pub mod error;
pub mod id;
mod journal;
mod limits;
pub mod messages;
pub mod postgres;
mod revoked;
mod row;
pub mod sold_on;
mod sql;
pub mod sqlite;
pub mod state;
pub mod store;
pub mod stored_answer;

#[cfg(test)]
mod conformance;

use std::sync::Arc;

use self::accounts::{
    Challenge, Days, JournalEntry, NewlyPaid, Recorded, SettledInvoice, SoldOffer, Sum,
};
use self::changes::{Changes, Subscription};
use self::clock::Moment;
use self::error::LedgerError;
use self::journal::Journal;
use self::messages::{Allowed, Delivery, RefusedNumber, Report, Reported, RoomQuery, Standing};
use self::revoked::Revoked;
use self::state::{Attempt, Claim, ClaimId, Marks, Resolution, Row, State};
use self::store::{Claimed, Exported, LedgerStore, Settled, Settlement, Waiting};
use crate::keys::Fingerprint;
use crate::number_hash::NumberHash;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// A store; those who wait for what changes in it; and what of it is kept in memory or written a
/// little later, so that no request waits for it.
///
/// What its methods do is said at `LedgerStore` and `Accounts`. Those that change how a ticket
/// stands tell whoever waits for it, once the change is durable.
pub struct Ledger {
    store: Box<dyn LedgerStore>,
    changes: Arc<Changes>,
    journal: Journal,
    revoked: Revoked,
}

impl Ledger {
    /// Over a store that was opened. Of challenges it keeps sums.
    pub fn new(store: impl LedgerStore + 'static) -> Self {
        Self {
            store: Box::new(store),
            changes: Arc::default(),
            journal: Journal::new(false),
            revoked: Revoked::default(),
        }
    }

    /// With `kept`, each challenge has a row from now on, by which its payment is recognised.
    pub fn with_challenge_rows(self, kept: bool) -> Self {
        Self { journal: Journal::new(kept), ..self }
    }

    /// Has an entry of the accounts written soon; waits for no disk.
    pub fn append(&self, entry: JournalEntry) {
        self.journal.append(entry);
    }

    /// A pass is used, for the first time or again.
    pub fn pass_served(&self, hash: PaymentHash) {
        self.journal.pass_served(hash);
    }

    /// Writes all entries that were appended before; `false` if they can't be written now.
    pub async fn flush(&self) -> bool {
        self.journal.flush(&*self.store).await
    }

    /// Writes what is appended, for as long as it is polled.
    pub async fn run_journal(&self) {
        self.journal.run(&*self.store).await;
    }

    /// Whether a ticket was taken back, as far as is known here.
    pub fn is_revoked(&self, hash: &PaymentHash) -> bool {
        self.revoked.contains(hash)
    }

    /// The same for tickets that nothing else is asked about; `None` if what is known is too old
    /// for them.
    pub fn is_revoked_for_certain(&self, hash: &PaymentHash) -> Option<bool> {
        self.revoked.contains_for_certain(hash)
    }

    /// Reads at once which tickets were taken back.
    pub async fn refresh_revoked(&self) {
        self.revoked.refresh(&*self.store).await;
    }

    /// Reads again and again which tickets were taken back, for as long as it is polled.
    pub async fn watch_revoked(&self) {
        self.revoked.watch(&*self.store).await;
    }

    /// A place among those who wait for a ticket; `None` if there is none.
    pub fn subscribe(&self, ticket: PaymentHash) -> Option<Subscription> {
        self.changes.subscribe(ticket)
    }

    /// See `LedgerStore::claim`.
    pub async fn claim(&self, attempt: Attempt) -> Result<Claimed, LedgerError> {
        let hash = attempt.hash;
        let claimed = self.store.claim(attempt).await?;
        if claimed.claim == Claim::Granted {
            self.changes.notify(&hash);
        }
        Ok(claimed)
    }

    /// See `LedgerStore::settle`.
    pub async fn settle(&self, settlement: Settlement) -> Result<Settled, LedgerError> {
        let hash = settlement.hash;
        let settled = self.store.settle(settlement).await?;
        self.notify_unless_stale(&hash, settled);
        Ok(settled)
    }

    /// See `LedgerStore::resolve`.
    pub async fn resolve(
        &self,
        hash: PaymentHash,
        claim: ClaimId,
        resolution: Resolution,
    ) -> Result<Settled, LedgerError> {
        let settled = self.store.resolve(hash, claim, resolution).await?;
        self.notify_unless_stale(&hash, settled);
        Ok(settled)
    }

    /// See `LedgerStore::revoke`.
    pub async fn revoke(&self, hash: PaymentHash, valid_until: u64) -> Result<(), LedgerError> {
        self.store.revoke(hash, valid_until).await?;
        self.changes.notify(&hash);
        Ok(())
    }

    /// See `Accounts::paid`. `recorded` gets the news before anybody else hears of it.
    pub async fn paid(
        &self,
        node: Arc<str>,
        settled: Vec<SettledInvoice>,
        recorded: impl FnOnce(&[NewlyPaid]),
    ) -> Result<(), LedgerError> {
        let hashes: Vec<PaymentHash> = settled.iter().map(|one| one.hash).collect();
        recorded(&self.store.paid(node, settled).await?);
        // Also of what another instance wrote down before: whoever waits here has not heard of it.
        hashes.iter().for_each(|hash| self.changes.notify(hash));
        Ok(())
    }

    /// See `Accounts::found`.
    pub async fn found(
        &self,
        node: Arc<str>,
        settled: SettledInvoice,
    ) -> Result<Recorded, LedgerError> {
        let recorded = self.store.found(node, settled).await?;
        // Not of what was known: whoever waits may have asked for it, and would hear of its own
        // question.
        if recorded != Recorded::Known {
            self.changes.notify(&settled.hash);
        }
        Ok(recorded)
    }

    /// See `Accounts::close`.
    pub async fn close(&self, hashes: Vec<PaymentHash>) -> Result<(), LedgerError> {
        self.store.close(hashes.clone()).await?;
        hashes.iter().for_each(|hash| self.changes.notify(hash));
        Ok(())
    }

    fn notify_unless_stale(&self, hash: &PaymentHash, settled: Settled) {
        if settled != Settled::Stale {
            self.changes.notify(hash);
        }
    }

    /// See `LedgerStore::note_secret`.
    pub async fn note_secret(
        &self,
        secret: Fingerprint,
        needed_until: UnixTime,
    ) -> Result<(), LedgerError> {
        self.store.note_secret(secret, needed_until).await
    }

    /// See `LedgerStore::list`.
    pub async fn list(
        &self,
        state: Option<State>,
        limit: u32,
    ) -> Result<Vec<(PaymentHash, Row)>, LedgerError> {
        self.store.list(state, limit).await
    }

    /// See `LedgerStore::show`.
    pub async fn show(&self, hash: PaymentHash) -> Result<Option<Row>, LedgerError> {
        self.store.show(hash).await
    }

    /// See `LedgerStore::run`.
    pub async fn run(&self) {
        self.store.run().await;
    }

    /// See `LedgerStore::sealed`.
    pub async fn sealed(&self, hash: PaymentHash) -> Result<Option<Vec<u8>>, LedgerError> {
        self.store.sealed(hash).await
    }

    /// See `LedgerStore::release_restored`.
    pub async fn release_restored(&self, minted_before: UnixTime) -> Result<u64, LedgerError> {
        self.store.release_restored(minted_before).await
    }

    /// See `LedgerStore::shut`.
    pub async fn shut(&self) -> Result<(), LedgerError> {
        self.store.shut().await
    }

    /// See `LedgerStore::now`.
    pub fn now(&self) -> Moment {
        self.store.now()
    }

    /// See `LedgerStore::life`.
    pub fn life(&self) -> Option<Marks> {
        self.store.life()
    }

    /// See `LedgerStore::health`.
    pub fn health(&self) -> Result<(), LedgerError> {
        self.store.health()
    }

    /// See `Accounts::sold`.
    pub async fn sold(&self) -> Result<Vec<SoldOffer>, LedgerError> {
        self.store.sold().await
    }

    /// See `Accounts::settle_index`.
    pub async fn settle_index(&self, node: Arc<str>) -> Result<u64, LedgerError> {
        self.store.settle_index(node).await
    }

    /// See `Accounts::open_challenges`.
    pub async fn open_challenges(
        &self,
        ran_out_before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Challenge>, LedgerError> {
        self.store.open_challenges(ran_out_before, limit).await
    }

    /// See `Accounts::challenge`.
    pub async fn challenge(&self, hash: PaymentHash) -> Result<Option<Challenge>, LedgerError> {
        self.store.challenge(hash).await
    }

    /// See `Accounts::days`.
    pub async fn days(&self, first_day: u64) -> Result<Days, LedgerError> {
        self.store.days(first_day).await
    }

    /// See `LedgerStore::waiting`.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError> {
        self.store.waiting().await
    }

    /// See `LedgerStore::counts`.
    pub async fn counts(&self) -> Result<Vec<Waiting>, LedgerError> {
        self.store.counts().await
    }

    /// See `LedgerStore::export`.
    pub async fn export(
        &self,
        after: PaymentHash,
        limit: u32,
    ) -> Result<Vec<Exported>, LedgerError> {
        self.store.export(after, limit).await
    }

    /// See `Messages::standing`.
    pub async fn standing(&self, asked: RoomQuery) -> Result<Standing, LedgerError> {
        self.store.standing(asked).await
    }

    /// See `Messages::report`.
    pub async fn report(&self, report: Report) -> Result<Option<Reported>, LedgerError> {
        let reported = self.store.report(report).await?;
        if let Some(reported) = reported.as_ref().filter(|reported| reported.is_news) {
            self.changes.notify(&reported.ticket);
        }
        Ok(reported)
    }

    /// See `Messages::delivery`.
    pub async fn delivery(&self, ticket: PaymentHash) -> Result<Option<Delivery>, LedgerError> {
        self.store.delivery(ticket).await
    }

    /// See `Messages::refuse_number`.
    pub async fn refuse_number(&self, refused: RefusedNumber) -> Result<(), LedgerError> {
        self.store.refuse_number(refused).await
    }

    /// See `Messages::allow_numbers`.
    pub async fn allow_numbers(
        &self,
        numbers: Vec<NumberHash>,
        allowed: Allowed,
    ) -> Result<bool, LedgerError> {
        self.store.allow_numbers(numbers, allowed).await
    }

    /// See `Accounts::unredeemed`.
    pub async fn unredeemed(&self) -> Result<Vec<(String, Sum)>, LedgerError> {
        self.store.unredeemed().await
    }
}
