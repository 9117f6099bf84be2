//! `farebox tickets`: looks at tickets and says what became of them. A running `serve` is asked
//! over its second listener; without one, the ledger is opened here.

use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::failure::Failure;
use crate::app::log::Log;
use crate::app::master_secret;
use crate::cli::print::say;
use crate::config::{self, LedgerConfig, LedgerPlace, LogSettings, OpsSettings};
use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::state::State;
use crate::ledger::store::LedgerTerms;
use crate::ops::tickets::{self, TicketCommand};
use crate::payment_hash::PaymentHash;
use crate::redeem::sealed_order;

pub(super) async fn run(path: &Path, command: TicketCommand) -> Result<ExitCode, Failure> {
    let config = LedgerConfig::read(path)?;
    let ring = ring(&config.tickets);
    let mut answer = match TcpStream::connect(config.ops.address).await {
        Ok(socket) => over_http(socket, &config.ops, command).await?,
        Err(_) => here(config, ring.as_ref().ok(), command).await?,
    };
    match command {
        TicketCommand::Stats { .. } => print_stats(&answer),
        TicketCommand::Show(hash) => {
            unseal(&mut answer, &hash, ring);
            print_one(&answer);
        }
        TicketCommand::ReleaseRestored(_) => {
            let released = answer.get("released").and_then(Value::as_u64).unwrap_or_default();
            say!("{released} ticket(s) freed; those of that time that come in later are taken");
        }
        _ => print(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a running `serve`, the ledger is opened here.
async fn here(
    config: LedgerConfig,
    ring: Option<&KeyRing>,
    command: TicketCommand,
) -> Result<Value, Failure> {
    let terms = LedgerTerms { replay: config.tickets.replay };
    let (ops, detects) = (config.ops.address, config.detects_payments);
    let LedgerPlace::Sqlite(path) = config.place()? else {
        return Err(format!(
            "no `serve` answers at `ops.address` {ops}; start one: it knows the database"
        )
        .into());
    };
    let found = SqliteLedger::identify(&path)?;
    if found.is_none() {
        return Err(
            format!("there is no ledger at {}: nothing was handed in yet", path.display()).into()
        );
    }
    // What is done to a ticket is said in a line, as `serve` says it.
    let log = Log::start(&LogSettings::default())?;
    let ledger = SqliteLedger::open(&path, terms, Box::new(|_| {}));
    let ledger = Ledger::new(ledger?);
    let answered = tickets::answer(&ledger, ring, command, detects).await;
    log.flush();
    answered.map_err(Failure::from)
}

/// The keys by which orders are sealed and named; no network's in particular.
fn ring(tickets: &config::TicketSettings) -> Result<KeyRing, Failure> {
    let secrets = master_secret::load(tickets, &[], None)?.secrets;
    Ok(KeyRing::new(&secrets, "").ok_or_else(master_secret::no_secret)?)
}

/// Puts the order itself in the place of the sealed one, or says why it can't.
fn unseal(answer: &mut Value, hash: &PaymentHash, ring: Result<KeyRing, Failure>) {
    let Value::Object(members) = answer else { return };
    let Some(Value::String(sealed)) = members.remove("sealedOrder") else { return };
    let opened = ring.and_then(|ring| {
        let sealed = STANDARD.decode(sealed)?;
        sealed_order::open(&ring, hash, &sealed)
            .ok_or_else(|| "it was sealed under a master secret that isn't here".into())
    });
    let order = opened.unwrap_or_else(|why| format!("can't be shown: {why}").into());
    members.insert("order".to_owned(), order);
}

async fn over_http(
    socket: TcpStream,
    ops: &OpsSettings,
    command: TicketCommand,
) -> Result<Value, Failure> {
    let address = ops.address;
    let fault = |error: &dyn std::fmt::Display| format!("`ops.address` {address}: {error}");
    let (method, target) = tickets::write(&command);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|error| fault(&error))?;
    tokio::spawn(connection);
    let mut request =
        Request::builder().method(method).uri(target).header("host", address.to_string());
    if let Some(token) = &ops.token {
        request = request.header("authorization", format!("Bearer {}", token.trim()));
    }
    let request = request.body(Empty::<Bytes>::new());
    let response = sender
        .send_request(request.map_err(|error| fault(&error))?)
        .await
        .map_err(|error| fault(&error))?;
    let good = response.status().is_success();
    let body = response.into_body().collect().await.map_err(|error| fault(&error))?.to_bytes();
    let answer: Value = serde_json::from_slice(&body)
        .map_err(|_| fault(&"this is no Farebox; is `ops.address` right?"))?;
    if good {
        Ok(answer)
    } else {
        Err(answer.get("error").and_then(Value::as_str).unwrap_or("refused").into())
    }
}

/// A line per service and day. `-` is what isn't known.
fn print_stats(answer: &Value) {
    let rows = answer.as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        say!("nothing was sold in these days");
        return;
    }
    say!(
        "{:<10}  {:<20}  {:>20}  {:>20}  {:>20}  {:>20}",
        "day (UTC)",
        "service",
        "minted",
        "paid",
        "delivered",
        "paid, not delivered"
    );
    for row in rows {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let sum = |count: &str, msat: &str| {
            let number = |name: &str| row.get(name).and_then(Value::as_u64);
            match (number(count), number(msat)) {
                (Some(count), Some(msat)) => format!("{count} ({} sat)", msat / 1000),
                _ => "-".to_owned(),
            }
        };
        say!(
            "{:<10}  {:<20}  {:>20}  {:>20}  {:>20}  {:>20}",
            text("day"),
            text("service"),
            sum("minted", "mintedMsat"),
            sum("paid", "paidMsat"),
            sum("redeemed", "redeemedMsat"),
            sum("unredeemed", "unredeemedMsat"),
        );
    }
}

/// A line per ticket.
fn print(answer: &Value) {
    let one = std::slice::from_ref(answer);
    let rows = answer.as_array().map_or(one, Vec::as_slice);
    for row in rows {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default();
        let since = row.get("sinceRestore").and_then(Value::as_bool).unwrap_or_default();
        say!(
            "{}  {:<9}  {:<20}  changed {}  valid until {}  {} msat  reference {}{}",
            text("ticket"),
            text("state"),
            text("service"),
            text("changedAt"),
            text("validUntil"),
            number("priceMsat"),
            text("reference"),
            if since { "  parked since a restore" } else { "" },
        );
    }
    if rows.is_empty() {
        say!("no tickets");
    }
}

/// Everything that is known of one ticket.
fn print_one(row: &Value) {
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
    ];
    let said = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    for (label, name) in lines {
        say!("{label:<24}{}", said(row.get(name).unwrap_or(&Value::Null)));
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
