//! What a ledger knows of itself: who it is, which life it has, what its clock shows.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::era::Era;
use crate::ledger::clock::{JUMP_MAX, LedgerClock, at_start};
use crate::ledger::id::LedgerId;
use crate::ledger::sold_on;
use crate::ledger::sql::{self, signed};
use crate::ledger::state::Marks;
use crate::time::UnixTime;

/// Names of the numbers in `marks`.
pub(super) const WATERMARK: &str = "watermark";
pub(super) const ID: &str = "id";
pub(super) const ERA: &str = "era";
pub(super) const RELEASED: &str = "released";
pub(super) const CLOCK: &str = "clock";
pub(super) const COPIED: &str = "copied";
pub(super) const JUMP_LEFT: &str = "jump-left";

/// What attempts are decided by.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Marks> {
    let number = |name| Ok::<_, rusqlite::Error>(get(connection, name)?.unwrap_or(0));
    Ok(Marks {
        era: Era::from_number(number(ERA)?),
        released_before: millis(number(RELEASED)?),
        watermark: u64::try_from(number(WATERMARK)?).unwrap_or(0),
    })
}

/// Which ledger it is.
pub(super) fn id(connection: &Connection) -> rusqlite::Result<LedgerId> {
    Ok(LedgerId::from_number(get(connection, ID)?.unwrap_or(0)))
}

/// Whether it is a copy that was not put back yet.
pub(super) fn is_copy(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(get(connection, COPIED)?.unwrap_or(0) != 0)
}

/// What its clock showed when that was written down last.
pub(super) fn clock(connection: &Connection) -> rusqlite::Result<Option<UnixTime>> {
    Ok(get(connection, CLOCK)?.map(millis))
}

/// The clock at a start, by what was written down; what is left of its jumps is written down.
pub(super) fn start_clock(
    connection: &Connection,
    wall: UnixTime,
) -> rusqlite::Result<LedgerClock> {
    let (shows, left) = at_start(clock(connection)?, jump_left(connection)?, wall);
    set(connection, JUMP_LEFT, sql::millis(left))?;
    note_clock(connection, shows)?;
    Ok(LedgerClock::new(shows))
}

/// Time that was served gives back what a start has taken.
pub(super) fn refill_jump(connection: &Connection, served: Duration) -> rusqlite::Result<()> {
    let left = jump_left(connection)?.saturating_add(served).min(JUMP_MAX);
    set(connection, JUMP_LEFT, sql::millis(left))
}

fn jump_left(connection: &Connection) -> rusqlite::Result<Duration> {
    Ok(get(connection, JUMP_LEFT)?
        .map_or(JUMP_MAX, |left| Duration::from_millis(u64::try_from(left).unwrap_or(0))))
}

/// On which network something was offered or sold, if anything was.
pub(super) fn sold_on(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let select = "SELECT name FROM marks WHERE name LIKE 'network:%'
        AND (EXISTS (SELECT 1 FROM tickets) OR EXISTS (SELECT 1 FROM days))";
    let name = connection.query_row(select, [], |row| row.get::<_, String>(0)).optional()?;
    Ok(name.map(|name| sold_on::of_mark(&name).to_owned()))
}

/// Writes down on which network is sold from here on; `Some` is another one, on which something was
/// offered or sold: then nothing has changed.
pub(super) fn sell_on(connection: &Connection, now: &str) -> rusqlite::Result<Option<String>> {
    if let Some(found) = sold_on(connection)?.filter(|found| found != now) {
        return Ok(Some(found));
    }
    connection.execute("DELETE FROM marks WHERE name LIKE 'network:%'", [])?;
    set(connection, &sold_on::mark(now), 1)?;
    Ok(None)
}

/// A number by its name.
pub(super) fn get(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT value FROM marks WHERE name = ?1")?;
    select.query_row(params![name], |row| row.get(0)).optional()
}

/// Writes a number down.
pub(super) fn set(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO marks VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET value = excluded.value",
        )?
        .execute(params![name, value])
        .map(|_| ())
}

fn millis(number: i64) -> UnixTime {
    UnixTime::from_millis(u64::try_from(number).unwrap_or(0))
}

/// Writes down what the ledger's clock shows.
pub(super) fn note_clock(connection: &Connection, shows: UnixTime) -> rusqlite::Result<()> {
    set(connection, CLOCK, signed(shows.millis()))
}
