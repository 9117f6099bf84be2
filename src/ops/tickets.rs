//! What an operator asks about tickets, and says of them: the same over the second listener and
//! from the command line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tracing::info;

use super::audit::{AUDIT, Actor};
use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::ledger::accounts::{Challenge, ChallengeState, DAY_S, Day, Days};
use crate::ledger::error::LedgerError;
use crate::ledger::messages::DeliveryState;
use crate::ledger::state::{Resolution, Row, State};
use crate::ledger::store::{Exported, Settled, Waiting};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Longest time that a revocation of a ticket that was never handed in is remembered, in seconds:
/// longer than any ticket lives.
const REVOCATION_KEPT_S: u64 = 101 * 365 * 86_400;

/// How many tickets a page of an export has.
const EXPORT_PAGE: u32 = 1000;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketCommand {
    /// The newest tickets.
    List {
        /// Of this state only.
        state: Option<State>,
        /// No more than these.
        limit: u32,
    },
    /// One ticket.
    Show(PaymentHash),
    /// What became of a parked one.
    Resolve(PaymentHash, Resolution),
    /// Take one back for good.
    Revoke(PaymentHash),
    /// Free what a restore parked, of tickets that were minted before a time.
    ReleaseRestored(UnixTime),
    /// How many there are in each state, per service.
    States,
    /// Tickets for an account: those after this hash.
    Export {
        /// The last of the page before, or zeros.
        after: PaymentHash,
    },
    /// What was asked for, paid and delivered, per service and day.
    Stats {
        /// How many days back, with today.
        days: u32,
    },
}

