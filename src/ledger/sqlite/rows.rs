//! From rows to what they mean, and back.

use std::sync::LazyLock;

use rusqlite::Row as SqlRow;

use crate::keys::Fingerprint;
use crate::ledger::clock::Moment;
use crate::ledger::sql::{fill, signed};
use crate::ledger::state::{ClaimId, Rebound, Row, State};
use crate::place::Place;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// The columns of a ticket, as `read_row` reads them.
pub(super) const ROW_COLUMNS: &str = "service, request, rebound, key, minted, valid_until, \
     price_msat, state, claim, attempts, doubtful, place, tried, tried_ledger, restored, changed, \
     changed_ledger";

pub(super) static ROW: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {ROW_COLUMNS} FROM tickets WHERE hash = ?1"));

/// Writes a ticket that isn't there.
pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO tickets (hash, {ROW_COLUMNS}, sealed) VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
              ?19)
         ON CONFLICT (hash) DO NOTHING"
    )
});

/// Writes a ticket, there or not.
pub(super) static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let insert = INSERT.replace("NOTHING", "UPDATE SET");
    fill(&format!(
        "{insert} request = excluded.request, rebound = excluded.rebound,
             state = excluded.state, claim = excluded.claim, attempts = excluded.attempts,
             doubtful = excluded.doubtful, place = excluded.place, tried = excluded.tried,
             tried_ledger = excluded.tried_ledger, restored = excluded.restored,
             changed = excluded.changed, changed_ledger = excluded.changed_ledger,
             sealed = CASE WHEN excluded.state = {{claimed}} OR excluded.state = {{parked}}
                 THEN sealed END"
    ))
});

pub(super) fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        service: row.get(0)?,
        request: RequestDigest::from_bytes(row.get(1)?),
        rebound: row.get::<_, Option<i64>>(2)?.map(Rebound::of_number),
        key: row.get::<_, Option<[u8; 16]>>(3)?.map(Fingerprint::from_bytes),
        minted: UnixTime::from_millis(row.get(4)?),
        valid_until: row.get(5)?,
        price_msat: row.get(6)?,
        state: State::of_number(row.get(7)?)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(7, row.get(7)?))?,
        claim: ClaimId::from_bytes(row.get(8)?),
        attempts: row.get(9)?,
        maybe_delivered: row.get(10)?,
        place: row.get::<_, Option<[u8; 16]>>(11)?.map(Place::from_bytes),
        first_try: moment(row, 12)?,
        since_restore: row.get(14)?,
        changed: moment(row, 15)?,
    })
}

/// A moment in the two columns from `at` on.
fn moment(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Moment> {
    let (wall, ledger) =
        (UnixTime::from_millis(row.get(at)?), UnixTime::from_millis(row.get(at + 1)?));
    Ok(Moment { wall, ledger })
}

/// A moment as two columns.
pub(super) fn columns(moment: Moment) -> [i64; 2] {
    [moment.wall, moment.ledger].map(|time| signed(time.millis()))
}
