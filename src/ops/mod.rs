//! The second listener, for operators: health and metrics. On the loopback unless the config says otherwise.

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
                let answer = answer(&gate, &stop, &request);
                async { Ok::<_, Infallible>(answer) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30))
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

fn answer(gate: &Gate, stop: &CancellationToken, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "this listener answers GET only\n");
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
        "/readyz" => {
            let (status, body) = readiness(gate, stop.is_cancelled());
            text(status, "application/json", format!("{body}\n"))
        }
        "/metrics" => metrics(gate),
        _ => text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "there are /healthz, /readyz and /metrics here\n"),
    }
}

/// 503 only if nothing can be redeemed: while the node or an upstream is down, paid tickets (of others) still are.
fn readiness(gate: &Gate, draining: bool) -> (StatusCode, Value) {
    let ledger = gate.ledger.health();
    let node = gate.node.state();
    let upstreams: serde_json::Map<String, Value> = gate
        .site
        .services
        .iter()
        .map(|service| {
            let trouble = service.upstream.health.trouble();
            (service.name.to_string(), part(trouble.as_ref().map(|why| ("down", why.clone()))))
        })
        .collect();
    let degraded = node.is_err() || gate.site.services.iter().any(|service| service.upstream.health.is_down());
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
    metrics.node_up.set(gate.node.state().is_ok().into());
    metrics.ledger_up.set(gate.ledger.health().is_ok().into());
    metrics.unpaid.set(i64::try_from(gate.unpaid.count(Instant::now())).unwrap_or(i64::MAX));
    metrics.in_flight.set(i64::try_from(gate.flights.count()).unwrap_or(i64::MAX));
    for service in &gate.site.services {
        service.metrics.upstream_up.set((!service.upstream.health.is_down()).into());
    }
    match metrics.text() {
        Ok(body) => text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", format!("{error}\n")),
    }
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
