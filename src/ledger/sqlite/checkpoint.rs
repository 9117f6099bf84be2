//! Copies the write-ahead log into the database beside the writer, so that claims don't wait for
//! that: in a large ledger each claim's hash lies on a page of its own, and thousands of them take
//! a tenth of a second.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tracing::warn;

use super::store::Store;

/// Each time that so many pages have come into the log they are copied.
const COPY_PAGES: i32 = 500;

/// From so many on the writer copies what is left by itself. Under load it has to: the log begins
/// again only once all of it is copied.
const COPY_NOW_PAGES: i32 = 16_000;

/// The thread that copies. It ends with this.
pub(super) struct Checkpoints {
    orders: SyncSender<CheckpointCommand>,
    thread: Option<JoinHandle<()>>,
}

enum CheckpointCommand {
    Copy,
    End,
}

impl Checkpoints {
    /// For the database at `path`.
    pub(super) fn start(path: &Path) -> std::io::Result<Self> {
        let (orders, given) = sync_channel(1);
        let path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || run(&path, &given))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Has the log of the writer's store copied from now on, instead of by SQLite itself in the
    /// middle of a commit.
    pub(super) fn follow(&self, store: &mut Store) -> rusqlite::Result<()> {
        let (orders, mut ordered) = (self.orders.clone(), 0);
        store.on_commit(move |wal, pages| {
            if pages >= COPY_NOW_PAGES {
                // It is no error of the commit's: that is done. The next one tries again.
                let _ = wal.checkpoint();
            }
            // It began again.
            if pages < ordered {
                ordered = 0;
            }
            if pages - ordered >= COPY_PAGES {
                ordered = pages;
                // One that waits copies this too.
                let _ = orders.try_send(CheckpointCommand::Copy);
            }
            Ok(())
        })
    }
}

impl Checkpoints {
    /// Ends the thread, and with it what it holds open.
    pub(super) fn end(&mut self) {
        let _ = self.orders.send(CheckpointCommand::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(path: &Path, given: &Receiver<CheckpointCommand>) {
    while let Ok(CheckpointCommand::Copy) = given.recv() {
        if let Err(error) = copy(path) {
            // No commit is lost by it: all of them stay in the log, from which the next try copies
            // them again. A disk that stays at fault is met by the writer in its own commits.
            warn!(%error, ledger = %path.display(), "the ledger's log could not be copied beside \
                                                     its writer");
        }
    }
}

/// By a connection of its own each time: the writer opens the database again after an error, and it
/// may be another one then.
fn copy(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    // Passive: it waits for nobody, and nobody for it.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes pages by the hundred, and says how many of them are in the database itself.
    fn filled(checkpoints: bool) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let mut store = Store::open(&path).unwrap();
        let checkpoints = checkpoints.then(|| Checkpoints::start(&path).unwrap());
        store.on_commit(|_, _| Ok(())).unwrap();
        if let Some(checkpoints) = &checkpoints {
            checkpoints.follow(&mut store).unwrap();
        }
        let length = || std::fs::metadata(&path).unwrap().len();
        store.connection().execute_batch("CREATE TABLE much (bytes BLOB)").unwrap();
        for _ in 0..60 {
            store.connection().execute("INSERT INTO much VALUES (randomblob(400000))", []).unwrap();
        }
        let log = || std::fs::metadata(folder.path().join("ledger.db-wal")).unwrap().len();
        assert!(log() < 70_000_000, "{}", log());
        let started = std::time::Instant::now();
        while checkpoints.is_some() && length() < 15_000_000 && started.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        length()
    }

    #[test]
    fn the_log_is_copied_beside_the_writer() {
        assert!(filled(false) < 1_000_000, "by nobody else");
        assert!(filled(true) >= 15_000_000);
    }
}
