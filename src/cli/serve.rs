//! `farebox serve`: runs the gate until it is told to stop.

use std::path::Path;
use std::process::ExitCode;

use tracing::info;

use super::failure::Failure;
use crate::app::log;
use crate::app::run::Server;
use crate::app::signal::stop_signal;
use crate::config::Config;
use crate::record::access_log::AccessLog;

pub(super) async fn run(path: &Path) -> Result<ExitCode, Failure> {
    let config = Config::read(path)?;
    log::init_log(config.log);
    let access = AccessLog::start(config.log)
        .map_err(|error| format!("the access log can't start: {error}"))?;
    let server = Server::start(config, access).await?;
    let (gate, ops) = (server.gate_address, server.ops_address);
    info!(%gate, %ops, "farebox {} serves", env!("CARGO_PKG_VERSION"));
    Ok(server.until(stop_signal()).await?)
}
