//! The second listener, for operators: health, metrics, tickets. On the loopback unless the config
//! says otherwise.

pub mod tickets;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::lightning::Trouble;

/// Answers until the end of the process: a stop wants to be watched too.
pub async fn serve(listener: TcpListener, gate: Arc<Gate>, stop: CancellationToken) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (gate, stop) = (Arc::clone(&gate), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (gate, stop) = (&gate, &stop);
                async move { Ok::<_, Infallible>(answer(gate, stop, &request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30))
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(
    gate: &Gate,
    stop: &CancellationToken,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    if request.uri().path().starts_with("/tickets") {
        return about_tickets(gate, request).await;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain; charset=utf-8",
            "this listener answers GET only\n",
        );
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
        "/readyz" => {
            let (status, body) = readiness(gate, stop.is_cancelled());
            text(status, "application/json", format!("{body}\n"))
        }
        "/metrics" => metrics(gate),
        _ => text(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            "there are /healthz, /readyz, /metrics and /tickets here\n",
        ),
    }
}

async fn about_tickets(gate: &Gate, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let say = |status, what: String| {
        text(status, "application/json", format!("{}\n", json!({ "error": what })))
    };
    // A page in the operator's own browser must not be able to resolve tickets.
    if request.headers().contains_key("origin") {
        return say(StatusCode::FORBIDDEN, "this listener is not for browsers".to_owned());
    }
    let is_post = request.method() == Method::POST;
    if !is_post && request.method() != Method::GET {
        return say(StatusCode::METHOD_NOT_ALLOWED, "GET or POST".to_owned());
    }
    let Some(ask) = tickets::read(is_post, request.uri().path(), request.uri().query()) else {
        let ways = "GET /tickets?state=parked&limit=100, GET /tickets/<payment hash>, GET \
                    /tickets/stats?days=30, POST /tickets/<payment hash>/delivered | release | \
                    revoke, POST /tickets/release?minted_before=2026-11-28T09:30:00Z";
        return say(StatusCode::BAD_REQUEST, ways.to_owned());
    };
    let answered =
        tickets::answer(&gate.ledger, Some(&gate.ring), ask, gate.payments.is_some()).await;
    match answered {
        Ok(answer) => text(StatusCode::OK, "application/json", format!("{answer}\n")),
        Err(no @ tickets::No::Unknown) => say(StatusCode::NOT_FOUND, no.to_string()),
        Err(no @ tickets::No::NotParked) => say(StatusCode::CONFLICT, no.to_string()),
        Err(no @ tickets::No::Ledger(_)) => say(StatusCode::SERVICE_UNAVAILABLE, no.to_string()),
    }
}

/// From here on it is said that the two clocks lie far apart.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(3600);

/// 503 only if nothing can be redeemed: while the node or an upstream is down, paid tickets (of
/// others) still are.
fn readiness(gate: &Gate, draining: bool) -> (StatusCode, Value) {
    let ledger = gate.ledger.health();
    let node = gate.node.state();
    let upstreams: serde_json::Map<String, Value> = gate
        .catalogue
        .services
        .iter()
        .map(|service| {
            let trouble = service.upstream.health.trouble();
            (service.name.to_string(), part(trouble.as_ref().map(|why| ("down", why.clone()))))
        })
        .collect();
    let payments = match &gate.payments {
        None => json!({ "status": "off" }),
        Some(payments) => {
            part(payments.state().as_ref().err().map(|why| (why.word(), why.to_string())))
        }
    };
    let apart = gate.ledger.now().apart();
    let clocks = (apart > CLOCKS_APART_MAX).then(|| {
        let apart = Duration::from_secs(apart.as_secs());
        let why = format!(
            "the machine's clock and the ledger's, which follows it slowly, are {apart:?} apart: \
             is this machine's time right?"
        );
        ("apart", why)
    });
    let degraded = clocks.is_some()
        || node.is_err()
        || gate.payments.as_ref().is_some_and(|payments| payments.state().is_err())
        || gate.catalogue.services.iter().any(|service| service.upstream.health.is_down());
    let (status, word) = match (draining, &ledger, degraded) {
        (true, _, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, Err(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "down"),
        (false, Ok(()), true) => (StatusCode::OK, "degraded"),
        (false, Ok(()), false) => (StatusCode::OK, "ok"),
    };
    let body = json!({
        "status": word,
        "ledger": part(ledger.as_ref().err().map(|why| ("down", why.to_string()))),
        "node": part(node.as_ref().err().map(|why| (why.word(), why.to_string()))),
        "clocks": part(clocks),
        "payments": payments,
        "upstreams": upstreams,
    });
    (status, body)
}

fn part(trouble: Option<(&str, String)>) -> Value {
    match trouble {
        None => json!({ "status": "ok" }),
        Some((word, why)) => json!({ "status": word, "why": why }),
    }
}

fn metrics(gate: &Gate) -> Response<Full<Bytes>> {
    let metrics = &gate.metrics;
    let node = gate.node.state();
    metrics.node_up.set(node.is_ok().into());
    metrics.node_is(node.as_ref().map_or_else(Trouble::word, |()| "ok"));
    if let Some(payments) = &gate.payments {
        metrics.payments_up.set(payments.state().is_ok().into());
    }
    let apart = gate.ledger.now().apart().as_secs();
    metrics.clocks_apart.set(i64::try_from(apart).unwrap_or(i64::MAX));
    metrics.ledger_up.set(gate.ledger.health().is_ok().into());
    metrics.unpaid.set(i64::try_from(gate.unpaid.count(Instant::now())).unwrap_or(i64::MAX));
    metrics.in_flight.set(i64::try_from(gate.in_flight.count()).unwrap_or(i64::MAX));
    for service in &gate.catalogue.services {
        if let Some(stock) = gate.stocks.of(service) {
            let (there, wasted) = stock.counts();
            service.metrics.stock_is(there, wasted);
        }
        service.metrics.upstream_up.set((!service.upstream.health.is_down()).into());
    }
    match metrics.text() {
        Ok(body) => text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain; charset=utf-8",
            format!("{error}\n"),
        ),
    }
}

fn text(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