impl TicketCommand {
    /// The one ticket that it is about, if it is.
    fn ticket(&self) -> Option<PaymentHash> {
        match self {
            Self::Show(hash) | Self::Resolve(hash, _) | Self::Revoke(hash) => Some(*hash),
            Self::List { .. }
            | Self::ReleaseRestored(_)
            | Self::States
            | Self::Export { .. }
            | Self::Stats { .. } => None,
        }
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum TicketCommandError {
    /// There is no such ticket.
    #[error("no such ticket was ever handed in")]
    Unknown,
    /// Only parked tickets can be resolved, and refused ones released.
    #[error(
        "a refused ticket can be released only, and one that is neither parked nor refused has \
         nothing to resolve"
    )]
    NotParked,
    /// The ledger says no.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Does it in the name of `actor`, and says how the tickets stand now. `ring` tells what backends
/// know of a ticket; `detects`: whether payments are known of.
pub async fn answer(
    ledger: &Ledger,
    ring: Option<&KeyRing>,
    actor: Actor,
    command: TicketCommand,
    detects: bool,
) -> Result<Value, TicketCommandError> {
    if let Some(looked) = look(ledger, ring, command, detects).await? {
        return Ok(looked);
    }
    match command {
        TicketCommand::ReleaseRestored(before) => {
            let released = ledger.release_restored(before).await?;
            let minted_before = before.rfc_3339();
            info!(
                target: AUDIT, by = %actor, minted_before, released,
                "operator: released what a restore parked"
            );
            return Ok(json!({ "released": released, "mintedBefore": before.rfc_3339() }));
        }
        TicketCommand::Resolve(hash, resolution) => {
            let claim = ledger.show(hash).await?.ok_or(TicketCommandError::Unknown)?.claim;
            if ledger.resolve(hash, claim, resolution).await? == Settled::Stale {
                return Err(TicketCommandError::NotParked);
            }
            let said = match resolution {
                Resolution::Delivered => "delivered",
                Resolution::Release => "not sent",
            };
            info!(
                target: AUDIT, by = %actor, ticket = %hash, said,
                "operator: resolved a parked ticket"
            );
        }
        TicketCommand::Revoke(hash) => {
            let until = ledger.now().later().seconds().saturating_add(REVOCATION_KEPT_S);
            ledger.revoke(hash, until).await?;
            info!(target: AUDIT, by = %actor, ticket = %hash, "operator: revoked a ticket");
        }
        _ => {}
    }
    let Some(hash) = command.ticket() else { return Ok(Value::Null) };
    let row = ledger.show(hash).await?.ok_or(TicketCommandError::Unknown)?;
    let mut shown = show(ring, &hash, &row);
    let delivery = ledger.delivery(hash).await?.filter(|delivery| {
        row.state == State::Delivered || delivery.state != DeliveryState::Accepted
    });
    if let (Some(delivery), Value::Object(members)) = (delivery, &mut shown) {
        let (state, at) = (delivery.state.word(), delivery.at.rfc_3339());
        members.insert("delivery".to_owned(), json!({ "state": state, "at": at }));
    }
    // As it lies there: only the holder of the master secret can read it.
    if let (Some(sealed), Value::Object(members)) = (ledger.sealed(hash).await?, &mut shown) {
        members.insert("sealedOrder".to_owned(), STANDARD.encode(sealed).into());
    }
    Ok(shown)
}

/// What is only looked at; `None` for one ticket that was handed in, and for all else.
async fn look(
    ledger: &Ledger,
    ring: Option<&KeyRing>,
    command: TicketCommand,
    detects: bool,
) -> Result<Option<Value>, LedgerError> {
    Ok(Some(match command {
        TicketCommand::Stats { days } => {
            let today = UnixTime::now().seconds() / DAY_S;
            let first_day = today.saturating_sub(u64::from(days.max(1)) - 1);
            stats(&ledger.days(first_day).await?, detects)
        }
        TicketCommand::States => ledger.counts().await?.iter().map(counted).collect(),
        TicketCommand::Export { after } => {
            let page = ledger.export(after, EXPORT_PAGE).await?;
            page.iter().map(|one| exported(ring, one)).collect()
        }
        TicketCommand::List { state, limit } => {
            let rows = ledger.list(state, limit).await?;
            rows.iter().map(|(hash, row)| show(ring, hash, row)).collect()
        }
        TicketCommand::Show(hash) => return challenge(ledger, hash).await,
        _ => return Ok(None),
    }))
}

/// What is known of a ticket that was never handed in: how its invoice stands, where that was
/// written down.
async fn challenge(ledger: &Ledger, hash: PaymentHash) -> Result<Option<Value>, LedgerError> {
    if ledger.show(hash).await?.is_some() {
        return Ok(None);
    }
    let state = |challenge: &Challenge| match challenge.state {
        ChallengeState::Open => "unpaid",
        ChallengeState::Paid => "paid",
        ChallengeState::Closed => "expired",
    };
    Ok(ledger.challenge(hash).await?.map(|challenge| {
        json!({
            "ticket": hash.to_string(),
            "state": state(&challenge),
            "invoiceExpires": challenge.expires.rfc_3339(),
        })
    }))
}

fn counted(waiting: &Waiting) -> Value {
    json!({
        "service": waiting.service,
        "state": waiting.state.word(),
        "count": waiting.count,
    })
}

/// In snake_case, since its members are an account's columns.
fn exported(ring: Option<&KeyRing>, one: &Exported) -> Value {
    let keys = one.key.and_then(|secret| ring?.of(secret));
    json!({
        "time": one.minted.rfc_3339(),
        "service": one.service,
        "state": one.state.map_or("paid", State::word),
        "price_msat": one.price_msat,
        "currency": null,
        "rate": null,
        "payment_hash": one.hash.to_string(),
        "reference": keys.map(|keys| keys.reference(&one.hash)),
    })
}

/// A row per service and day. What was paid is `null` where it isn't known.
fn stats(days: &Days, detects: bool) -> Value {
    let known = |sum: u64, day: &Day| (detects || day.paid.count > 0).then_some(sum);
    let row = |((number, service), day): (&(u64, String), &Day)| {
        json!({
            "day": date(*number),
            "service": service,
            "minted": day.minted.count,
            "mintedMsat": day.minted.msat,
            "paid": known(day.paid.count, day),
            "paidMsat": known(day.paid.msat, day),
            "redeemed": day.redeemed.count,
            "redeemedMsat": day.redeemed.msat,
            "unredeemed": known(day.unredeemed.count, day),
            "unredeemedMsat": known(day.unredeemed.msat, day),
        })
    };
    days.iter().map(row).collect()
}

/// The date of a day by its number since 1970-01-01.
fn date(day: u64) -> String {
    let seconds = i64::try_from(day.saturating_mul(DAY_S)).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| day.to_string(), |time| time.date().to_string())
}

fn show(ring: Option<&KeyRing>, hash: &PaymentHash, row: &Row) -> Value {
    let keys = row.key.and_then(|secret| ring?.of(secret));
    json!({
        "ticket": hash.to_string(),
        "service": row.service,
        "state": row.state.word(),
        "reference": keys.map(|keys| keys.reference(hash)),
        "idempotencyKey": keys.map(|keys| keys.idempotency_key(hash, row.which_request())),
        "attempts": row.attempts,
        "mintedAt": row.minted.rfc_3339(),
        "triedAt": row.place.map(|_| row.first_try.wall.rfc_3339()),
        "changedAt": row.changed.wall.rfc_3339(),
        "validUntil": UnixTime::from_seconds(row.valid_until).rfc_3339(),
        "priceMsat": row.price_msat,
        "sinceRestore": row.since_restore,
        "mayChange": (row.state == State::Refused).then_some(row.rebound.is_none()),
    })
}

