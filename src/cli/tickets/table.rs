//! Tickets for people, at a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::cli::print::say;
use crate::ledger::state::State;
use crate::time::UnixTime;

/// What the columns of the accounts mean.
const LEGEND: &str = "\
minted               invoices that were handed out
paid                 of these, what the node says was paid; - where payments aren't detected
delivered            tickets whose request the backend took
paid, not delivered  what is owed: paid, and not handed in, parked, free, or refused";

/// What a ticket can be.
const STATES: &str = "\
claimed    its request is at the backend just now
free       handed in, and the backend did nothing: it can be handed in again
delivered  its request was served, and it is spent
refused    the backend will never take its request: it may be handed in once more, with another one,
           unless that was refused too (`refused twice` in `tickets list`): then it is for you
parked     nobody knows whether its request was served: look at the backend, then `tickets resolve`
revoked    taken back by the operator";

fn table(head: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head);
    for number in numbers {
        if let Some(column) = table.column_mut(*number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn rows(answer: &Value) -> &[Value] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or("-")
}

fn number(row: &Value, name: &str) -> Option<u64> {
    row.get(name).and_then(Value::as_u64)
}

/// A line per service and day, then how tickets stand, and what the words mean.
pub(super) fn stats(days: &Value, states: &Value) {
    let head = ["day (UTC)", "service", "minted", "paid", "delivered", "paid, not delivered"];
    let mut by_day = table(&head, &[2, 3, 4, 5]);
    for row in rows(days) {
        let sum = |count: &str, msat: &str| match (number(row, count), number(row, msat)) {
            (Some(count), Some(msat)) => format!("{count} ({} sat)", msat / 1000),
            _ => "-".to_owned(),
        };
        by_day.add_row([
            text(row, "day").to_owned(),
            text(row, "service").to_owned(),
            sum("minted", "mintedMsat"),
            sum("paid", "paidMsat"),
            sum("redeemed", "redeemedMsat"),
            sum("unredeemed", "unredeemedMsat"),
        ]);
    }
    match by_day.is_empty() {
        true => say!("nothing was sold in these days"),
        false => say!("{by_day}\n\n{LEGEND}"),
    }
    let mut by_state = table(&["service", "tickets that are", "count"], &[2]);
    for row in rows(states) {
        let count = number(row, "count").unwrap_or_default();
        by_state.add_row([text(row, "service"), text(row, "state"), &count.to_string()]);
    }
    if !by_state.is_empty() {
        say!("\n{by_state}\n\n{STATES}");
    }
}

/// A line per ticket, the newest first.
pub(super) fn list(answer: &Value) {
    let one = std::slice::from_ref(answer);
    let rows = answer.as_array().map_or(one, Vec::as_slice);
    if rows.is_empty() {
        say!("no tickets");
        return;
    }
    let head = ["changed", "state", "service", "sat", "reference", "ticket"];
    let mut lines = table(&head, &[3]);
    let now = OffsetDateTime::now_utc();
    for row in rows {
        let since = row.get("sinceRestore").and_then(Value::as_bool).unwrap_or_default();
        let is_over = row.get("mayChange").and_then(Value::as_bool) == Some(false);
        let state = match (since, is_over) {
            (true, _) => format!("{} (since a restore)", text(row, "state")),
            (false, true) => format!("{} twice", text(row, "state")),
            (false, false) => text(row, "state").to_owned(),
        };
        lines.add_row([
            ago(text(row, "changedAt"), now),
            state,
            text(row, "service").to_owned(),
            sat(number(row, "priceMsat").unwrap_or_default()),
            text(row, "reference").to_owned(),
            text(row, "ticket").to_owned(),
        ]);
    }
    say!("{lines}");
}

/// In sat, with what a fraction is left.
fn sat(msat: u64) -> String {
    match msat % 1000 {
        0 => (msat / 1000).to_string(),
        rest => format!("{}.{rest:03}", msat / 1000),
    }
}

/// A time for people: how long ago, where that is less than a day.
fn ago(rfc_3339: &str, now: OffsetDateTime) -> String {
    let Some(time) = UnixTime::parse(rfc_3339) else { return rfc_3339.to_owned() };
    let seconds = i64::try_from(time.seconds()).unwrap_or(i64::MAX);
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else {
        return rfc_3339.to_owned();
    };
    let age = now - time;
    match age {
        _ if age < Duration::ZERO => date(time),
        _ if age < Duration::MINUTE => format!("{} s ago", age.whole_seconds()),
        _ if age < Duration::HOUR => format!("{} min ago", age.whole_minutes()),
        _ if age < Duration::DAY => format!("{} h ago", age.whole_hours()),
        _ => date(time),
    }
}

fn date(time: OffsetDateTime) -> String {
    let (hour, minute, _) = time.to_hms();
    format!("{} {hour:02}:{minute:02} UTC", time.date())
}

/// Everything that is known of one ticket.
pub(super) fn one(row: &Value) {
    let lines = [
        ("ticket", "ticket"),
        ("state", "state"),
        ("service", "service"),
        ("reference", "reference"),
        ("idempotency key", "idempotencyKey"),
        ("minted", "mintedAt"),
        ("first tried", "triedAt"),
        ("changed", "changedAt"),
        ("valid until", "validUntil"),
        ("price (msat)", "priceMsat"),
        ("tries that did nothing", "attempts"),
        ("parked since a restore", "sinceRestore"),
        ("good for another order", "mayChange"),
        ("invoice expires", "invoiceExpires"),
    ];
    let now = OffsetDateTime::now_utc();
    let said = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    for (label, name) in lines {
        match row.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(time)) if UnixTime::parse(time).is_some() && time.contains('T') => {
                say!("{label:<24}{time}  {}", ago(time, now));
            }
            Some(value) => say!("{label:<24}{}", said(value)),
        }
    }
    let delivery = |name: &str| row.get("delivery")?.get(name)?.as_str();
    if let (Some(state), Some(at)) = (delivery("state"), delivery("at")) {
        say!("{:<24}{state}  {}", "message", ago(at, now));
    }
    match row.get("order") {
        Some(Value::Object(order)) => {
            say!("order");
            for (name, value) in order {
                say!("  {name:<22}{}", said(value));
            }
        }
        Some(other) => say!("{:<24}{}", "order", said(other)),
        None => say!("{:<24}{}", "order", why_not_kept(row)),
    }
}

/// Why the order of a ticket isn't shown.
fn why_not_kept(row: &Value) -> &'static str {
    if row.get("state").and_then(Value::as_str) == Some(State::Parked.word()) {
        "not kept: it was longer than 4096 bytes, or is older than 90 days"
    } else {
        "not kept: it is known what became of it"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_for_people() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_858_200).unwrap();
        for (time, said) in [
            ("2026-11-28T09:29:55Z", "5 s ago"),
            ("2026-11-28T09:05:00Z", "25 min ago"),
            ("2026-11-28T01:00:00Z", "8 h ago"),
            ("2026-11-27T09:00:00Z", "2026-11-27 09:00 UTC"),
            ("2026-12-27T09:00:00Z", "2026-12-27 09:00 UTC"),
            ("-", "-"),
        ] {
            assert_eq!(ago(time, now), said, "{time}");
        }
    }

    #[test]
    fn a_fraction_of_a_sat_is_shown() {
        assert_eq!((sat(100_000), sat(1500)), ("100".to_owned(), "1.500".to_owned()));
    }
}
