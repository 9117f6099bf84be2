//! The tables and their statements.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::hooks::Wal;
use rusqlite::{
    Connection, OpenFlags, OptionalExtension as _, Row as SqlRow, named_params, params,
};

use super::error::OpenError;
use super::layout;
use crate::ledger::sql::{fill, signed};
use crate::ledger::state::{self, Attempt, ClaimId, ReplayWindow, Resolution, Row, State};
use crate::ledger::store::{Claimed, Settled, Settlement};
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// The columns of a ticket, as `read_row` reads them.
pub(super) const ROW_COLUMNS: &str =
    "service, request, valid_until, price_msat, state, claim, attempts, changed, doubtful";

static ROW: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {ROW_COLUMNS} FROM tickets WHERE hash = ?1"));

static REVOKED: LazyLock<String> = LazyLock::new(|| {
    fill(&format!("SELECT hash FROM tickets WHERE state = {{revoked}} AND {FEW}"))
});

static PARK_CLAIMED: LazyLock<String> = LazyLock::new(|| {
    let set = "UPDATE tickets SET state = {parked}, changed = ?1";
    fill(&format!("{set} WHERE state = {{claimed}} AND {FEW}"))
});

static DELIVER_FIRST: LazyLock<String> = LazyLock::new(|| {
    fill(
        "UPDATE tickets SET state = {delivered}, changed = ?3
         WHERE id = ?1 AND claim = ?2 AND state = {claimed}",
    )
});

/// The few tickets that `tickets_few` lists: SQLite uses a partial index only where its very
/// condition stands in the query.
pub(super) const FEW: &str = "(state = {claimed} OR state = {parked} OR state = {revoked})";

