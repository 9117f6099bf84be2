//! `/readyz`: how each part is.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::Ops;
use crate::code::Code;

/// From here on it is said that the two clocks lie far apart.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(3600);

impl Ops {
    /// 503 only if nothing can be redeemed: while the node or an upstream is down, paid tickets (of
    /// others) still are.
    pub(super) fn readiness(&self) -> (StatusCode, Value) {
        let ledger = self.ledger.health();
        let node = self.node.state();
        let payments = match &self.payments {
            None => json!({ "status": "off" }),
            Some(payments) => {
                part(payments.state().as_ref().err().map(|why| (why.word(), why.to_string())))
            }
        };
        let apart = self.ledger.now().apart();
        let clocks = (apart > CLOCKS_APART_MAX).then(|| {
            let apart = Duration::from_secs(apart.as_secs());
            let why = format!(
                "the machine's clock and the ledger's, which follows it slowly, are {apart:?} \
                 apart: is this machine's time right?"
            );
            ("apart", why)
        });
        let degraded = clocks.is_some()
            || node.is_err()
            || self.payments.as_ref().is_some_and(|payments| payments.state().is_err())
            || self.catalogue.load().services.iter().any(|service| {
                service.upstream.health.is_down() || service.upstream.sale_stop.why().is_some()
            });
        let (status, word) = match (self.stopping.is_cancelled(), &ledger, degraded) {
            (true, _, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            (false, Err(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "down"),
            (false, Ok(()), true) => (StatusCode::OK, "degraded"),
            (false, Ok(()), false) => (StatusCode::OK, "ok"),
        };
        // By which `check` knows its own `serve`.
        let instance = json!({
            "gate": self.gate.to_string(),
            "secret": hex::encode(self.ring.minting().fingerprint().as_bytes()),
        });
        let body = json!({
            "status": word,
            "instance": instance,
            "ledger": part(ledger.as_ref().err().map(|why| ("down", why.to_string()))),
            "node": part(node.as_ref().err().map(|why| (why.word(), why.to_string()))),
            "clocks": part(clocks),
            "payments": payments,
            "upstreams": self.upstreams(),
        });
        (status, body)
    }
}

impl Ops {
    fn upstreams(&self) -> Map<String, Value> {
        self.catalogue
            .load()
            .services
            .iter()
            .map(|service| {
                let down = service.upstream.health.trouble().map(|why| ("down", why));
                let refuses = || {
                    let why = service.upstream.sale_stop.why()?;
                    Some((Code::UpstreamMisconfigured.word(), why))
                };
                let limited = || {
                    let is_limited = service.upstream.sale_stop.is_limited(Instant::now());
                    let why = "it takes no more for a while, by its own `Retry-After`";
                    is_limited.then(|| ("limited", why.to_owned()))
                };
                (service.name.to_string(), part(down.or_else(refuses).or_else(limited)))
            })
            .collect()
    }
}

fn part(trouble: Option<(&str, String)>) -> Value {
    match trouble {
        None => json!({ "status": "ok" }),
        Some((word, why)) => json!({ "status": word, "why": why }),
    }
}
