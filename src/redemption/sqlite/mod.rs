//! The embedded ledger: SQLite in WAL mode with `synchronous=FULL`. One thread writes, and commits all that waits in one
//! transaction (group commit), so that a durable claim costs a share of a disk sync.

mod store;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use self::store::Store;
use self::writer::{Command, Writer};
use super::ledger::{Claimed, Ledger, LedgerError, Reply, Settled, Settlement, Terms};
use super::state::Attempt;
use crate::l402::root_key::Fingerprint;
use crate::time::UnixTime;

/// Most commands that may wait for the writer.
const QUEUE: usize = 8192;

/// Why the ledger can't be opened at start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another `serve` has it.
    #[error("{} is in use by another Farebox (it holds the lock {}); one SQLite ledger serves one process", .ledger.display(), .lock.display())]
    InUse {
        /// The database.
        ledger: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The file system says no.
    #[error("{}: {source}", .path.display())]
    File {
        /// What was to be opened.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite says no.
    #[error("{}: {source}", .path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Written by a later version.
    #[error("{} has the layout {found}, which is newer than this Farebox knows ({}); run the newer version", .path.display(), store::LAYOUT)]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its layout number.
        found: i64,
    },
}

/// What a ledger holds, for `check`.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    /// Tickets ever handed in and not pruned.
    pub tickets: u64,
    /// Of these, how many are parked.
    pub parked: u64,
}

/// What the writer tells about how it does: seconds a commit took.
pub type CommitObserver = Box<dyn Fn(Duration) + Send + Sync>;

/// The ledger in one SQLite file.
pub struct SqliteLedger {
    commands: mpsc::Sender<Command>,
    health: Arc<Mutex<Option<String>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    parked_at_start: u64,
}

impl SqliteLedger {
    /// Opens or makes the file, keeps a second process out, and parks what a crash left claimed.
    pub fn open(path: &Path, terms: Terms, observer: CommitObserver) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let mut store = Store::open(path)?;
        let parked_at_start = store.park_orphans(UnixTime::now()).map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
        sync_folder(path)?;
        let (commands, queue) = mpsc::channel(QUEUE);
        let health = Arc::new(Mutex::new(None));
        let writer = Writer::new(path.to_owned(), store, terms, Arc::clone(&health), observer);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                // Held until the last write is done.
                let _lock = lock;
                writer.run(queue);
            })
            .map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        Ok(Self { commands, health, writer: Mutex::new(Some(thread)), parked_at_start })
    }

    /// How many tickets were parked because the process before this one ended in the middle of them.
    pub fn parked_at_start(&self) -> u64 {
        self.parked_at_start
    }

    /// Reads a ledger beside whoever writes it; `None` if there is none yet.
    pub fn inspect(path: &Path) -> Result<Option<Summary>, OpenError> {
        if !path.exists() {
            return Ok(None);
        }
        Store::summary(path).map(Some)
    }

    /// The fingerprints of the secrets that tickets may still be signed with, read beside whoever writes the ledger.
    pub fn secrets_needed(path: &Path) -> Result<Vec<[u8; 16]>, OpenError> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        Store::secrets_needed(path, UnixTime::now())
    }

    /// Asks for maintenance (pruning, a try to reopen) every second, for as long as the ledger lives.
    pub async fn tick(&self) {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if self.commands.send(Command::Tick).await.is_err() {
                return;
            }
        }
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Command, wait: bool) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let command = make(reply);
        let sent = if wait {
            self.commands.send(command).await.map_err(|_| gone())
        } else {
            self.commands.try_send(command).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => gone(),
            })
        };
        sent?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        // Closing the queue ends the writer once it has written what waits.
        let (closed, _) = mpsc::channel(1);
        self.commands = closed;
        if let Some(thread) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn gone() -> LedgerError {
    LedgerError::Down("its writer has ended".to_owned())
}

impl Ledger for SqliteLedger {
    fn claim(&self, attempt: Attempt) -> Reply<'_, Claimed> {
        Box::pin(self.ask(|reply| Command::Claim { attempt, reply }, false))
    }

    fn settle(&self, settlement: Settlement) -> Reply<'_, Settled> {
        Box::pin(self.ask(|reply| Command::Settle { settlement, reply }, true))
    }

    fn note_secret(&self, secret: Fingerprint, needed_until: UnixTime) -> Reply<'_, ()> {
        Box::pin(self.ask(move |reply| Command::NoteSecret { secret, needed_until, reply }, true))
    }

    fn secrets_in_use(&self, now: UnixTime) -> Reply<'_, Vec<[u8; 16]>> {
        Box::pin(self.ask(move |reply| Command::SecretsInUse { now, reply }, true))
    }

    fn health(&self) -> Result<(), LedgerError> {
        match &*self.health.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(why) => Err(LedgerError::Down(why.clone())),
        }
    }
}

/// An advisory lock on a file beside the database, held for the life of the process; the system drops it when the process dies.
fn lock(ledger: &Path) -> Result<File, OpenError> {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let in_file = |source| OpenError::File { path: path.clone(), source };
    let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&path).map_err(in_file)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { ledger: ledger.to_owned(), lock: path }),
        Err(TryLockError::Error(source)) => Err(OpenError::File { path, source }),
    }
}

/// Makes the names of new files durable.
fn sync_folder(file: &Path) -> Result<(), OpenError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| OpenError::File { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests;
