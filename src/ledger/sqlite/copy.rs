//! Copies of a ledger, and what is put back from one.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::error::OpenError;
use super::files::{lock, make_private, sync_folder};
use super::store::Store;
use super::{layout, marks};
use crate::ledger::clock::Moment;
use crate::ledger::id::LedgerId;
use crate::ledger::sql::{fill, signed};
use crate::ledger::state;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// What came of putting a copy back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Which ledger it is.
    pub id: LedgerId,
    /// Tickets that were free, or under way, and are parked now.
    pub parked: u64,
}

/// Makes an empty ledger where there is none.
pub fn make(path: &Path) -> Result<LedgerId, OpenError> {
    let _lock = lock(path)?;
    if path.exists() {
        return Err(OpenError::Exists(path.to_owned()));
    }
    let store = Store::open(path)?;
    sync_folder(path)?;
    marks::id(store.connection()).map_err(in_sqlite(path))
}

/// Copies a ledger, which may be in use, into a new file that `serve` doesn't take before
/// `restored`. The file gets its name once it is whole.
pub fn back_up(path: &Path, to: &Path) -> Result<(), OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing(path.to_owned()));
    }
    if to.exists() {
        return Err(OpenError::Exists(to.to_owned()));
    }
    let beside = unfinished(to);
    let copied = copy(path, &beside).and_then(|()| {
        // Unlike a rename, it doesn't replace what came there meanwhile.
        fs::hard_link(&beside, to).map_err(in_file(to))
    });
    let _ = fs::remove_file(&beside);
    copied?;
    sync_folder(to)
}

/// Begins a new life after a copy was put back: nobody knows what happened to the tickets that
/// it doesn't hold, or holds as free. `serve` must not run.
pub fn restored(path: &Path) -> Result<Restored, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing(path.to_owned()));
    }
    let _lock = lock(path)?;
    refuse_foreign_log(path)?;
    let clock = {
        let store = Store::open(path)?;
        marks::start_clock(store.connection(), UnixTime::now()).map_err(in_sqlite(path))?
    };
    begin_life(path, clock.now())
}

/// The same at a time that is given; the caller holds the lock.
pub(super) fn begin_life(path: &Path, now: Moment) -> Result<Restored, OpenError> {
    let no_randomness = |error: getrandom::Error| OpenError::NoRandomness(error.to_string());
    let era = layout::new_era().map_err(no_randomness)?;
    let store = Store::open(path)?;
    let begin = || {
        let connection = store.connection();
        store.begin()?;
        let parked = store.park_restored(now)?;
        marks::set(connection, marks::ERA, era.number())?;
        marks::set(connection, marks::COPIED, 0)?;
        // What the operator once said of tickets that were older then says nothing of now.
        marks::set(connection, marks::RELEASED, 0)?;
        store.commit()?;
        Ok(Restored { id: marks::id(connection)?, parked })
    };
    let restored = begin().map_err(in_sqlite(path))?;
    marks::note_clock(store.connection(), now.ledger)
        .and_then(|()| store.fold())
        .map_err(in_sqlite(path))?;
    Ok(restored)
}

impl Store {
    fn park_restored(&self, now: Moment) -> rusqlite::Result<u64> {
        let restored = |row: &_| state::restored(row, now).ok();
        self.change_all("state = {parked}", restored)?;
        self.change_all("state = {free} OR state = {claimed} OR state = {refused}", restored)
    }

    /// Frees what a restore parked, and takes what of those tickets comes in later.
    pub(super) fn release_restored(
        &mut self,
        minted_before: UnixTime,
        now: Moment,
    ) -> rusqlite::Result<u64> {
        let released = self.change_all("state = {parked} AND restored = 1", |row| {
            state::release_restored(row, minted_before, now).ok()
        })?;
        if minted_before > self.marks.released_before {
            marks::set(self.connection(), marks::RELEASED, signed(minted_before.millis()))?;
            self.marks.released_before = minted_before;
        }
        Ok(released)
    }

    /// Changes all rows of which the state machine says so; gives how many.
    fn change_all(
        &self,
        condition: &str,
        change: impl Fn(&state::Row) -> Option<state::Row>,
    ) -> rusqlite::Result<u64> {
        let select = fill(&format!("SELECT hash FROM tickets WHERE {condition}"));
        let mut select = self.connection().prepare(&select)?;
        let hashes = select.query_map([], |row| Ok(PaymentHash::from_bytes(row.get(0)?)))?;
        let mut changed = 0;
        for hash in hashes.collect::<rusqlite::Result<Vec<_>>>()? {
            if let Some(next) = self.row(&hash)?.and_then(|row| change(&row)) {
                self.write(&hash, &next)?;
                changed += 1;
            }
        }
        Ok(changed)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), OpenError> {
    let _ = fs::remove_file(to);
    // It holds what the ledger holds, and is for nobody else either.
    make_private(to).map_err(in_file(to))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let source = Connection::open_with_flags(from, flags).map_err(in_sqlite(from))?;
    let found = layout::number(&source).map_err(in_sqlite(from))?;
    if found != layout::LAYOUT {
        return Err(OpenError::OtherLayout { path: from.to_owned(), found, known: layout::LAYOUT });
    }
    let name = to.to_string_lossy();
    source.execute("VACUUM INTO ?1", params![name]).map_err(in_sqlite(from))?;
    let copied = Connection::open(to).map_err(in_sqlite(to))?;
    copied.execute_batch("PRAGMA synchronous = FULL").map_err(in_sqlite(to))?;
    marks::set(&copied, marks::COPIED, 1).map_err(in_sqlite(to))?;
    drop(copied);
    File::open(to).and_then(|file| file.sync_all()).map_err(in_file(to))
}

/// A copy has no log. One that lies beside it is of the ledger that lay there before, and SQLite
/// would write it over the copy.
pub(super) fn refuse_foreign_log(path: &Path) -> Result<(), OpenError> {
    // SQLite's file format 1.3.3: 1 where there is no log, 2 where there may be.
    const WRITE_VERSION_AT: usize = 18;
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(100).read_to_end(&mut head));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.map_err(in_file(path))?,
    };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let has_log = fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0);
    if has_log && head.get(WRITE_VERSION_AT) == Some(&1) {
        return Err(OpenError::ForeignLog { path: path.to_owned(), log });
    }
    Ok(())
}

fn unfinished(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".unfinished");
    PathBuf::from(name)
}

fn in_sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> OpenError {
    move |source| OpenError::Sqlite { path: path.to_owned(), source }
}

fn in_file(path: &Path) -> impl Fn(std::io::Error) -> OpenError {
    move |source| OpenError::File { path: path.to_owned(), source }
}
