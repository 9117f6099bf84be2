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
    let word = |pointer| body.pointer(pointer).and_then(Value::as_str);
    let status = word("/status").unwrap_or("unknown");
    // Without one nobody can connect. To who balances loads it is ready all the same: a certificate
    // is ordered through that.
    let has_none = word("/certificate/status") == Some("missing");
    say!("{status}{}", if has_none { ": there is no certificate, nobody can connect" } else { "" });
    Ok(if answered.is_success() && !has_none { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
