//! The embedded ledger: SQLite in WAL mode with `synchronous=FULL`. One thread writes, and commits
//! all that waits in one transaction (group commit), so that a durable claim costs a share of a
//! disk sync.

mod accounts;
mod answers;
mod checkpoint;
mod copy;
pub mod error;
mod files;
mod layout;
mod marks;
mod message_rows;
mod messages;
mod prune;
mod read;
mod rows;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use self::checkpoint::Checkpoints;
pub use self::copy::{Restored, back_up, make, restored};
use self::error::OpenError;
use self::files::{lock, sync_folder};
pub use self::read::Summary;
use self::store::Store;
use self::writer::{Batch, Task, WriteJob, Writer};
use super::accounts::{
    Accounts, Challenge, Days, JournalEntry, NewlyPaid, Recorded, SettledInvoice, SoldOffer, Sum,
};
use super::clock::{LedgerClock, Moment};
use super::error::{LedgerError, Reply};
use super::id::LedgerId;
use super::limits::LIST_MAX;
use super::state::{Attempt, Claim, ClaimId, Marks, Resolution, Row, State};
use super::store::{
    Claimed, CommitObserver, Exported, LedgerStore, LedgerTerms, Settled, Settlement, Waiting,
};
use crate::crash_point::crash_point;
use crate::keys::Fingerprint;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Most tasks that may wait for the writer.
const QUEUE_MAX: usize = 8192;

/// The ledger in one SQLite file.
pub struct SqliteLedger {
    tasks: mpsc::Sender<Box<dyn Task>>,
    health: Arc<Mutex<Option<String>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
    id: LedgerId,
    clock: Arc<LedgerClock>,
    marks: Mutex<Marks>,
    parked_at_start: u64,
}

impl SqliteLedger {
    /// Which ledger lies there; `None` if there is none yet.
    pub fn identify(path: &Path) -> Result<Option<LedgerId>, OpenError> {
        if !path.exists() { Ok(None) } else { read::id(path) }
    }

    /// Opens or makes the file, keeps a second process out, and parks what a crash left claimed.
    pub fn open(
        path: &Path,
        terms: LedgerTerms,
        observer: CommitObserver,
    ) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        copy::refuse_foreign_log(path)?;
        let mut store = Store::open(path)?;
        let in_sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        if marks::is_copy(store.connection()).map_err(in_sqlite)? {
            return Err(OpenError::Copy(path.to_owned()));
        }
        let clock = marks::start_clock(store.connection(), UnixTime::now()).map_err(in_sqlite)?;
        let clock = Arc::new(clock);
        let (id, marks) = (marks::id(store.connection()).map_err(in_sqlite)?, store.marks);
        let in_file = |source| OpenError::File { path: path.to_owned(), source };
        let checkpoints = Checkpoints::start(path).map_err(in_file)?;
        let now = clock.now();
        let parked_at_start = store.park_orphans(now).map_err(in_sqlite)?;
        sync_folder(path)?;
        let (tasks, queue) = mpsc::channel(QUEUE_MAX);
        let health = Arc::new(Mutex::new(None));
        let writer =
            Writer::new(path, store, checkpoints, terms, &clock, Arc::clone(&health), observer)?;
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                // Held until the last write is done.
                let _lock = lock;
                writer.run(queue);
            })
            .map_err(in_file)?;
        Ok(Self {
            tasks,
            health,
            writer: Mutex::new(Some(thread)),
            path: path.to_owned(),
            id,
            clock,
            marks: Mutex::new(marks),
            parked_at_start,
        })
    }

    /// Which ledger it is.
    pub fn id(&self) -> LedgerId {
        self.id
    }

    /// Writes down on which network is sold from here on. `Some` is another one, on which something
    /// was sold: its tickets are no tickets here.
    pub async fn sell_on(&self, network: &'static str) -> Result<Option<String>, LedgerError> {
        self.ask(move |store: &mut Store, _: &mut Batch| {
            marks::sell_on(store.connection(), network)
        })
        .await
    }

    /// How many tickets were parked because the process before this one ended in the middle of
    /// them.
    pub fn parked_at_start(&self) -> u64 {
        self.parked_at_start
    }

    /// Reads a ledger beside whoever writes it; `None` if there is none yet.
    pub fn inspect(path: &Path) -> Result<Option<Summary>, OpenError> {
        if !path.exists() {
            return Ok(None);
        }
        read::summary(path).map(Some)
    }

    /// The fingerprints of the secrets that tickets may still be signed with, read beside whoever
    /// writes the ledger.
    pub fn secrets_needed(path: &Path) -> Result<Vec<[u8; 16]>, OpenError> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        read::secrets_needed(path, UnixTime::now())
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For what strangers ask: it leaves room for claims.
    async fn ask_lightly<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnMut(&mut Store, &mut Batch) -> rusqlite::Result<T> + Send + 'static,
    {
        if self.tasks.capacity() < QUEUE_MAX / 2 {
            return Err(LedgerError::Overloaded);
        }
        self.ask(work).await
    }

    /// Has the writer do something, and waits for its commit.
    async fn ask<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnMut(&mut Store, &mut Batch) -> rusqlite::Result<T> + Send + 'static,
    {
        let (task, answer) = WriteJob::boxed(work);
        self.tasks.send(task).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Reads beside the writer, which goes on with its work meanwhile.
    async fn read_beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Path) -> Result<T, OpenError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let path = self.path.clone();
        let down = |why: String| LedgerError::Down(why);
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        read.map_err(|error| down(error.to_string()))?.map_err(|error| down(error.to_string()))
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        // Closing the queue ends the writer once it has written what waits.
        let (closed, _) = mpsc::channel(1);
        self.tasks = closed;
        if let Some(thread) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn gone() -> LedgerError {
    LedgerError::Down("its writer has ended".to_owned())
}

