//! `farebox check --live`: whether the `serve` that runs here can redeem, for whoever looks after
//! it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::cli::failure::Failure;
use crate::cli::ops_client;
use crate::cli::print::say;
use crate::config::LedgerConfig;

/// Longest time that it may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Asks `/readyz`. Of the config only `[ops] address` is needed.
pub(crate) async fn run(path: &Path) -> Result<ExitCode, Failure> {
    let address = LedgerConfig::read(path)?.ops.address;
    let asked = timeout(ANSWER_TIME_MAX, ops_client::ask(address, None, "GET", "/readyz")).await;
    let (answered, body) =
        asked.map_err(|_| format!("`ops.address` {address}: no answer in time"))??;
    say!("{}", body.get("status").and_then(Value::as_str).unwrap_or("unknown"));
    Ok(if answered.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
