//! Reads a ledger beside whoever writes it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row as SqlRow, params};

use super::error::OpenError;
use super::layout::LAYOUT;
use super::store::{FEW, ROW_COLUMNS, read_row, secrets_in_use};
use crate::ledger::sql::fill;
use crate::ledger::state::{Row, State};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// What a ledger holds, for `check`.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    /// Tickets ever handed in and not pruned.
    pub tickets: u64,
    /// Of these, how many are parked.
    pub parked: u64,
}

/// How many tickets there are.
pub(super) fn summary(path: &Path) -> Result<Summary, OpenError> {
    read_only(path, |connection| {
        let count = |sql: &str| connection.query_row(&fill(sql), [], |row| row.get(0));
        Ok(Summary {
            tickets: count("SELECT count(*) FROM tickets")?,
            parked: count("SELECT count(*) FROM tickets WHERE state = {parked}")?,
        })
    })
}

/// The fingerprints of the secrets that tickets may still be signed with.
pub(super) fn secrets_needed(path: &Path, now: UnixTime) -> Result<Vec<[u8; 16]>, OpenError> {
    read_only(path, |connection| secrets_in_use(connection, now))
}

/// The newest tickets, of one state or of any.
pub(super) fn list(
    path: &Path,
    state: Option<State>,
    limit: u32,
) -> Result<Vec<(PaymentHash, Row)>, OpenError> {
    let condition = match state {
        Some(State::Claimed | State::Parked | State::Revoked) => format!("{FEW} AND state = ?1"),
        Some(State::Free | State::Delivered) => "state = ?1".to_owned(),
        None => "?1 IS NULL".to_owned(),
    };
    read_only(path, |connection| {
        let mut select = connection.prepare(&fill(&format!(
            "SELECT {ROW_COLUMNS}, hash FROM tickets WHERE {condition}
             ORDER BY changed DESC LIMIT ?2"
        )))?;
        let read = |row: &SqlRow<'_>| Ok((PaymentHash::from_bytes(row.get(9)?), read_row(row)?));
        select.query_map(params![state.map(State::number), limit], read)?.collect()
    })
}

/// Opens, reads and closes.
pub(super) fn read_only<T>(
    path: &Path,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, OpenError> {
    let in_sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(in_sqlite)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(in_sqlite)?;
    let found: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(in_sqlite)?;
    if found != LAYOUT && found != 0 {
        return Err(OpenError::OtherLayout { path: path.to_owned(), found });
    }
    read(&connection).map_err(in_sqlite)
}
