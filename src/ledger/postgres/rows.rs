//! From rows to what they mean.

use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::{Error, Row as SqlRow};

use super::room::no_room;
use crate::era::Era;
use crate::keys::Fingerprint;
use crate::ledger::clock::Moment;
use crate::ledger::sql::unsigned;
use crate::ledger::state::{self, Attempt, Claim, ClaimId, ClaimRules, Marks, Rebound, Row, State};
use crate::ledger::store::{Claimed, Exported};
use crate::ledger::stored_answer::StoredAnswer;
use crate::payment_hash::PaymentHash;
use crate::place::Place;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// Where the statement did not grant, the state machine says why not, from the row that the
/// statement saw.
pub(super) fn read_claim(
    sql: &SqlRow,
    attempt: &Attempt,
    replay: Duration,
) -> Result<Claimed, Error> {
    let granted: bool = sql.try_get("granted")?;
    if granted {
        let maybe_delivered: Option<bool> = sql.try_get("doubtful")?;
        return Ok(Claimed {
            claim: Claim::Granted,
            answer: None,
            maybe_delivered: maybe_delivered.unwrap_or(true),
        });
    }
    let now = Moment { wall: time(sql, "now")?, ledger: time(sql, "ledger")? };
    let marks = Marks {
        era: Era::from_number(sql.try_get("era")?),
        released_before: time(sql, "released")?,
        watermark: unsigned(sql.try_get("watermark")?),
    };
    let row = match sql.try_get::<_, Option<i16>>("state")? {
        None => None,
        Some(_) => read_columns(sql),
    };
    let lease_until: Option<i64> = sql.try_get("lease_until")?;
    let ran_out = lease_until.is_some_and(|until| unsigned(until) < now.wall.millis());
    let claim = match state::claim(row.as_ref(), attempt, now, &ClaimRules { replay, marks }).0 {
        // What it would grant, the statement did not: there was no room, or a rival was faster.
        Claim::Granted => match no_room(sql.try_get("full_kind")?, sql.try_get("full_wait")?) {
            // Of a parked one only a rival can have been in the way.
            Some(full) if row.as_ref().is_none_or(|row| row.state != State::Parked) => {
                Claim::NoRoom(full)
            }
            _ => Claim::Busy,
        },
        Claim::Busy if ran_out => Claim::Parked,
        claim => claim,
    };
    let answer = match sql.try_get::<_, Option<i32>>("status")? {
        Some(status) if claim == Claim::Replay => Some(StoredAnswer {
            status: u16::try_from(status).unwrap_or(200),
            headers: serde_json::from_str(sql.try_get("headers")?).unwrap_or_default(),
            body: sql.try_get::<_, Option<Vec<u8>>>("body")?.map(Bytes::from),
        }),
        _ => None,
    };
    Ok(Claimed { claim, answer, maybe_delivered: false })
}

pub(super) fn read_row(sql: &SqlRow) -> Option<(PaymentHash, Row)> {
    let hash = sql.try_get::<_, &[u8]>("hash").ok()?.try_into().ok()?;
    Some((PaymentHash::from_bytes(hash), read_columns(sql)?))
}

/// See `LedgerStore::export`.
pub(super) fn read_exported(sql: &SqlRow) -> Option<Exported> {
    let hash = sql.try_get::<_, &[u8]>("hash").ok()?.try_into().ok()?;
    let key = sql.try_get::<_, Option<&[u8]>>("key").ok()?;
    Some(Exported {
        hash: PaymentHash::from_bytes(hash),
        service: sql.try_get("service").ok()?,
        minted: time(sql, "minted").ok()?,
        price_msat: unsigned(sql.try_get("price_msat").ok()?),
        state: sql.try_get::<_, Option<i16>>("state").ok()?.and_then(State::of_number),
        key: key.and_then(|key| key.try_into().ok()).map(Fingerprint::from_bytes),
    })
}

fn read_columns(sql: &SqlRow) -> Option<Row> {
    // A revoked ticket that was never handed in has no request and no claim.
    let bytes = |name: &str| sql.try_get::<_, &[u8]>(name).ok();
    Some(Row {
        service: sql.try_get("service").ok()?,
        request: bytes("request")?
            .try_into()
            .map_or(RequestDigest::NONE, RequestDigest::from_bytes),
        rebound: sql.try_get::<_, Option<i64>>("rebound").ok()?.map(Rebound::of_number),
        key: bytes("key").and_then(|key| key.try_into().ok()).map(Fingerprint::from_bytes),
        minted: time(sql, "minted").ok()?,
        valid_until: unsigned(sql.try_get("valid_until").ok()?),
        price_msat: unsigned(sql.try_get("price_msat").ok()?),
        state: State::of_number(sql.try_get("state").ok()?)?,
        claim: ClaimId::from_bytes(bytes("claim")?.try_into().unwrap_or([0; 16])),
        attempts: u32::try_from(sql.try_get::<_, i64>("attempts").ok()?).unwrap_or(u32::MAX),
        maybe_delivered: sql.try_get("doubtful").ok()?,
        place: bytes("place").and_then(|place| place.try_into().ok()).map(Place::from_bytes),
        first_try: Moment {
            wall: time(sql, "tried").ok()?,
            ledger: time(sql, "tried_ledger").ok()?,
        },
        since_restore: sql.try_get("restored").ok()?,
        changed: Moment {
            wall: time(sql, "changed").ok()?,
            ledger: time(sql, "changed_ledger").ok()?,
        },
    })
}

fn time(sql: &SqlRow, column: &str) -> Result<UnixTime, Error> {
    Ok(UnixTime::from_millis(unsigned(sql.try_get(column)?)))
}
