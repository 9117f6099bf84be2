//! The tables and their statements.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::error::OpenError;
use super::files::make_private;
use super::rows::{INSERT, ROW, UPSERT, columns, read_row};
use super::{layout, marks};
use crate::ledger::clock::Moment;
use crate::ledger::sql::{fill, signed};
use crate::ledger::state::{
    self, Attempt, ClaimId, ClaimRules, Marks, Rebound, Resolution, Row, State,
};
use crate::ledger::store::{Claimed, Settled, Settlement};
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

static REVOKED: LazyLock<String> = LazyLock::new(|| {
    fill(&format!("SELECT hash FROM tickets WHERE state = {{revoked}} AND {FEW}"))
});

static PARK_CLAIMED: LazyLock<String> = LazyLock::new(|| {
    let set = "UPDATE tickets SET state = {parked}, changed = ?1, changed_ledger = ?2";
    fill(&format!("{set} WHERE state = {{claimed}} AND {FEW}"))
});

static DELIVER_FIRST: LazyLock<String> = LazyLock::new(|| {
    fill(
        "UPDATE tickets SET state = {delivered}, changed = ?3, changed_ledger = ?4, sealed = NULL
         WHERE id = ?1 AND claim = ?2 AND state = {claimed}",
    )
});

/// Those that mint, and those that signed a ticket that doesn't end by itself.
static SECRETS_IN_USE: LazyLock<String> = LazyLock::new(|| {
    fill(&format!(
        "SELECT fingerprint FROM secrets WHERE needed_until > ?1
         UNION SELECT key FROM tickets
             WHERE {FEW} AND state <> {{revoked}} AND key IS NOT NULL
         UNION SELECT key FROM tickets WHERE state = {{free}} AND key IS NOT NULL"
    ))
});

/// The few tickets that `tickets_few` lists: SQLite uses a partial index only where its very
/// condition stands in the query.
pub(super) const FEW: &str =
    "(state = {claimed} OR state = {parked} OR state = {revoked} OR state = {refused})";

/// An open database that only the writer's thread uses.
pub(super) struct Store {
    connection: Connection,
    /// What it knows of itself. If a commit that changes it fails this store is thrown away, and
    /// the one that takes its place reads it again.
    pub(super) marks: Marks,
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
        make_private(path).map_err(in_file)?;
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
        layout::prepare(&connection, path)?;
        let marks = marks::read(&connection).map_err(in_sqlite)?;
        Ok(Self { connection, marks, under_way: HashMap::new() })
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

    /// Copies the whole log into the database, which says from then on that it has none: one that
    /// comes to lie beside it is noticed as another's.
    pub(super) fn fold(&self) -> rusqlite::Result<()> {
        let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy: i64 = self.connection.query_row(truncate, [], |row| row.get(0))?;
        if is_busy != 0 {
            return Err(busy("somebody else reads it"));
        }
        let mode = "PRAGMA journal_mode = DELETE";
        let mode: String = self.connection.query_row(mode, [], |row| row.get(0))?;
        if mode == "delete" { Ok(()) } else { Err(busy("somebody else has it open")) }
    }

