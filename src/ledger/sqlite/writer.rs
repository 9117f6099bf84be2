//! The one thread that writes. It takes all that waits, commits it in one transaction, and only
//! then answers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::checkpoint::Checkpoints;
use super::error::OpenError;
use super::files::FileId;
use super::marks;
use super::store::Store;
use crate::crash_point::crash_point;
use crate::ledger::clock::{LedgerClock, Moment};
use crate::ledger::error::LedgerError;
use crate::ledger::id::LedgerId;
use crate::ledger::state::ClaimId;
use crate::ledger::store::{CommitObserver, LedgerTerms};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Most tasks in one transaction.
const BATCH_MAX: usize = 512;

/// From so many tasks in a transaction on, the next one waits for more to come: one disk sync
/// serves them all.
const GATHER_FROM: usize = 12;

/// How long it waits for more.
const GATHER_TIME: Duration = Duration::from_millis(1);

/// How often the ledger's clock is written down while tickets are handed in.
const NOTE_CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Pause between two looks for rows to forget, when the last one found few.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// What the tasks of one transaction share.
pub(super) struct Batch {
    pub(super) now: Moment,
    pub(super) terms: LedgerTerms,
    /// Granted in this transaction: to be taken back if its commit isn't confirmed.
    pub(super) granted: Vec<(PaymentHash, ClaimId)>,
    /// Whether this is the last one.
    pub(super) close: bool,
}

/// Something to do within a transaction, and to answer after its commit.
pub(super) trait Task: Send {
    fn run(&mut self, store: &mut Store, batch: &mut Batch) -> rusqlite::Result<()>;
    fn finish(self: Box<Self>, committed: Result<(), LedgerError>);
}

/// A task made of a function and the caller that waits for its result.
pub(super) struct WriteJob<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, LedgerError>>,
}

impl<T, F> WriteJob<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Store, &mut Batch) -> rusqlite::Result<T> + Send + 'static,
{
    pub(super) fn boxed(work: F) -> (Box<dyn Task>, oneshot::Receiver<Result<T, LedgerError>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { work, result: None, reply }), answer)
    }
}

impl<T, F> Task for WriteJob<T, F>
where
    T: Send,
    F: FnMut(&mut Store, &mut Batch) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, store: &mut Store, batch: &mut Batch) -> rusqlite::Result<()> {
        self.result = Some((self.work)(store, batch)?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), LedgerError>) {
        let Self { result, reply, .. } = *self;
        let unanswered = || Err(LedgerError::Down("the task was not run".to_owned()));
        // A receiver that is gone doesn't matter: who asked has stopped waiting.
        drop(reply.send(committed.and_then(|()| result.map_or_else(unanswered, Ok))));
    }
}

pub(super) struct Writer {
    path: PathBuf,
    /// The file that was opened.
    file: FileId,
    id: LedgerId,
    /// `None` after an error, until it could be opened again.
    store: Option<Store>,
    /// Whether it was closed on purpose, and so isn't opened again.
    is_closed: bool,
    clock: Arc<LedgerClock>,
    /// What the clock showed when it was written down last: an older file shows less.
    noted: UnixTime,
    checkpoints: Checkpoints,
    terms: LedgerTerms,
    health: Arc<Mutex<Option<String>>>,
    observer: CommitObserver,
    /// Granted in a transaction whose commit was not confirmed: nobody was told, nothing was sent.
    unconfirmed: Vec<(PaymentHash, ClaimId)>,
    next_prune: Instant,
}

impl Writer {
    pub(super) fn new(
        path: &Path,
        mut store: Store,
        checkpoints: Checkpoints,
        terms: LedgerTerms,
        clock: &Arc<LedgerClock>,
        health: Arc<Mutex<Option<String>>>,
        observer: CommitObserver,
    ) -> Result<Self, OpenError> {
        let in_sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let in_file = |source| OpenError::File { path: path.to_owned(), source };
        checkpoints.follow(&mut store).map_err(in_sqlite)?;
        let id = marks::id(store.connection()).map_err(in_sqlite)?;
        let noted = marks::clock(store.connection()).map_err(in_sqlite)?;
        Ok(Self {
            path: path.to_owned(),
            file: FileId::of(path).map_err(in_file)?,
            id,
            is_closed: false,
            clock: Arc::clone(clock),
            noted: noted.unwrap_or(UnixTime::from_millis(0)),
            store: Some(store),
            checkpoints,
            terms,
            health,
            observer,
            unconfirmed: Vec::new(),
            next_prune: Instant::now(),
        })
    }