/// From `GET /tickets?state=parked&limit=9`, `GET /tickets/<hash>`, `POST /tickets/<hash>/delivered
/// | release | revoke`,
/// `POST /tickets/release?minted_before=2026-11-28T09:30:00Z`.
pub fn read(is_post: bool, path: &str, query: Option<&str>) -> Option<TicketCommand> {
    let segments: Vec<&str> = path.split('/').collect();
    let ["", "tickets", rest @ ..] = segments.as_slice() else { return None };
    match (is_post, rest) {
        (false, []) => list(query.unwrap_or_default()),
        (false, ["stats"]) => {
            let days = query.map_or(Some(30), |query| query.strip_prefix("days=")?.parse().ok());
            Some(TicketCommand::Stats { days: days? })
        }
        (false, ["states"]) => Some(TicketCommand::States),
        (false, ["export"]) => {
            let after = query.map(|query| PaymentHash::from_hex(query.strip_prefix("after=")?));
            let after = after.unwrap_or(Some(PaymentHash::from_bytes([0; 32])));
            Some(TicketCommand::Export { after: after? })
        }
        (false, [hash]) => Some(TicketCommand::Show(PaymentHash::from_hex(hash)?)),
        (true, ["release"]) => {
            let before = form_urlencoded::parse(query?.as_bytes()).next()?;
            let time = (before.0 == "minted_before").then(|| UnixTime::parse(&before.1))?;
            Some(TicketCommand::ReleaseRestored(time?))
        }
        (true, [hash, "delivered"]) => {
            Some(TicketCommand::Resolve(PaymentHash::from_hex(hash)?, Resolution::Delivered))
        }
        (true, [hash, "release"]) => {
            Some(TicketCommand::Resolve(PaymentHash::from_hex(hash)?, Resolution::Release))
        }
        (true, [hash, "revoke"]) => Some(TicketCommand::Revoke(PaymentHash::from_hex(hash)?)),
        _ => None,
    }
}

/// The request that `read` reads as this.
pub fn write(command: &TicketCommand) -> (&'static str, String) {
    match command {
        TicketCommand::List { state: Some(state), limit } => {
            ("GET", format!("/tickets?state={}&limit={limit}", state.word()))
        }
        TicketCommand::List { state: None, limit } => ("GET", format!("/tickets?limit={limit}")),
        TicketCommand::Show(hash) => ("GET", format!("/tickets/{hash}")),
        TicketCommand::Resolve(hash, Resolution::Delivered) => {
            ("POST", format!("/tickets/{hash}/delivered"))
        }
        TicketCommand::Resolve(hash, Resolution::Release) => {
            ("POST", format!("/tickets/{hash}/release"))
        }
        TicketCommand::States => ("GET", "/tickets/states".to_owned()),
        TicketCommand::Export { after } => ("GET", format!("/tickets/export?after={after}")),
        TicketCommand::Stats { days } => ("GET", format!("/tickets/stats?days={days}")),
        TicketCommand::ReleaseRestored(before) => {
            ("POST", format!("/tickets/release?minted_before={}", before.rfc_3339()))
        }
        TicketCommand::Revoke(hash) => ("POST", format!("/tickets/{hash}/revoke")),
    }
}

fn list(query: &str) -> Option<TicketCommand> {
    let (mut state, mut limit) = (None, 100);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "state" => state = Some(state_of(&value)?),
            "limit" => limit = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(TicketCommand::List { state, limit })
}

/// The state of this name.
pub fn state_of(word: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.word() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        assert_eq!(
            [0, 59, 11_016, 19_782, 20_782].map(date),
            ["1970-01-01", "1970-03-01", "2000-02-29", "2024-02-29", "2026-11-25"]
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let hash = PaymentHash::from_bytes([7; 32]);
        for command in [
            TicketCommand::List { state: Some(State::Parked), limit: 7 },
            TicketCommand::List { state: None, limit: 100 },
            TicketCommand::Show(hash),
            TicketCommand::Resolve(hash, Resolution::Delivered),
            TicketCommand::Resolve(hash, Resolution::Release),
            TicketCommand::Revoke(hash),
            TicketCommand::Stats { days: 7 },
            TicketCommand::ReleaseRestored(UnixTime::from_seconds(1_795_858_200)),
        ] {
            let (method, target) = write(&command);
            let (path, query) = target
                .split_once('?')
                .map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
            assert_eq!(read(method == "POST", path, query), Some(command));
        }
        assert_eq!(read(true, "/tickets/zz/release", None), None);
        assert_eq!(read(false, "/ticketsx", None), None);
        assert_eq!(read(false, "/tickets", Some("state=nonsense")), None);
    }
}