impl LedgerStore for SqliteLedger {
    fn claim(&self, attempt: Attempt) -> Reply<'_, Claimed> {
        let (task, answer) = WriteJob::boxed(move |store: &mut Store, batch: &mut Batch| {
            let claimed = store.claim(&attempt, batch.now, batch.terms.replay)?;
            if claimed.claim == Claim::Granted {
                batch.granted.push((attempt.hash, attempt.claim));
            }
            Ok(claimed)
        });
        Box::pin(async move {
            // Not waited for: a queue that is full is told to the payer.
            self.tasks.try_send(task).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => gone(),
            })?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        })
    }

    fn settle(&self, settlement: Settlement) -> Reply<'_, Settled> {
        Box::pin(self.ask(move |store, batch| {
            let settled = store.settle(&settlement, batch.now);
            crash_point("before-settle-commit");
            settled
        }))
    }

    fn note_secret(&self, secret: Fingerprint, needed_until: UnixTime) -> Reply<'_, ()> {
        Box::pin(self.ask(move |store, _| store.note_secret(secret.as_bytes(), needed_until)))
    }

    fn secrets_in_use(&self, now: UnixTime) -> Reply<'_, Vec<[u8; 16]>> {
        Box::pin(self.ask(move |store, _| store.secrets_in_use(now)))
    }

    fn shut(&self) -> Reply<'_, ()> {
        Box::pin(self.ask(|_, batch| {
            batch.close = true;
            Ok(())
        }))
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn life(&self) -> Option<Marks> {
        Some(*self.marks())
    }

    fn sealed(&self, hash: PaymentHash) -> Reply<'_, Option<Vec<u8>>> {
        Box::pin(self.ask_lightly(move |store, _| store.sealed(&hash)))
    }

    fn release_restored(&self, minted_before: UnixTime) -> Reply<'_, u64> {
        Box::pin(async move {
            let release = move |store: &mut Store, batch: &mut Batch| {
                let released = store.release_restored(minted_before, batch.now)?;
                Ok((released, store.marks))
            };
            let (released, marks) = self.ask(release).await?;
            *self.marks() = marks;
            Ok(released)
        })
    }

    fn list(&self, state: Option<State>, limit: u32) -> Reply<'_, Vec<(PaymentHash, Row)>> {
        Box::pin(self.read_beside(move |path| read::list(path, state, limit.min(LIST_MAX))))
    }

    fn waiting(&self) -> Reply<'_, Vec<Waiting>> {
        Box::pin(self.read_beside(read::waiting))
    }

    fn counts(&self) -> Reply<'_, Vec<Waiting>> {
        Box::pin(self.read_beside(read::counts))
    }

    fn export(&self, after: PaymentHash, limit: u32) -> Reply<'_, Vec<Exported>> {
        Box::pin(self.read_beside(move |path| read::export(path, after, limit.min(LIST_MAX))))
    }

    fn show(&self, hash: PaymentHash) -> Reply<'_, Option<Row>> {
        Box::pin(self.ask_lightly(move |store, _| store.row(&hash)))
    }

    fn resolve(
        &self,
        hash: PaymentHash,
        claim: ClaimId,
        resolution: Resolution,
    ) -> Reply<'_, Settled> {
        Box::pin(self.ask(move |store, batch| store.resolve(&hash, claim, resolution, batch.now)))
    }

    fn revoke(&self, hash: PaymentHash, valid_until: u64) -> Reply<'_, ()> {
        Box::pin(self.ask(move |store, batch| store.revoke(&hash, valid_until, batch.now)))
    }

    fn revoked(&self) -> Reply<'_, Vec<PaymentHash>> {
        Box::pin(self.ask(|store, _| store.revoked()))
    }

    /// Gives the writer something to do every second: so it prunes, and opens a failed database
    /// again.
    fn run(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut every = tokio::time::interval(Duration::from_secs(1));
            every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                let _ = self.ask(|_, _| Ok(())).await;
            }
        })
    }

    fn health(&self) -> Result<(), LedgerError> {
        match &*self.health.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(why) => Err(LedgerError::Down(why.clone())),
        }
    }
}

