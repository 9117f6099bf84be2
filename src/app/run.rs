//! Runs the gate until it is told to stop, then lets what is under way end.

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::advice::advice;
use super::assemble::{self, App};
use super::beside::{BesideServices, look_after};
use super::certificates::Certificates;
use super::error::StartError;
use super::files;
use super::log::Log;
use super::notify;
use super::reload::Reload;
use super::sockets::{Inherited, Socket};
use super::standing::Standing;
use crate::config::{Config, FixedKeys, Held, Limits, OpsSettings};
use crate::listen::accept::Accept;
use crate::listen::places::Places;
use crate::listen::redirect::Redirect;
use crate::ops::guard::Guard;
use crate::ops::reload::ReloadRequest;
use crate::ops::{Ops, Validity};
use crate::tls;

/// Reloads that wait for those before them; more at once would read the same files.
const RELOADS_WAITING_MAX: usize = 16;

/// Longest time that the ledger is written for once an operator is in a hurry.
const HURRIED_FLUSH_MAX: Duration = Duration::from_secs(5);

/// What holds from here to the end of the process.
fn held(config: &Config) -> Held {
    Held {
        gate: config.listen.address,
        ops: config.ops.address,
        invoice_expiry: config.invoice_expiry,
        replay: config.tickets.replay,
        network: config.lnd.network,
        detects_payments: config.detects_payments,
    }
}

/// What ends a server.
#[derive(Clone, Default)]
pub struct StopOrders {
    /// Cancelled to let what is under way end.
    pub stop: CancellationToken,
    /// Cancelled where that takes too long.
    pub hurry: CancellationToken,
}

/// A gate that listens.
pub struct Server {
    /// Where payers reach it.
    pub gate_address: SocketAddr,
    /// Where operators do.
    pub ops_address: SocketAddr,
    accept: Accept,
    redirect: Option<Redirect>,
    ops: Socket,
    reload: Reload,
    reloads: (mpsc::Sender<ReloadRequest>, mpsc::Receiver<ReloadRequest>),
}

impl Server {
    /// Checks everything that can be wrong before a port is bound.
    pub async fn start(mut config: Config, log: Log) -> Result<Self, StartError> {
        let mut inherited = Inherited::take();
        if let Some(files) = files::raise_limit() {
            files::fit(&mut config.limits, files, config.services.len());
        }
        for (part, what) in advice(&config) {
            warn!(part, "{what}");
        }
        let fixed = FixedKeys::of(&config);
        let held = held(&config);
        let (path, address) = (config.path.clone(), config.listen.address);
        let redirect = config.listen.redirect;
        let drain = Arc::new(Mutex::new(config.listen.drain));
        let Limits { connections, connections_per_client, trusted_proxies, .. } =
            config.limits.clone();
        let places = Places::new(connections, connections_per_client, trusted_proxies);
        let OpsSettings { address: ops_address, token, hosts } = config.ops.clone();
        let guard = Arc::new(ArcSwap::from_pointee(Guard { token, hosts }));
        let app = Arc::new(assemble::assemble(config, log.access()).await?);
        let tls = app.certificates.as_ref().map(|now| now.tls(tls::provider())).transpose()?;
        let socket = inherited.socket("`listen.address`: the gate", address).await?;
        let ops = inherited.socket("`ops.address`: the operator's listener", ops_address).await?;
        let (ops_address, has_token) = (ops.address()?, guard.load().token.is_some());
        if !has_token && !ops_address.ip().is_loopback() {
            return Err(StartError::OpenOperators { address: ops_address });
        }
        let redirect = match redirect {
            Some(at) => Some(inherited.socket("`listen.redirect`: plain HTTP", at).await?),
            None => None,
        };
        inherited.warn_of_others();
        let (gate, of_gate) = (Arc::clone(&app.gate), Arc::clone(&places));
        let gate_address = socket.address()?;
        let accept = Accept {
            is_inherited: socket.is_inherited,
            listener: socket.listener,
            tls,
            gate,
            places: of_gate,
        };
        let beside = BesideServices::default();
        let held = Held { gate: gate_address, ops: ops_address, ..held };
        Ok(Self {
            gate_address,
            ops_address,
            accept,
            redirect: redirect.map(|socket| sends_to_https(&app, gate_address.port(), socket)),
            ops,
            reload: Reload { app, path, fixed, held, places, guard, drain, log, beside },
            reloads: mpsc::channel(RELOADS_WAITING_MAX),
        })
    }

