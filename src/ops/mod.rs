//! The second listener, for operators: health, metrics, tickets. On the loopback unless the config
//! says otherwise.

pub mod audit;
pub mod guard;
mod health;
mod metrics;
mod news;
pub mod reload;
mod response;
mod services;
pub mod tickets;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::audit::{AUDIT, Actor};
use self::guard::Guard;
use self::reload::ReloadRequest;
use self::response::{PLAIN, say, text};
use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::ledger::state::Resolution;
use crate::lightning::Node;
use crate::payment::Payments;
use crate::payment_hash::PaymentHash;
use crate::record::lines::Lines;
use crate::record::metrics::Metrics;
use crate::redeem::Redeem;
use crate::reports::Reports;
use crate::sale::Sale;
use crate::service::Service;
use crate::service::current::CurrentCatalogue;

/// From and until when something is valid, in Unix seconds; `None` where there is nothing that is.
pub type Validity = Box<dyn Fn() -> Option<(i64, i64)> + Send + Sync>;

/// What operators are told of.
pub struct Ops {
    /// Where payers reach the gate.
    pub gate: SocketAddr,
    /// Where plain HTTP is sent to https, if anywhere.
    pub redirect: Option<SocketAddr>,
    /// What is asked of whoever looks at tickets or changes them.
    pub guard: Arc<ArcSwap<Guard>>,
    /// What is served.
    pub catalogue: Arc<CurrentCatalogue>,
    /// Opens what was sealed for the operator.
    pub ring: Arc<KeyRing>,
    /// Tickets that were handed in.
    pub ledger: Arc<Ledger>,
    /// The Lightning node.
    pub node: Arc<dyn Node>,
    /// What the node says was paid; `None` where payments aren't detected.
    pub payments: Option<Arc<Payments>>,
    /// Redemptions under way.
    pub redeem: Arc<Redeem>,
    /// Open challenges, and invoices that are made ahead.
    pub sale: Arc<Sale>,
    /// Hears backends that are inside.
    pub reports: Arc<Reports>,
    /// From and until when the certificate is valid that payers see; `None` for plain HTTP.
    pub certificate: Option<Validity>,
    /// Connections of payers, and how many there may be.
    pub connections: Box<dyn Fn() -> (usize, usize) + Send + Sync>,
    /// Where the SQLite ledger lies; `None` where it doesn't.
    pub disk: Option<PathBuf>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where log lines go, unless nothing is logged.
    pub lines: Option<Lines>,
    /// Where reloads are asked for.
    pub reloads: mpsc::Sender<ReloadRequest>,
    /// Cancelled once the process is to stop.
    pub stopping: CancellationToken,
    /// Since when it runs.
    pub started: Instant,
}

/// Most connections of operators at once.
const CONNECTIONS_MAX: usize = 32;

impl Ops {
    /// Answers until the end of the process: a stop wants to be watched too.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let (ops, places) = (self, Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (socket, actor) = match listener.accept().await {
                Ok((socket, address)) => (socket, Actor::Listener(address)),
                Err(error) => {
                    warn!(%error, "a connection of an operator's could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let ops = Arc::clone(&ops);
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(|request| {
                    let ops = &ops;
                    async move { Ok::<_, Infallible>(answer(ops, actor, request).await) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(30))
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    }
}

async fn answer(ops: &Ops, actor: Actor, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if Ops::is_of_news(request.uri().path()) {
        return ops.hear(request).await;
    }
    let (request, path) = (&request, request.uri().path());
    if ["/tickets", "/services", "/reload"].iter().any(|guarded| path.starts_with(guarded)) {
        return guarded(ops, actor, request).await;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let only = "this listener answers GET only\n";
        return text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, only);
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, PLAIN, "ok\n"),
        "/readyz" => {
            let (status, body) = ops.readiness();
            text(status, "application/json", format!("{body}\n"))
        }
        "/metrics" => match ops.metrics_text() {
            Ok(body) => text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
        },
        _ => {
            let there =
                "there are /healthz, /readyz, /metrics, /tickets, /services and /reload here\n";
            text(StatusCode::NOT_FOUND, PLAIN, there)
        }
    }
}

/// What looks into the business or changes it.
async fn guarded(ops: &Ops, actor: Actor, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if let Err((status, what)) = ops.guard.load().admit(request.headers()) {
        warn!(target: AUDIT, by = %actor, status = status.as_u16(), "operator: turned away");
        let mut denied = say(status, what);
        if status == StatusCode::UNAUTHORIZED {
            denied.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        return denied;
    }
    let path = request.uri().path();
    match path.strip_prefix("/services") {
        Some(rest) => ops.about_services(actor, request.method(), rest).await,
        None if path == "/reload" && request.method() == Method::POST => {
            info!(target: AUDIT, by = %actor, "operator: asked for a reload");
            reload::answer(&ops.reloads).await
        }
        None if path.starts_with("/reload") => say(StatusCode::BAD_REQUEST, "POST /reload"),
        None => about_tickets(ops, actor, request).await,
    }
}

/// What the operator says of a parked ticket says something of its backend, too.
fn resolved(ops: &Ops, ticket: PaymentHash, service: &str, resolution: Resolution) {
    let catalogue = ops.catalogue.load();
    let is_its = |one: &&Arc<Service>| one.names().all().any(|name| name == service);
    for service in catalogue.services.iter().filter(is_its) {
        let is_delivered = resolution == Resolution::Delivered;
        service.upstream.sale_stop.settled(ticket, is_delivered);
    }
}

async fn about_tickets(
    ops: &Ops,
    actor: Actor,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let is_post = request.method() == Method::POST;
    if !is_post && request.method() != Method::GET {
        return say(StatusCode::METHOD_NOT_ALLOWED, "GET or POST");
    }
    let Some(command) = tickets::read(is_post, request.uri().path(), request.uri().query()) else {
        let ways = "GET /tickets?state=parked&limit=100, GET /tickets/<payment hash>, GET \
                    /tickets/stats?days=30, GET /tickets/states, GET \
                    /tickets/export?after=<payment hash>, POST /tickets/<payment \
                    hash>/delivered | release | revoke, POST \
                    /tickets/release?minted_before=2026-11-28T09:30:00Z";
        return say(StatusCode::BAD_REQUEST, ways);
    };
    let (ring, detects) = (Some(&*ops.ring), ops.payments.is_some());
    let answered = tickets::answer(&ops.ledger, ring, actor, command, detects).await;
    match (command, &answered) {
        (tickets::TicketCommand::Revoke(_), _) => ops.ledger.refresh_revoked().await,
        (tickets::TicketCommand::Resolve(hash, resolution), Ok(shown)) => {
            let service = shown.get("service").and_then(Value::as_str).unwrap_or_default();
            resolved(ops, hash, service, resolution);
        }
        _ => {}
    }
    match answered {
        Ok(answer) => text(StatusCode::OK, "application/json", format!("{answer}\n")),
        Err(no @ tickets::TicketCommandError::Unknown) => {
            say(StatusCode::NOT_FOUND, no.to_string())
        }
        Err(no @ tickets::TicketCommandError::NotParked) => {
            say(StatusCode::CONFLICT, no.to_string())
        }
        Err(no @ tickets::TicketCommandError::Ledger(_)) => {
            say(StatusCode::SERVICE_UNAVAILABLE, no.to_string())
        }
    }
}
