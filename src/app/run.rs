//! Runs the gate until it is told to stop, then lets what is under way end.

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::advice::advice;
use super::assemble::{self, App};
use super::bind::{bind, local};
use super::error::StartError;
use super::files;
use super::open_ledger::SECRET_NOTE_INTERVAL;
use super::supervise::supervise;
use crate::config::{Config, Limits, OpsSettings};
use crate::listen::accept::Accept;
use crate::listen::places::Places;
use crate::listen::tls::server_config;
use crate::ops::Ops;
use crate::ops::guard::Guard;
use crate::record::access_log::AccessLog;
use crate::record::lines::Lines;
use crate::tls;

/// A gate that listens.
pub struct Server {
    /// Where payers reach it.
    pub gate_address: SocketAddr,
    /// Where operators do.
    pub ops_address: SocketAddr,
    app: Arc<App>,
    accept: Accept,
    ops: TcpListener,
    /// What is asked of operators there.
    guard: Guard,
    /// Where log lines go, unless nothing is logged.
    lines: Option<Lines>,
    drain: Duration,
}

impl Server {
    /// Checks everything that can be wrong before a port is bound.
    pub async fn start(
        mut config: Config,
        access: AccessLog,
        lines: Option<Lines>,
    ) -> Result<Self, StartError> {
        if let Some(files) = files::raise_limit() {
            files::fit(&mut config.limits, files, config.services.len());
        }
        for (part, what) in advice(&config) {
            warn!(part, "{what}");
        }
        let (address, drain) = (config.listen.address, config.listen.drain);
        let Limits { connections, connections_per_client, trusted_proxies, .. } =
            config.limits.clone();
        let places = Places::new(connections, connections_per_client, trusted_proxies);
        let OpsSettings { address: ops_address, token, hosts } = config.ops.clone();
        let tls = match &config.listen.tls {
            Some((certificate, key)) => Some(server_config(certificate, key, tls::provider())?),
            None => None,
        };
        let app = Arc::new(assemble::assemble(config, access).await?);
        let listener = bind("`listen.address`: the gate", address).await?;
        let ops = bind("`ops.address`: the operator's listener", ops_address).await?;
        Ok(Self {
            gate_address: local(&listener)?,
            ops_address: local(&ops)?,
            accept: Accept { listener, tls, gate: Arc::clone(&app.gate), places },
            app,
            ops,
            guard: Guard { token, hosts },
            lines,
            drain,
        })
    }

    /// Serves until `stopped`, then drains.
    pub async fn until(
        self,
        stopped: impl Future<Output = Result<(), StartError>>,
    ) -> Result<ExitCode, StartError> {
        let Self { app, accept, ops, guard, lines, drain, gate_address, .. } = self;
        let (stop, connections) = (app.stopping.clone(), TaskTracker::new());
        look_after(&app);
        tokio::spawn(operators(&app, gate_address, guard, lines).serve(ops));
        let accepting = tokio::spawn(accept.run(connections.clone(), stop.clone()));

        let stopped = stopped.await;
        info!("stopping: no new connections, and what is under way may take {drain:?}");
        stop.cancel();
        let _ = accepting.await;
        connections.close();
        let deadline = Instant::now() + drain;
        let closed = timeout_at(deadline, connections.wait()).await.is_ok();
        let settled = timeout_at(deadline, app.redeem.drained()).await.is_ok();
        let _ = timeout_at(deadline, app.ledger.flush()).await;
        // What is still under way is parked at the next start, whether this works or not.
        if let Err(error) = app.ledger.shut().await {
            warn!(%error, "the ledger was not closed in order: copy its file and its log together");
        }
        stopped?;
        if closed && settled {
            info!("stopped");
            return Ok(ExitCode::SUCCESS);
        }
        warn!(
            connections = connections.len(),
            redemptions = app.redeem.unfinished(),
            "stopped in the middle of these; unsettled tickets are parked"
        );
        Ok(ExitCode::FAILURE)
    }
}

/// Starts what goes on beside the requests.
fn look_after(app: &Arc<App>) {
    supervise("the node's state", Arc::clone(&app.node), |node| async move { node.watch().await });
    for service in &app.catalogue.services {
        supervise("an upstream's health", Arc::clone(&service.upstream), |upstream| async move {
            upstream.watch().await
        });
        let sold = (Arc::clone(&app.sale), Arc::clone(service));
        supervise("a stock of invoices", sold, |(sale, service)| async move {
            sale.keep_stock(&service).await
        });
        let redeemed = (Arc::clone(&app.redeem), Arc::clone(service));
        supervise("look-ups at an upstream", redeemed, |(redeem, service)| async move {
            redeem.look_up_parked(&service).await
        });
    }
    let ledger = || Arc::clone(&app.ledger);
    supervise("the ledger", ledger(), |ledger| async move { ledger.run().await });
    supervise("the accounts", ledger(), |ledger| async move { ledger.run_journal().await });
    supervise("revoked tickets", ledger(), |ledger| async move { ledger.watch_revoked().await });
    if let Some(payments) = &app.payments {
        supervise(
            "payments",
            Arc::clone(payments),
            |payments| async move { payments.watch().await },
        );
    }
    supervise("the minting secret", Arc::clone(app), |app| async move { note_secret(&app).await });
}

fn operators(app: &App, gate: SocketAddr, guard: Guard, lines: Option<Lines>) -> Ops {
    Ops {
        gate,
        guard,
        catalogue: Arc::clone(&app.catalogue),
        ring: Arc::clone(&app.ring),
        ledger: Arc::clone(&app.ledger),
        node: Arc::clone(&app.node),
        payments: app.payments.clone(),
        redeem: Arc::clone(&app.redeem),
        sale: Arc::clone(&app.sale),
        metrics: Arc::clone(&app.metrics),
        lines,
        stopping: app.stopping.clone(),
    }
}

async fn note_secret(app: &App) {
    loop {
        tokio::time::sleep(SECRET_NOTE_INTERVAL).await;
        while let Err(error) = assemble::note_secret(app).await {
            warn!(%error, "the minting secret could not be noted in the ledger");
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }
}