    /// After an error; the transaction may be gone already.
    pub(super) fn rollback(&self) {
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    pub(super) fn claim(
        &mut self,
        attempt: &Attempt,
        now: Moment,
        replay: Duration,
    ) -> rusqlite::Result<Claimed> {
        let (rules, sealed) = (ClaimRules { replay, marks: self.marks }, attempt.sealed.as_deref());
        // Nearly every ticket is handed in once: written at once, and looked at only if it is
        // there.
        if attempt.message.is_none()
            && let (claim, Some(first)) = state::claim(None, attempt, now, &rules)
            && let Some(id) = self.insert(&attempt.hash, &first, sealed)?
        {
            if claim == state::Claim::Granted {
                self.under_way.insert(attempt.hash, id);
            }
            return Ok(Claimed { claim, answer: None, maybe_delivered: false });
        }
        let row = self.row(&attempt.hash)?;
        let (claim, next) = state::claim(row.as_ref(), attempt, now, &rules);
        if let (state::Claim::Granted, Some(message)) = (claim, &attempt.message) {
            // What may have been sent is counted, and isn't kept from being found out.
            let is_parked = row.as_ref().is_some_and(|row| row.state == State::Parked);
            let full = self.no_room(Some(&attempt.hash), &message.room, now)?;
            if let Some(full) = full.filter(|_| !is_parked) {
                if let (None, Some(first)) = (&row, &next) {
                    self.write(&attempt.hash, &state::held_back(first))?;
                }
                let claim = state::Claim::NoRoom(full);
                return Ok(Claimed { claim, answer: None, maybe_delivered: false });
            }
            let (hash, service) = (&attempt.hash, &attempt.service);
            self.keep_message(hash, service, message, is_parked, now)?;
        }
        let maybe_delivered = next.as_ref().is_some_and(|next| next.maybe_delivered);
        if let Some(next) = next {
            self.write(&attempt.hash, &next)?;
            self.seal(&attempt.hash, sealed)?;
        }
        let answer =
            if claim == state::Claim::Replay { self.stored_answer(&attempt.hash)? } else { None };
        Ok(Claimed { claim, answer, maybe_delivered })
    }

    pub(super) fn settle(
        &mut self,
        settlement: &Settlement,
        now: Moment,
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
        if let Some(refused) = &settlement.refused {
            self.refuse_number(refused, now)?;
        }
        if let Some(message) = &settlement.uncounted {
            self.take_back_message(&settlement.hash, message, now)?;
        }
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
        now: Moment,
    ) -> rusqlite::Result<Settled> {
        let Some(Ok(next)) =
            self.row(hash)?.map(|row| state::resolve(&row, claim, resolution, now))
        else {
            return Ok(Settled::Stale);
        };
        self.write(hash, &next)?;
        Ok(Settled::Done { attempts: next.attempts })
    }

    /// A ticket that was never handed in gets a row.
    pub(super) fn revoke(
        &self,
        hash: &PaymentHash,
        valid_until: u64,
        now: Moment,
    ) -> rusqlite::Result<()> {
        let row = self.row(hash)?.unwrap_or_else(|| Row::never_handed_in(valid_until, now));
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
    pub(super) fn park_orphans(&mut self, now: Moment) -> rusqlite::Result<u64> {
        let transaction = self.connection.transaction()?;
        let [wall, ledger] = columns(now);
        let parked = transaction.execute(&PARK_CLAIMED, params![wall, ledger])?;
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

    /// What was asked for is kept as long as nobody knows what became of it.
    pub(super) fn write(&self, hash: &PaymentHash, row: &Row) -> rusqlite::Result<()> {
        self.put(&UPSERT, hash, row, None).map(|_| ())
    }

    /// Writes a first claim; `None` if the ticket is there already.
    fn insert(
        &self,
        hash: &PaymentHash,
        row: &Row,
        sealed: Option<&[u8]>,
    ) -> rusqlite::Result<Option<i64>> {
        let written = self.put(&INSERT, hash, row, sealed)?;
        Ok((written == 1).then(|| self.connection.last_insert_rowid()))
    }

    fn put(
        &self,
        statement: &str,
        hash: &PaymentHash,
        row: &Row,
        sealed: Option<&[u8]>,
    ) -> rusqlite::Result<usize> {
        let ([tried, tried_ledger], [changed, changed_ledger]) =
            (columns(row.first_try), columns(row.changed));
        self.connection.prepare_cached(statement)?.execute(params![
            hash.as_bytes(),
            row.service,
            row.request.as_bytes(),
            row.rebound.map(Rebound::number),
            row.key.as_ref().map(|key| key.as_bytes()),
            signed(row.minted.millis()),
            signed(row.valid_until),
            signed(row.price_msat),
            row.state.number(),
            row.claim.as_bytes(),
            row.attempts,
            row.maybe_delivered,
            row.place.as_ref().map(|place| place.as_bytes()),
            tried,
            tried_ledger,
            row.since_restore,
            changed,
            changed_ledger,
            sealed,
        ])
    }

    fn seal(&self, hash: &PaymentHash, sealed: Option<&[u8]>) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE tickets SET sealed = ?2 WHERE hash = ?1")?
            .execute(params![hash.as_bytes(), sealed])
            .map(|_| ())
    }

    /// What a ticket was handed in for, as long as nobody knows what became of it.
    pub(super) fn sealed(&self, hash: &PaymentHash) -> rusqlite::Result<Option<Vec<u8>>> {
        self.connection
            .prepare_cached("SELECT sealed FROM tickets WHERE hash = ?1")?
            .query_row(params![hash.as_bytes()], |row| row.get(0))
            .optional()
            .map(Option::flatten)
    }

    /// What `state::settle` makes of a first claim that was delivered; `false` if it isn't there as
    /// it was left.
    fn deliver_first(&self, id: i64, claim: ClaimId, now: Moment) -> rusqlite::Result<bool> {
        let [wall, ledger] = columns(now);
        let written = self.connection.prepare_cached(&DELIVER_FIRST)?.execute(params![
            id,
            claim.as_bytes(),
            wall,
            ledger
        ])?;
        Ok(written == 1)
    }
}

pub(super) fn secrets_in_use(
    connection: &Connection,
    now: UnixTime,
) -> rusqlite::Result<Vec<[u8; 16]>> {
    let mut select = connection.prepare(&SECRETS_IN_USE)?;
    select.query_map(params![signed(now.seconds())], |row| row.get(0))?.collect()
}

fn busy(why: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, Some(why.to_owned()))
}