    /// Where reloads are asked for.
    pub fn reloads(&self) -> mpsc::Sender<ReloadRequest> {
        self.reloads.0.clone()
    }

    /// Serves until it is told to stop, then drains.
    pub async fn until(self, orders: StopOrders) -> Result<ExitCode, StartError> {
        let Self { accept, redirect, ops, mut reload, reloads, gate_address, .. } = self;
        let (reloads, asked) = reloads;
        let (app, drain) = (Arc::clone(&reload.app), Arc::clone(&reload.drain));
        let (stop, connections) = (app.stopping.clone(), TaskTracker::new());
        look_after(&app);
        reload.beside.open(&app, &app.catalogue.load());
        let redirects_at = redirect.as_ref().and_then(|at| at.listener.local_addr().ok());
        let operators = Arc::new(operators(&reload, (gate_address, redirects_at), reloads));
        let standing = Arc::new(Standing::new(Arc::clone(&operators)));
        tokio::spawn(operators.serve(ops.listener));
        tokio::spawn(reload.run(asked, Arc::clone(&standing)));
        if let Some(redirect) = redirect {
            tokio::spawn(redirect.run(stop.clone()));
        }
        let accepting = tokio::spawn(accept.run(connections.clone(), stop.clone()));
        tokio::spawn(notify::keep_alive());
        notify::ready(&standing.line());
        tokio::spawn(standing.keep_told());

        orders.stop.cancelled().await;
        let drain = *drain.lock().unwrap_or_else(PoisonError::into_inner);
        info!("stopping: no new connections, and what is under way may take {drain:?}");
        notify::stopping(drain);
        stop.cancel();
        let _ = accepting.await;
        connections.close();
        let deadline = Deadline { drain: Instant::now() + drain, hurry: orders.hurry };
        let closed = deadline.wait(connections.wait()).await;
        let settled = deadline.wait(app.redeem.drained()).await;
        deadline.flush(app.ledger.flush()).await;
        // What is still under way is parked at the next start, whether this works or not.
        if let Err(error) = app.ledger.shut().await {
            warn!(%error, "the ledger was not closed in order: copy its file and its log together");
        }
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

/// Until when a stop waits.
struct Deadline {
    drain: Instant,
    hurry: CancellationToken,
}

impl Deadline {
    /// Whether something has ended in time.
    async fn wait(&self, ends: impl Future<Output = ()>) -> bool {
        let in_time = timeout_at(self.drain, self.hurry.run_until_cancelled(ends)).await;
        in_time.is_ok_and(|ended| ended.is_some())
    }

    /// Has what is known written down, in a hurry too.
    async fn flush<T>(&self, written: impl Future<Output = T>) {
        let until = match self.hurry.is_cancelled() {
            true => Instant::now() + HURRIED_FLUSH_MAX,
            false => self.drain,
        };
        let _ = timeout_at(until, written).await;
    }
}

fn sends_to_https(app: &App, tls_port: u16, socket: Socket) -> Redirect {
    let challenges = app.certificates.as_ref().map(|now| Arc::clone(&now.challenges));
    Redirect {
        listener: socket.listener,
        tls_port,
        catalogue: Arc::clone(&app.catalogue),
        challenges: challenges.unwrap_or_default(),
    }
}

fn validity(certificates: &Certificates) -> Validity {
    let shown = Arc::clone(&certificates.shown);
    Box::new(move || shown.validity())
}

fn operators(
    reload: &Reload,
    (gate, redirect): (SocketAddr, Option<SocketAddr>),
    reloads: mpsc::Sender<ReloadRequest>,
) -> Ops {
    let app: &App = &reload.app;
    Ops {
        gate,
        redirect,
        guard: Arc::clone(&reload.guard),
        catalogue: Arc::clone(&app.catalogue),
        ring: Arc::clone(&app.ring),
        ledger: Arc::clone(&app.ledger),
        node: Arc::clone(&app.node),
        payments: app.payments.clone(),
        redeem: Arc::clone(&app.redeem),
        sale: Arc::clone(&app.sale),
        reports: Arc::clone(&app.reports),
        certificate: app.certificates.as_ref().map(validity),
        connections: {
            let places = Arc::clone(&reload.places);
            Box::new(move || places.taken())
        },
        disk: app.disk.clone(),
        metrics: Arc::clone(&app.metrics),
        lines: reload.log.lines(),
        reloads,
        stopping: app.stopping.clone(),
        started: std::time::Instant::now(),
    }
}
