//! Tickets for an account: one line each.

use serde_json::Value;

use super::ask::Asked;
use crate::cli::failure::Failure;
use crate::cli::print::say;
use crate::ops::tickets::TicketCommand;
use crate::payment_hash::PaymentHash;

/// How an account is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    /// With a line of names first (RFC 4180).
    Csv,
    /// A list, of which each ticket is a line.
    Json,
}

/// The columns, which are the members too.
const COLUMNS: [&str; 8] =
    ["time", "service", "state", "price_msat", "currency", "rate", "payment_hash", "reference"];

pub(super) async fn run(asked: &Asked<'_>, format: ExportFormat) -> Result<(), Failure> {
    let mut all = Vec::new();
    let mut after = PaymentHash::from_bytes([0; 32]);
    loop {
        let page = asked.ask(TicketCommand::Export { after }).await?;
        let page = page.as_array().cloned().unwrap_or_default();
        let last = page.last().and_then(|ticket| ticket.get("payment_hash")?.as_str());
        let Some(last) = last.and_then(PaymentHash::from_hex) else { break };
        after = last;
        all.extend(page);
    }
    // Times of one form, which so sort as texts.
    all.sort_by_cached_key(|ticket| {
        let member = |name: &str| ticket.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        (member("time"), member("payment_hash"))
    });
    match format {
        ExportFormat::Csv => csv(&all),
        ExportFormat::Json => json(&all),
    }
    Ok(())
}

/// No value needs quotes: times, names of services, words, numbers, hexadecimal digits.
fn csv(tickets: &[Value]) {
    say!("{}", COLUMNS.join(","));
    for ticket in tickets {
        let value = |name: &&str| match ticket.get(*name) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        say!("{}", COLUMNS.iter().map(value).collect::<Vec<_>>().join(","));
    }
}

fn json(tickets: &[Value]) {
    if tickets.is_empty() {
        say!("[]");
        return;
    }
    for (number, ticket) in tickets.iter().enumerate() {
        let begin = if number == 0 { "[" } else { " " };
        let end = if number + 1 == tickets.len() { "]" } else { "," };
        say!("{begin}{ticket}{end}");
    }
}
