//! Text messages with all that may be asked of them before the sale and after, beside orders that
//! are only checked by their schema, at the same gate.

use std::fs;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

use super::nginx::Nginx;
use super::{ROUNDS, TICKETS};
use crate::bench::{Bench, Gate, GateSettings, measured};
use crate::load::ours;
use crate::postgres;
use crate::processes::{port, until_it_listens};
use crate::requests::{post, times};
use crate::table::Table;

const SERVICE: &str = r#"
[[service]]
name = "texts"
method = "POST"
path = "/texts"
ticket = "single-use"
price = { table = "prices.csv", per = "segment" }
upstream = "http://UPSTREAM/"
delivered = { status = [200] }
[service.sms]
to = "phone_number"
text = "message"
suffix = " via example.com"
strict = true
refuse = ["https?://"]
deny = "deny.txt"
per_number = "3/24h"
per_day = { all = 100000000, "+49" = 100000000 }
[service.backend]
preset = "twilio"
account_sid = "AC1"
auth_token = { env = "SECRET" }
from = "+15005550006"
"#;

/// Listed prefixes, and denied numbers.
const LISTED: usize = 20_000;

pub async fn run(
    bench: &Bench<'_>,
    nginx: &Nginx<'_>,
    table: &mut Table,
    wanted: &dyn Fn(&str) -> bool,
) {
    if !wanted("texts") {
        return;
    }
    let rows: String = (0..LISTED).map(|n| format!("+{},10\n", 10_000 + n)).collect();
    fs::write(bench.folder.join("prices.csv"), format!("prefix,price\n+49,20\n{rows}")).unwrap();
    let rows: String = (0..LISTED).map(|n| format!("+4917{:08}\n", n)).collect();
    fs::write(bench.folder.join("deny.txt"), rows).unwrap();
    let settings = GateSettings { name: "texts", more: SERVICE, ..GateSettings::default() };
    let gate = bench.gate(&settings).await;
    for round in 0..ROUNDS {
        table.add("nginx, beside texts", "-", nginx.plain().await);
        challenges(bench, &gate, table).await;
        redemptions(bench, &gate, table, "SQLite", round, TICKETS).await;
    }
    let database = port();
    let Some((_server, url)) = postgres::start(bench.folder, database) else {
        table.notes.push("texts in PostgreSQL: its programs are not here".to_owned());
        return;
    };
    until_it_listens(database).await;
    let settings = GateSettings { name: "texts-pg", postgres: Some(&url), ..settings };
    let gate = bench.gate(&settings).await;
    // Its claims don't wait for each other's commits.
    let (before, after) = SERVICE.split_once("per_day").unwrap();
    let no_day = format!("{before}{}", after.split_once('\n').unwrap().1);
    let settings = GateSettings { name: "texts-pg-no-day", more: &no_day, ..settings };
    let no_day = bench.gate(&settings).await;
    for round in 0..ROUNDS {
        redemptions(bench, &gate, table, "PostgreSQL", round, TICKETS / 4).await;
        let ledger = "PostgreSQL without per_day";
        redemptions(bench, &no_day, table, ledger, ROUNDS + round, TICKETS / 4).await;
    }
}

async fn challenges(bench: &Bench<'_>, gate: &Gate, table: &mut Table) {
    let target = bench.target(gate, false, false);
    let plain = ours(&target, 16, &[402], None, times(TICKETS, |_| post(None)));
    let plain = measured(&gate.process, plain).await;
    let texts = ours(&target, 16, &[402], None, times(TICKETS, |n| text(n, None)));
    let texts = measured(&gate.process, texts).await;
    table.add("challenge", "nginx, beside texts", plain);
    table.add("texts: challenge", "nginx, beside texts", texts);
    table.add("texts: challenge, against one by schema", "challenge", texts);
}

async fn redemptions(
    bench: &Bench<'_>,
    gate: &Gate,
    table: &mut Table,
    ledger: &str,
    round: usize,
    count: usize,
) {
    let target = bench.target(gate, false, false);
    let tickets = bench.buy(gate, false, count, post).await;
    let plain = ours(&target, 128, &[200], None, times(count, move |n| post(Some(&tickets[n]))));
    let plain = measured(&gate.process, plain).await;
    // Other numbers in each round.
    let number = move |n| round * count + n;
    let tickets = bench.buy_each(gate, false, count, move |n, ticket| text(number(n), ticket));
    let tickets = tickets.await;
    let next = times(count, move |n| text(number(n), Some(&tickets[n])));
    let texts = measured(&gate.process, ours(&target, 128, &[200], None, next)).await;
    let by_schema = format!("single-use, {ledger}");
    table.add(&by_schema, "nginx, beside texts", plain);
    table.add(&format!("texts: {by_schema}"), "nginx, beside texts", texts);
    table.add(&format!("texts: {by_schema}, against one by schema"), &by_schema, texts);
}

/// A message to a number of its own.
fn text(number: usize, ticket: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = post(ticket);
    *request.uri_mut() = "/texts".parse().unwrap();
    let body = format!(
        r#"{{"message":"Hello, this is a test SMS!","phone_number":"+491511{number:07}"}}"#
    );
    *request.body_mut() = Full::from(body);
    request
}
