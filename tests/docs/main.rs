//! What the documents say, checked against the code: codes, metrics, formats, files and tests that
//! they name. Where a table differs, the right one is printed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod deploy;
mod formats;
mod names;

use std::path::{Path, PathBuf};

use farebox::code::Code;
use farebox::ledger::accounts::Sum;
use farebox::ledger::messages::DeliveryState;
use farebox::record::metrics::{Metrics, UpstreamState};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let file: PathBuf = root().join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The rows of a document's tables, without their heads.
fn rows(document: &str) -> Vec<String> {
    let is_row = |line: &&str| line.starts_with("| `");
    document.lines().filter(is_row).map(ToOwned::to_owned).collect()
}

fn compare(path: &str, expected: &[String]) {
    let said = rows(&read(path));
    assert!(said == expected, "{path} should have these rows:\n{}\n", expected.join("\n"));
}

#[test]
fn every_code_is_explained() {
    let row = |code: &Code| {
        let (status, retry) = (code.status().as_u16(), code.retry().word());
        format!("| `{}` | {status} | `{retry}` | {} |", code.word(), code.meaning())
    };
    compare("docs/codes.md", &Code::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn every_metric_is_explained() {
    let metrics = Metrics::new().unwrap();
    let service = metrics.service(&"send-sms".into());
    service.unredeemed(Sum::default());
    service.stock_is(0, 0);
    service.sells(true);
    service.list_is_unreadable(Some(false));
    service.delivery("+49", DeliveryState::Delivered);
    service.upstream_is(&UpstreamState {
        is_up: true,
        is_misconfigured: false,
        is_limited: false,
        connections: 0,
    });
    metrics.tickets(&["send-sms".into()], &[]);
    metrics.certificate_ends("listen", Some(0));
    let (node, Metrics { disk_free, disk_size, .. }) = (&metrics.node, &metrics);
    for absent in [&node.payments_up, &node.macaroon_expiry, disk_free, disk_size] {
        absent.set(Some(0.0));
    }
    let text = String::from_utf8(metrics.text().unwrap()).unwrap();
    let mut expected = Vec::new();
    for help in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = help.split_once(' ').unwrap();
        let kind = format!("# TYPE {name} ");
        let kind = text.lines().find_map(|line| line.strip_prefix(&kind)).unwrap();
        expected.push(format!("| `{name}` | {kind} | {} | {help} |", labels(&text, name)));
    }
    compare("docs/metrics.md", &expected);
}

/// The names of a family's labels, from its first sample; a histogram's `le` is its own.
fn labels(text: &str, name: &str) -> String {
    let is_sample = |line: &&str| line.starts_with(name) && !line.starts_with('#');
    let sample = text.lines().find(is_sample).unwrap();
    let Some((_, labels)) = sample.split_once('{') else { return String::new() };
    let labels = labels.split_once('}').unwrap().0.split(',');
    let names = labels.filter_map(|label| label.split_once('=')).map(|(name, _)| name);
    let names: Vec<_> = names.filter(|name| *name != "le").map(|n| format!("`{n}`")).collect();
    names.join(", ")
}
