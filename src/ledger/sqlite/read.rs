//! Reads a ledger beside whoever writes it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row as SqlRow, params};

use super::error::OpenError;
use super::layout::{self, LAYOUT};
use super::marks;
use super::rows::{ROW_COLUMNS, read_row};
use super::store::{FEW, Store, secrets_in_use};
use crate::keys::Fingerprint;
use crate::ledger::accounts::{SoldOffer, Sum};
use crate::ledger::id::LedgerId;
use crate::ledger::sql::{fill, unsigned};
use crate::ledger::state::{Row, State};
use crate::ledger::store::{Exported, Waiting};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// What a ledger holds, for `check`.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    /// Tickets ever handed in and not pruned.
    pub tickets: u64,
    /// Of these, how many are parked.
    pub parked: u64,
    /// Whether it is a copy that was not put back yet.
    pub is_copy: bool,
    /// On which network something was offered or sold, if anything was.
    pub sold_on: Option<String>,
    /// In which ways services were sold.
    pub sold: Vec<SoldOffer>,
    /// Per service: paid and not delivered, where payments are known of.
    pub owed: Option<Vec<(String, Sum)>>,
}

/// Which ledger it is; `None` if it has no tables yet.
pub(super) fn id(path: &Path) -> Result<Option<LedgerId>, OpenError> {
    read_only(path, |connection| {
        let has_tables = layout::number(connection)? != 0;
        has_tables.then(|| marks::id(connection)).transpose()
    })
}

/// How many tickets there are.
pub(super) fn summary(path: &Path) -> Result<Summary, OpenError> {
    let (sold, owed) = (Store::sold(path)?, Some(Store::unredeemed(path)?));
    read_only(path, |connection| {
        let count = |sql: &str| connection.query_row(&fill(sql), [], |row| row.get(0));
        Ok(Summary {
            tickets: count("SELECT count(*) FROM tickets")?,
            parked: count("SELECT count(*) FROM tickets WHERE state = {parked}")?,
            is_copy: marks::is_copy(connection)?,
            sold_on: marks::sold_on(connection)?,
            sold,
            owed,
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
        Some(State::Claimed | State::Parked | State::Revoked | State::Refused) => {
            format!("{FEW} AND state = ?1")
        }
        Some(State::Free | State::Delivered) => "state = ?1".to_owned(),
        None => "?1 IS NULL".to_owned(),
    };
    read_only(path, |connection| {
        let mut select = connection.prepare(&fill(&format!(
            "SELECT {ROW_COLUMNS}, hash FROM tickets WHERE {condition}
             ORDER BY changed DESC LIMIT ?2"
        )))?;
        let read = |row: &SqlRow<'_>| Ok((PaymentHash::from_bytes(row.get(17)?), read_row(row)?));
        select.query_map(params![state.map(State::number), limit], read)?.collect()
    })
}

/// How many tickets are parked, free, and refused, per service.
pub(super) fn waiting(path: &Path) -> Result<Vec<Waiting>, OpenError> {
    read_only(path, |connection| {
        let mut select = connection.prepare(&fill(&format!(
            "SELECT service, {{free}}, count(*) FROM tickets WHERE state = {{free}} GROUP BY 1
             UNION ALL
             SELECT service, state, count(*) FROM tickets
             WHERE {FEW} AND state IN ({{parked}}, {{refused}}) GROUP BY 1, 2
             ORDER BY 1, 2"
        )))?;
        select.query_map([], read_waiting)?.collect()
    })
}

fn read_waiting(row: &SqlRow<'_>) -> rusqlite::Result<Waiting> {
    let state = State::of_number(row.get(1)?).unwrap_or(State::Parked);
    Ok(Waiting { service: row.get(0)?, state, count: row.get(2)? })
}

/// How many tickets there are in each state, per service.
pub(super) fn counts(path: &Path) -> Result<Vec<Waiting>, OpenError> {
    read_only(path, |connection| {
        let mut select = connection.prepare(
            "SELECT service, state, count(*) FROM tickets WHERE service <> '' GROUP BY 1, 2
             ORDER BY 1, 2",
        )?;
        select.query_map([], read_waiting)?.collect()
    })
}

/// See `LedgerStore::export`.
pub(super) fn export(
    path: &Path,
    after: PaymentHash,
    limit: u32,
) -> Result<Vec<Exported>, OpenError> {
    read_only(path, |connection| {
        let mut select = connection.prepare(&fill(
            "SELECT hash, service, minted, price_msat, state, key FROM tickets
             WHERE hash > ?1 AND service <> ''
             UNION ALL
             SELECT hash, service, 1000 * CASE WHEN minted > 0 THEN minted ELSE paid_at END,
                price_msat, CASE WHEN served = 1 THEN {delivered} END, NULL
             FROM challenges AS c WHERE hash > ?1 AND state = {paid}
                AND NOT EXISTS (SELECT 1 FROM tickets AS t WHERE t.hash = c.hash)
             ORDER BY 1 LIMIT ?2",
        ))?;
        let read = |row: &SqlRow<'_>| {
            Ok(Exported {
                hash: PaymentHash::from_bytes(row.get(0)?),
                service: row.get(1)?,
                minted: UnixTime::from_millis(unsigned(row.get(2)?)),
                price_msat: row.get(3)?,
                state: row.get::<_, Option<i16>>(4)?.and_then(State::of_number),
                key: row.get::<_, Option<[u8; 16]>>(5)?.map(Fingerprint::from_bytes),
            })
        };
        select.query_map(params![after.as_bytes(), limit], read)?.collect()
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
    let found = layout::number(&connection).map_err(in_sqlite)?;
    if found != LAYOUT && found != 0 {
        return Err(OpenError::OtherLayout { path: path.to_owned(), found, known: LAYOUT });
    }
    read(&connection).map_err(in_sqlite)
}
