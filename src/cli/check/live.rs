//! `farebox check --live`: whether the `serve` that runs here can redeem, for whoever looks after
//! it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::failure::Failure;
use crate::cli::print::say;
use crate::config::LedgerConfig;

/// Longest time that it may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Asks `/readyz`. Of the config only `[ops] address` is needed.
pub(crate) async fn run(path: &Path) -> Result<ExitCode, Failure> {
    let address = LedgerConfig::read(path)?.ops.address;
    let asked = timeout(ANSWER_TIME_MAX, async {
        let socket = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        let request = Request::get("/readyz").header("host", address.to_string());
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let is_ready = answer.status().is_success();
        let body = answer.into_body().collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&body)?;
        Ok::<_, Failure>((is_ready, body))
    });
    let (is_ready, body) = match asked.await {
        Ok(Ok(asked)) => asked,
        Ok(Err(error)) => return Err(format!("`ops.address` {address}: {error}").into()),
        Err(_) => return Err(format!("`ops.address` {address}: no answer in time").into()),
    };
    let status = body.get("status").and_then(Value::as_str).unwrap_or("unknown");
    say!("{status}");
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
