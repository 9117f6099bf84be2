//! `farebox serve`: runs the gate until it is told to stop.

use std::path::Path;
use std::process::ExitCode;

use tokio::sync::{mpsc, oneshot};
use tracing::info;

use super::failure::Failure;
use crate::app::log::Log;
use crate::app::run::{Server, StopOrders};
use crate::app::signal::{Order, ServeSignals};
use crate::config::Config;
use crate::ops::reload::ReloadRequest;

pub(super) async fn run(path: &Path) -> Result<ExitCode, Failure> {
    // First, so that none ends a start-up in the middle.
    let signals = ServeSignals::listen()?;
    let config = Config::read(path)?;
    let log = Log::start(&config.log)?;
    let ended = serve(config, log.clone(), signals).await;
    log.flush();
    ended
}

async fn serve(config: Config, log: Log, mut signals: ServeSignals) -> Result<ExitCode, Failure> {
    let server = tokio::select! {
        server = Server::start(config, log) => server?,
        () = signals.stopped() => {
            info!("stopped before it served");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let (gate, ops) = (server.gate_address, server.ops_address);
    info!(%gate, %ops, "farebox {} serves", env!("CARGO_PKG_VERSION"));
    let orders = StopOrders::default();
    tokio::spawn(obey(signals, orders.clone(), server.reloads()));
    Ok(server.until(orders).await?)
}

/// The first order to stop lets what is under way end; the second one doesn't wait for it.
async fn obey(mut signals: ServeSignals, orders: StopOrders, reloads: mpsc::Sender<ReloadRequest>) {
    loop {
        match signals.next().await {
            Order::Stop if orders.stop.is_cancelled() => orders.hurry.cancel(),
            Order::Stop => orders.stop.cancel(),
            Order::Reload => {
                let (asker, _) = oneshot::channel();
                // Where it is full, the reloads that wait read what is there by then.
                let _ = reloads.try_send(asker);
            }
        }
    }
}
