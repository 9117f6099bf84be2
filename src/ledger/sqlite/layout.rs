//! The tables, made at the first start.

use rusqlite::Connection;

use crate::ledger::sql::fill;

/// Number of the layout in `schema.sql`, as `PRAGMA user_version` keeps it.
pub(super) const LAYOUT: i64 = 4;

/// Makes the tables, all at once or not at all. `Err` with a number: of another layout.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<Result<(), i64>> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        LAYOUT => Ok(Ok(())),
        0 => {
            let tables = fill(include_str!("schema.sql"));
            let version = format!("PRAGMA user_version = {LAYOUT};");
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {tables} {version} COMMIT;"))?;
            Ok(Ok(()))
        }
        other => Ok(Err(other)),
    }
}