impl Accounts for SqliteLedger {
    fn note(&self, entries: Vec<JournalEntry>, challenges: bool) -> Reply<'_, ()> {
        Box::pin(self.ask(move |store, _| store.note(&entries, challenges)))
    }

    fn paid(&self, node: Arc<str>, settled: Vec<SettledInvoice>) -> Reply<'_, Vec<NewlyPaid>> {
        Box::pin(self.ask(move |store, _| store.paid(&node, &settled)))
    }

    fn found(&self, node: Arc<str>, settled: SettledInvoice) -> Reply<'_, Recorded> {
        Box::pin(self.ask(move |store, _| store.found(&node, &settled)))
    }

    fn close(&self, hashes: Vec<PaymentHash>) -> Reply<'_, ()> {
        Box::pin(self.ask(move |store, _| store.close_challenges(&hashes)))
    }

    fn sold(&self) -> Reply<'_, Vec<SoldOffer>> {
        Box::pin(self.read_beside(Store::sold))
    }

    fn settle_index(&self, node: Arc<str>) -> Reply<'_, u64> {
        Box::pin(self.ask(move |store, _| store.settle_index(&node)))
    }

    fn open_challenges(
        &self,
        ran_out_before: Option<u64>,
        limit: u32,
    ) -> Reply<'_, Vec<Challenge>> {
        Box::pin(self.ask(move |store, _| store.open_challenges(ran_out_before, limit)))
    }

    fn challenge(&self, hash: PaymentHash) -> Reply<'_, Option<Challenge>> {
        Box::pin(self.ask_lightly(move |store, _| store.challenge(&hash)))
    }

    fn days(&self, first_day: u64) -> Reply<'_, Days> {
        Box::pin(self.read_beside(move |path| Store::days(path, first_day)))
    }

    fn unredeemed(&self) -> Reply<'_, Vec<(String, Sum)>> {
        Box::pin(self.read_beside(Store::unredeemed))
    }
}

#[cfg(test)]
pub(super) mod conformance;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod store_tests;
