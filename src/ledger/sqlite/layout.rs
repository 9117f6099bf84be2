//! The tables, made at the first start.

use std::path::Path;

use rusqlite::Connection;

use super::error::OpenError;
use super::marks;
use crate::era::Era;
use crate::ledger::id::LedgerId;
use crate::ledger::sql::fill;

/// Number of the layout in `schema.sql`, as `PRAGMA user_version` keeps it.
pub(super) const LAYOUT: i64 = 6;

/// Makes the tables, all at once or not at all, with an id and an era; or checks that they are
/// there.
pub(super) fn prepare(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let in_sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    match number(connection).map_err(in_sqlite)? {
        LAYOUT => Ok(()),
        0 => {
            let (id, era) = LedgerId::random()
                .and_then(|id| Ok((id, new_era()?)))
                .map_err(|error| OpenError::NoRandomness(error.to_string()))?;
            make(connection, id, era).map_err(in_sqlite)
        }
        found => Err(OpenError::OtherLayout { path: path.to_owned(), found, known: LAYOUT }),
    }
}

/// The number of the layout of a database; 0 for an empty one.
pub(super) fn number(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// A new life of a ledger.
pub(super) fn new_era() -> Result<Era, getrandom::Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(Era::from_bytes(bytes))
}

fn make(connection: &Connection, id: LedgerId, era: Era) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(&fill(include_str!("schema.sql")))?;
    marks::set(connection, marks::ID, id.number())?;
    marks::set(connection, marks::ERA, era.number())?;
    connection.execute_batch(&format!("PRAGMA user_version = {LAYOUT}; COMMIT"))
}
