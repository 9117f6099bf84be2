//! Whether all listeners may be bound. A port that our own `serve` on this ledger holds is well.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::report::Report;
use crate::app::bind::bind;
use crate::app::error::StartError;
use crate::app::master_secret;
use crate::cli::ops_client;
use crate::config::Config;
use crate::keys::KeyRing;
use crate::service::ServiceSpec;

/// How long our own `serve` may take to say that it is there.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

pub(super) async fn check(report: &mut Report, config: &Config) {
    let own = Running::find(config).await;
    let (gate, ops) = (config.listen.address, config.ops.address);
    let gate_held = own.as_ref().is_some_and(|own| own.gate == Some(gate));
    one(report, "`listen.address`: the gate", gate, gate_held).await;
    one(report, "`ops.address`: the operator's listener", ops, own.is_some()).await;
    if let Some(redirect) = config.listen.redirect {
        let is_held = own.as_ref().is_some_and(|own| own.redirect == Some(redirect));
        one(report, "`listen.redirect`: plain HTTP", redirect, is_held).await;
    }
}

async fn one(report: &mut Report, what: &'static str, address: SocketAddr, is_ours: bool) {
    match bind(what, address).await {
        Ok(_) => report.ok("port", format!("{address} is free, and may be bound")),
        Err(error) if is(&error, ErrorKind::AddrInUse) && is_ours => {
            report.ok("port", format!("{address} is held by the `serve` of this ledger"));
        }
        Err(error) if is(&error, ErrorKind::AddrInUse) => report.failed(
            "port",
            format!("{error}. It may be our own `serve`, which was looked for at `ops.address`"),
        ),
        Err(error) if is(&error, ErrorKind::PermissionDenied) => report.failed(
            "port",
            format!("{error}. Where a unit has that capability, root checks it by `--unit`"),
        ),
        Err(error) => report.failed("port", error),
    }
}

fn is(error: &StartError, kind: ErrorKind) -> bool {
    matches!(error, StartError::Listen { source, .. } if source.kind() == kind)
}

/// A `serve` that answers at the operator's address, with our own master secret.
struct Running {
    gate: Option<SocketAddr>,
    redirect: Option<SocketAddr>,
}

impl Running {
    async fn find(config: &Config) -> Option<Self> {
        let loaded = master_secret::load(&config.tickets, &[], None).ok()?;
        let ring = KeyRing::new(&loaded.secrets, config.lnd.network.name())?;
        let own = hex::encode(ring.minting().fingerprint().as_bytes());
        let asking = ops_client::ask(config.ops.address, None, "GET", "/readyz");
        let (_, asked) = timeout(ANSWER_TIME_MAX, asking).await.ok()?.ok()?;
        let instance = asked.get("instance")?;
        let text = |name: &str| instance.get(name).and_then(Value::as_str);
        let address = |name: &str| text(name).and_then(|address| address.parse().ok());
        (text("secret")? == own)
            .then(|| Self { gate: address("gate"), redirect: address("redirect") })
    }
}

/// The key of our own listener that an upstream's name leads to, if it does.
pub(super) async fn own_listener(config: &Config, service: &ServiceSpec) -> Option<&'static str> {
    let url = &service.backend.url;
    let is_https = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let own = [("listen.address", config.listen.address), ("ops.address", config.ops.address)];
    let (key, own) = own.into_iter().find(|(_, own)| own.port() == port)?;
    let host = url.host()?.trim_matches(['[', ']']);
    let mut addresses = tokio::net::lookup_host((host, port)).await.ok()?;
    let is_ours = |address: SocketAddr| {
        let is_here = UdpSocket::bind((address.ip(), 0)).is_ok();
        is_here && (own.ip().is_unspecified() || own.ip() == address.ip())
    };
    addresses.any(is_ours).then_some(key)
}