    /// Ends when every sender is gone. Between tasks it prunes, and tries to get a failed database
    /// back.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Box<dyn Task>>) {
        let mut tasks = Vec::with_capacity(BATCH_MAX);
        let mut last = 0;
        while let Some(first) = queue.blocking_recv() {
            tasks.push(first);
            if last >= GATHER_FROM {
                std::thread::sleep(GATHER_TIME);
            }
            while tasks.len() < BATCH_MAX {
                match queue.try_recv() {
                    Ok(more) => tasks.push(more),
                    Err(_) => break,
                }
            }
            last = tasks.len();
            let committed = self.commit(&mut tasks);
            for task in tasks.drain(..) {
                task.finish(committed.clone());
            }
        }
        self.close();
    }

    /// Leaves everything in the one file, so that a copy of it is whole.
    fn close(&mut self) {
        self.is_closed = true;
        let Some(store) = self.store.take() else { return };
        // The thread that copies beside would hold the file open.
        self.checkpoints.end();
        let noted = marks::note_clock(store.connection(), self.clock.now().ledger);
        if let Err(error) = noted.and_then(|()| store.fold()) {
            let ledger = self.path.display();
            error!(%error, %ledger, "its log could not be copied into it: copy both together");
        }
    }

    /// All tasks in one transaction, or none of them.
    fn commit(&mut self, tasks: &mut [Box<dyn Task>]) -> Result<(), LedgerError> {
        self.notice_another_file();
        self.reopen().map_err(LedgerError::Down)?;
        let Some(store) = self.store.as_mut() else {
            return Err(LedgerError::Down("it is closed".to_owned()));
        };
        let started = Instant::now();
        let mut batch =
            Batch { now: self.clock.now(), terms: self.terms, granted: Vec::new(), close: false };
        let prune = started >= self.next_prune;
        let note_after = self.noted.plus(NOTE_CLOCK_INTERVAL);
        match transact(store, tasks, &mut batch, prune, note_after) {
            Ok(Done { more_to_prune, clock_noted }) => {
                if clock_noted {
                    self.noted = batch.now.ledger;
                }
                if prune && !more_to_prune {
                    self.next_prune = started + PRUNE_INTERVAL;
                }
                (self.observer)(started.elapsed());
                if batch.close {
                    self.close();
                }
                Ok(())
            }
            Err(error) => {
                store.rollback();
                self.store = None;
                self.unconfirmed.extend(batch.granted);
                let ledger = self.path.display();
                error!(%error, %ledger, "the ledger failed; it is opened again");
                self.set_health(Some(error.to_string()));
                Err(LedgerError::Down(error.to_string()))
            }
        }
    }

    /// What would be written to a file that another one has replaced, or that was removed, would be
    /// lost.
    fn notice_another_file(&mut self) {
        if self.store.is_some() && !self.is_its_file() {
            self.store = None;
            let why = OpenError::Replaced(self.path.clone()).to_string();
            error!("{why}");
            self.set_health(Some(why));
        }
    }

    fn is_its_file(&self) -> bool {
        FileId::of(&self.path).is_ok_and(|file| file == self.file)
    }

    /// The database once more; `Err` if it isn't the one that it was.
    fn same_store(&self) -> Result<Store, OpenError> {
        let replaced = || OpenError::Replaced(self.path.clone());
        let in_sqlite = |source| OpenError::Sqlite { path: self.path.clone(), source };
        if !self.is_its_file() {
            return Err(replaced());
        }
        let store = Store::open(&self.path)?;
        let id = marks::id(store.connection()).map_err(in_sqlite)?;
        let clock = marks::clock(store.connection()).map_err(in_sqlite)?;
        let is_same = id == self.id && clock.is_some_and(|shown| shown >= self.noted);
        if is_same { Ok(store) } else { Err(replaced()) }
    }

    /// Opens the database after a failure, and first of all takes back what was granted to nobody.
    fn reopen(&mut self) -> Result<(), String> {
        if self.store.is_some() {
            return Ok(());
        }
        if self.is_closed {
            return Err("it is closed".to_owned());
        }
        let mut store = self.same_store().map_err(|error| error.to_string())?;
        let taken_back = self
            .checkpoints
            .follow(&mut store)
            .and_then(|()| store.begin())
            .and_then(|()| store.withdraw(&self.unconfirmed))
            .and_then(|()| store.touch(UnixTime::now()))
            .and_then(|()| store.commit());
        if let Err(error) = taken_back {
            store.rollback();
            return Err(error.to_string());
        }
        self.unconfirmed.clear();
        self.store = Some(store);
        self.set_health(None);
        info!(ledger = %self.path.display(), "the ledger is back");
        Ok(())
    }

    fn set_health(&self, health: Option<String>) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

impl Drop for Writer {
    /// However it ends: what is asked of it from now on is not done.
    fn drop(&mut self) {
        self.set_health(Some("its writer has ended".to_owned()));
    }
}

/// What a transaction did beside its tasks.
struct Done {
    /// Whether there may be more to prune.
    more_to_prune: bool,
    /// Whether the ledger's clock was written down.
    clock_noted: bool,
}

/// On an error nothing may be told to anybody.
fn transact(
    store: &mut Store,
    tasks: &mut [Box<dyn Task>],
    batch: &mut Batch,
    prune: bool,
    note_after: UnixTime,
) -> rusqlite::Result<Done> {
    store.begin()?;
    for task in tasks {
        task.run(store, batch)?;
    }
    let more_to_prune = prune && store.prune(batch.now, batch.terms.replay)?;
    let clock_noted = prune || (!batch.granted.is_empty() && batch.now.ledger >= note_after);
    if clock_noted {
        marks::note_clock(store.connection(), batch.now.ledger)?;
    }
    if prune && !more_to_prune {
        marks::refill_jump(store.connection(), PRUNE_INTERVAL)?;
    }
    if !batch.granted.is_empty() {
        crash_point("before-commit");
    }
    store.commit()?;
    if !batch.granted.is_empty() {
        crash_point("after-commit");
    }
    Ok(Done { more_to_prune, clock_noted })
}
