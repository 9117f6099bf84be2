//! `farebox tickets`: looks at tickets and says what became of them. A running `serve` is asked
//! over its second listener; without one, the ledger is opened here.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::config::{Config, LedgerPlace};
use crate::ledger::Ledger;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::store::Terms;
use crate::ops::tickets::{self, Ask};

pub(super) async fn run(path: &Path, ask: Ask) -> Result<ExitCode, String> {
    let config = Config::read(path).map_err(|error| error.to_string())?;
    let answer = match TcpStream::connect(config.ops).await {
        Ok(socket) => over_http(socket, config.ops, ask).await?,
        Err(_) => {
            let terms = Terms { replay: config.tickets.replay };
            let LedgerPlace::Sqlite(path) = &config.ledger else {
                return Err(format!(
                    "no `serve` answers at `ops.address` {}; start one: it knows the database",
                    config.ops
                ));
            };
            let ledger = SqliteLedger::open(path, terms, Box::new(|_| {}))
                .map_err(|error| error.to_string())?;
            tickets::answer(&Ledger::new(ledger), ask, config.detects_payments)
                .await
                .map_err(|no| no.to_string())?
        }
    };
    match ask {
        Ask::Stats { .. } => print_stats(&answer),
        _ => print(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

async fn over_http(socket: TcpStream, ops: SocketAddr, ask: Ask) -> Result<Value, String> {
    let fault = |error: &dyn std::fmt::Display| format!("`ops.address` {ops}: {error}");
    let (method, target) = tickets::write(&ask);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|error| fault(&error))?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", ops.to_string())
        .body(Empty::<Bytes>::new());
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
        Err(answer.get("error").and_then(Value::as_str).unwrap_or("refused").to_owned())
    }
}

/// A line per service and day. `-` is what isn't known.
fn print_stats(answer: &Value) {
    let rows = answer.as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        println!("nothing was sold in these days");
        return;
    }
    println!(
        "{:<10}  {:<20}  {:>20}  {:>20}  {:>20}  {:>20}",
        "day (UTC)", "service", "minted", "paid", "delivered", "paid, not delivered"
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
        println!(
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
        println!(
            "{}  {:<9}  {:<20}  attempts {}  changed {}  valid until {}  {} msat",
            text("ticket"),
            text("state"),
            text("service"),
            number("attempts"),
            number("changedAt"),
            number("validUntil"),
            number("priceMsat"),
        );
    }
    if rows.is_empty() {
        println!("no tickets");
    }
}
