//! `farebox serve`: runs the gate until it is told to stop.

use std::path::Path;
use std::process::ExitCode;

use tracing::info;

use super::failure::Failure;
use crate::app::log;
use crate::app::run::Server;
use crate::app::signal::ServeSignals;
use crate::config::Config;
use crate::record::access_log::AccessLog;
use crate::record::lines::Lines;

pub(super) async fn run(path: &Path) -> Result<ExitCode, Failure> {
    // First, so that none ends a start-up in the middle.
    let signals = ServeSignals::listen()?;
    let config = Config::read(path)?;
    let (lines, access) = log::init_log(&config.log)?;
    let ended = serve(config, access, lines.clone(), signals).await;
    lines.flush(log::FLUSH_MAX);
    ended
}

async fn serve(
    config: Config,
    access: AccessLog,
    lines: Lines,
    mut signals: ServeSignals,
) -> Result<ExitCode, Failure> {
    let server = tokio::select! {
        server = Server::start(config, access, Some(lines)) => server?,
        () = signals.stopped() => {
            info!("stopped before it served");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let (gate, ops) = (server.gate_address, server.ops_address);
    info!(%gate, %ops, "farebox {} serves", env!("CARGO_PKG_VERSION"));
    let stopped = async {
        signals.stopped().await;
        Ok(())
    };
    Ok(server.until(stopped).await?)
}
