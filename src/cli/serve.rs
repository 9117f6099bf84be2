//! `farebox serve`: runs the gate until it is told to stop, then lets what is under way end.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::assemble::{self, Parts};
use super::open_ledger::SECRET_NOTE_INTERVAL;
use super::{bind, client_tls, log, stop_signal};
use crate::config::Config;
use crate::listen::accept::Accept;
use crate::listen::tls;
use crate::payment::stream as payments;
use crate::record::access_log::AccessLog;
use crate::redeem::look_up as lookup;
use crate::sale::stock;
use crate::{ops, upstream};

pub(super) async fn run(path: &Path) -> Result<ExitCode, String> {
    let config = Config::read(path).map_err(|error| error.to_string())?;
    log::init_log(config.log);
    let access = AccessLog::start(config.log)
        .map_err(|error| format!("the access log can't start: {error}"))?;
    let server = Server::start(config, access).await?;
    let (gate, ops) = (server.gate_address, server.ops_address);
    info!(%gate, %ops, "farebox {} serves", env!("CARGO_PKG_VERSION"));
    server.until(stop_signal()).await
}

/// A gate that listens.
pub(super) struct Server {
    pub(super) gate_address: SocketAddr,
    pub(super) ops_address: SocketAddr,
    parts: Parts,
    accept: Accept,
    ops: TcpListener,
    drain: Duration,
}

impl Server {
    /// Checks everything that can be wrong before a port is bound.
    pub(super) async fn start(config: Config, access: AccessLog) -> Result<Self, String> {
        let (address, ops_address, drain, connections) =
            (config.listen.address, config.ops, config.listen.drain, config.limits.connections);
        let tls = match &config.listen.tls {
            Some((certificate, key)) => {
                Some(tls::server_config(certificate, key, client_tls::provider()?)?)
            }
            None => None,
        };
        let parts = assemble::assemble(config, access).await?;
        let listener = bind("`listen.address`: the gate", address).await?;
        let ops = bind("`ops.address`: the operator's listener", ops_address).await?;
        let local =
            |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
        Ok(Self {
            gate_address: local(&listener)?,
            ops_address: local(&ops)?,
            accept: Accept { listener, tls, gate: Arc::clone(&parts.gate), connections },
            parts,
            ops,
            drain,
        })
    }

    /// Serves until `stopped`, then drains.
    pub(super) async fn until(
        self,
        stopped: impl Future<Output = Result<(), String>>,
    ) -> Result<ExitCode, String> {
        let Self { parts, accept, ops, drain, .. } = self;
        let Parts { gate, node } = parts;
        let (stop, connections) = (gate.stopping.clone(), TaskTracker::new());
        tend("the node's state", Arc::clone(&node), |node| async move { node.watch().await });
        for service in &gate.catalogue.services {
            tend("an upstream's health", Arc::clone(&service.upstream), |upstream| async move {
                upstream::health::watch(&upstream).await
            });
            let of_service = (Arc::clone(&gate), Arc::clone(service));
            tend("a stock of invoices", of_service.clone(), |(gate, service)| {
                stock::watch(gate, service)
            });
            tend("look-ups at an upstream", of_service, |(gate, service)| async move {
                lookup::watch(&gate, &service).await
            });
        }
        tend("the ledger", Arc::clone(&gate), |gate| async move { gate.ledger.run().await });
        tend(
            "the accounts",
            Arc::clone(&gate),
            |gate| async move { gate.ledger.run_journal().await },
        );
        tend("payments", Arc::clone(&gate), |gate| async move { payments::watch(&gate).await });
        tend("revoked tickets", Arc::clone(&gate), |gate| async move {
            gate.ledger.watch_revoked().await
        });
        tend(
            "the minting secret",
            Arc::clone(&gate),
            |gate| async move { note_secret(&gate).await },
        );
        tokio::spawn(ops::serve(ops, Arc::clone(&gate), stop.clone()));
        let accepting = tokio::spawn(accept.run(connections.clone(), stop.clone()));

        let stopped = stopped.await;
        info!("stopping: no new connections, and what is under way may take {drain:?}");
        stop.cancel();
        let _ = accepting.await;
        connections.close();
        let deadline = Instant::now() + drain;
        let closed = timeout_at(deadline, connections.wait()).await.is_ok();
        gate.tasks.close();
        let settled = timeout_at(deadline, gate.tasks.wait()).await.is_ok();
        let _ = timeout_at(deadline, gate.ledger.flush()).await;
        shut(&gate).await;
        gate.access.flush();
        stopped?;
        if closed && settled {
            info!("stopped");
            return Ok(ExitCode::SUCCESS);
        }
        warn!(
            connections = connections.len(),
            redemptions = gate.tasks.len(),
            "stopped in the middle of these; unsettled tickets are parked"
        );
        Ok(ExitCode::FAILURE)
    }
}

/// What is still under way is parked at the next start, whether the ledger is closed or not.
async fn shut(gate: &crate::gate::Gate) {
    if let Err(error) = gate.ledger.shut().await {
        warn!(%error, "the ledger was not closed in order: copy its file and its log together");
    }
}

/// Runs what goes on beside the requests, and begins it anew should it panic: else sales would go
/// on with nobody looking at the node, say.
fn tend<P, F>(name: &'static str, part: P, run: impl Fn(P) -> F + Send + 'static)
where
    P: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while let Err(ended) = tokio::spawn(run(part.clone())).await
            && ended.is_panic()
        {
            error!(
                "{name}: what looks after it has panicked, which is a fault of Farebox's; it \
                 begins anew"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}

async fn note_secret(gate: &crate::gate::Gate) {
    loop {
        tokio::time::sleep(SECRET_NOTE_INTERVAL).await;
        while let Err(error) = assemble::note_secret(gate).await {
            warn!(%error, "the minting secret could not be noted in the ledger");
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_panics_begins_anew() {
        let runs = Arc::new(AtomicU32::new(0));
        tend("a test", Arc::clone(&runs), |runs| async move {
            assert!(runs.fetch_add(1, Ordering::SeqCst) >= 2, "on purpose");
        });
        while runs.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