/// An open database that only the writer's thread uses.
pub(super) struct Store {
    connection: Connection,
    /// The newest `valid_until` of a row that was forgotten.
    pub(super) watermark: u64,
    /// Tickets that were claimed for the first time, by this store, and are not settled: where they
    /// lie. A store that had an error is thrown away, and this with it.
    under_way: HashMap<PaymentHash, i64>,
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let in_file = |source| OpenError::File { path: path.to_owned(), source };
        let in_sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        // Made by us so that it, and the files that SQLite puts beside it, can be read by nobody
        // else. One that is there already is left to SQLite: closing a descriptor of ours would
        // drop the locks that others of this process hold.
        match OpenOptions::new().create_new(true).append(true).mode(0o600).open(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(in_file(error)),
            Ok(_) | Err(_) => {}
        }
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(in_sqlite)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(in_sqlite)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA foreign_keys = OFF; PRAGMA cache_size = -32768;",
            )
            .map_err(in_sqlite)?;
        layout::prepare(&connection)
            .map_err(in_sqlite)?
            .map_err(|found| OpenError::OtherLayout { path: path.to_owned(), found })?;
        let watermark = connection
            .query_row("SELECT value FROM marks WHERE name = 'watermark'", [], |row| row.get(0))
            .map_err(in_sqlite)?;
        Ok(Self { connection, watermark, under_way: HashMap::new() })
    }

    /// Lets the database grow no further, as a full disk would; until it is opened again.
    #[cfg(test)]
    pub(super) fn fill_up(&self) {
        self.connection.execute_batch("PRAGMA max_page_count = 1").unwrap();
    }

    /// Has the `n`th commit from now on fail.
    #[cfg(test)]
    pub(super) fn fail_commit(&mut self, n: u32) {
        let mut count = 0;
        let hook = move || {
            count += 1;
            count == n
        };
        self.connection.commit_hook(Some(hook)).unwrap();
    }

    /// Calls `told` after each commit with the log and the pages in it. SQLite itself then copies
    /// none of them.
    pub(super) fn on_commit(
        &mut self,
        told: impl FnMut(&mut Wal, i32) -> rusqlite::Result<()> + Send + 'static,
    ) -> rusqlite::Result<()> {
        self.connection.wal_hook(Some(told))
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }

    /// Writes something, so that a commit shows whether the disk takes it.
    pub(super) fn touch(&self, now: UnixTime) -> rusqlite::Result<()> {
        let written = "INSERT INTO marks VALUES ('reopened', ?1)
             ON CONFLICT DO UPDATE SET value = excluded.value";
        self.connection.execute(written, params![signed(now.millis())]).map(|_| ())
    }

    /// After an error; the transaction may be gone already.
    pub(super) fn rollback(&self) {
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    pub(super) fn claim(
        &mut self,
        attempt: &Attempt,
        now: UnixTime,
        replay: Duration,
    ) -> rusqlite::Result<Claimed> {
        let window = ReplayWindow { replay, watermark: self.watermark };
        // Nearly every ticket is handed in once: written at once, and looked at only if it is
        // there.
        if let (claim, Some(first)) = state::claim(None, attempt, now, window)
            && let Some(id) = self.insert(&attempt.hash, &first)?
        {
            self.under_way.insert(attempt.hash, id);
            return Ok(Claimed { claim, answer: None, maybe_delivered: false });
        }
        let row = self.row(&attempt.hash)?;
        let (claim, next) = state::claim(row.as_ref(), attempt, now, window);
        let maybe_delivered = next.as_ref().is_some_and(|next| next.maybe_delivered);
        if let Some(next) = next {
            self.write(&attempt.hash, &next)?;
        }
        let answer =
            if claim == state::Claim::Replay { self.stored_answer(&attempt.hash)? } else { None };
        Ok(Claimed { claim, answer, maybe_delivered })
    }

    pub(super) fn settle(
        &mut self,
        settlement: &Settlement,
        now: UnixTime,
    ) -> rusqlite::Result<Settled> {
        if let Some(id) = self.under_way.remove(&settlement.hash)
            && settlement.outcome == Outcome::Delivered
            && self.deliver_first(id, settlement.claim, now)?
        {
            if let Some(answer) = &settlement.answer {
                self.keep_answer(id, answer, now)?;
            }
            return Ok(Settled::Done { attempts: 0 });
        }
        let row = self.row(&settlement.hash)?;
        let Some(next) =
            row.and_then(|row| state::settle(&row, settlement.claim, settlement.outcome, now).ok())
        else {
            return Ok(Settled::Stale);
        };
        self.write(&settlement.hash, &next)?;
        if let Some(answer) = &settlement.answer
            && let Some(id) = self.id(&settlement.hash)?
        {
            self.keep_answer(id, answer, now)?;
        }
        Ok(Settled::Done { attempts: next.attempts })
    }

    pub(super) fn resolve(
        &self,
        hash: &PaymentHash,
        claim: ClaimId,
        resolution: Resolution,
        now: UnixTime,
    ) -> rusqlite::Result<Settled> {
        let Some(Ok(next)) =
            self.row(hash)?.map(|row| state::resolve(&row, claim, resolution, now))
        else {
            return Ok(Settled::Stale);
        };
        self.write(hash, &next)?;
        Ok(Settled::Done { attempts: next.attempts })
    }

    /// A ticket that was never handed in gets a row, which is kept until `valid_until` and then as
    /// long as any.
    pub(super) fn revoke(
        &self,
        hash: &PaymentHash,
        valid_until: u64,
        now: UnixTime,
    ) -> rusqlite::Result<()> {
        let row = self.row(hash)?.unwrap_or_else(|| Row {
            service: String::new(),
            request: RequestDigest::NONE,
            valid_until,
            price_msat: 0,
            state: State::Revoked,
            claim: ClaimId::from_bytes([0; 16]),
            attempts: 0,
            maybe_delivered: false,
            changed: now,
        });
        self.write(hash, &state::revoke(&row, now))
    }

    pub(super) fn revoked(&self) -> rusqlite::Result<Vec<PaymentHash>> {
        let mut select = self.connection.prepare_cached(&REVOKED)?;
        select.query_map([], |row| row.get(0).map(PaymentHash::from_bytes))?.collect()
    }

    /// Takes back claims whose commit was not confirmed. None of them sent anything.
    pub(super) fn withdraw(&self, claims: &[(PaymentHash, ClaimId)]) -> rusqlite::Result<()> {
        for (hash, claim) in claims {
            if let Some(Ok(free)) = self.row(hash)?.map(|row| state::withdraw(&row, *claim)) {
                self.write(hash, &free)?;
            }
        }
        Ok(())
    }

    /// Parks what is claimed; at start nobody alive holds it.
    pub(super) fn park_orphans(&mut self, now: UnixTime) -> rusqlite::Result<u64> {
        let transaction = self.connection.transaction()?;
        let parked = transaction.execute(&PARK_CLAIMED, params![signed(now.millis())])?;
        transaction.commit()?;
        Ok(parked as u64)
    }

    pub(super) fn note_secret(
        &self,
        fingerprint: &[u8; 16],
        needed_until: UnixTime,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO secrets VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET needed_until = max(needed_until, excluded.needed_until)",
            )?
            .execute(params![fingerprint, signed(needed_until.seconds())])?;
        Ok(())
    }

    pub(super) fn secrets_in_use(&self, now: UnixTime) -> rusqlite::Result<Vec<[u8; 16]>> {
        secrets_in_use(&self.connection, now)
    }

    pub(super) fn row(&self, hash: &PaymentHash) -> rusqlite::Result<Option<Row>> {
        self.connection
            .prepare_cached(&ROW)?
            .query_row(params![hash.as_bytes()], read_row)
            .optional()
    }

    fn write(&self, hash: &PaymentHash, row: &Row) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO tickets (hash, service, request, valid_until, price_msat, state,
                     claim, attempts, changed, doubtful)
                 VALUES (:hash, :service, :request, :valid_until, :price_msat, :state,
                     :claim, :attempts, :changed, :doubtful)
                 ON CONFLICT (hash) DO UPDATE SET state = excluded.state,
                     claim = excluded.claim, attempts = excluded.attempts,
                     changed = excluded.changed, doubtful = excluded.doubtful",
            )?
            .execute(named_params! {
                ":hash": hash.as_bytes(),
                ":service": row.service,
                ":request": row.request.as_bytes(),
                ":valid_until": signed(row.valid_until),
                ":price_msat": signed(row.price_msat),
                ":state": row.state.number(),
                ":claim": row.claim.as_bytes(),
                ":attempts": row.attempts,
                ":changed": signed(row.changed.millis()),
                ":doubtful": row.maybe_delivered,
            })?;
        Ok(())
    }

    /// Writes a first claim; `None` if the ticket is there already.
    fn insert(&self, hash: &PaymentHash, row: &Row) -> rusqlite::Result<Option<i64>> {
        let written = self
            .connection
            .prepare_cached(
                "INSERT INTO tickets (hash, service, request, valid_until, price_msat, state,
                     claim, attempts, changed, doubtful)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (hash) DO NOTHING",
            )?
            .execute(params![
                hash.as_bytes(),
                row.service,
                row.request.as_bytes(),
                signed(row.valid_until),
                signed(row.price_msat),
                row.state.number(),
                row.claim.as_bytes(),
                row.attempts,
                signed(row.changed.millis()),
                row.maybe_delivered,
            ])?;
        Ok((written == 1).then(|| self.connection.last_insert_rowid()))
    }

    /// What `state::settle` makes of a first claim that was delivered; `false` if it isn't there as
    /// it was left.
    fn deliver_first(&self, id: i64, claim: ClaimId, now: UnixTime) -> rusqlite::Result<bool> {
        let written = self.connection.prepare_cached(&DELIVER_FIRST)?.execute(params![
            id,
            claim.as_bytes(),
            signed(now.millis())
        ])?;
        Ok(written == 1)
    }
}

pub(super) fn secrets_in_use(
    connection: &Connection,
    now: UnixTime,
) -> rusqlite::Result<Vec<[u8; 16]>> {
    let mut select =
        connection.prepare("SELECT fingerprint FROM secrets WHERE needed_until > ?1")?;
    select.query_map(params![signed(now.seconds())], |row| row.get(0))?.collect()
}

pub(super) fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        service: row.get(0)?,
        request: RequestDigest::from_bytes(row.get(1)?),
        valid_until: row.get(2)?,
        price_msat: row.get(3)?,
        state: State::of_number(row.get(4)?)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(4, row.get(4)?))?,
        claim: ClaimId::from_bytes(row.get(5)?),
        attempts: row.get(6)?,
        changed: UnixTime::from_millis(row.get(7)?),
        maybe_delivered: row.get(8)?,
    })
}
