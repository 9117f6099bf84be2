//! `/readyz`: how each part is.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::Ops;
use crate::code::Code;
use crate::time::UnixTime;

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
        let certificate = self.certificate_trouble();
        let degraded = clocks.is_some()
            || certificate.is_some()
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
            "certificate": part(certificate),
            "payments": payments,
            "upstreams": self.upstreams(),
        });
        (status, body)
    }
}

impl Ops {
    fn certificate_trouble(&self) -> Option<(&'static str, String)> {
        let validity = self.certificate.as_ref()?();
        let now = i64::try_from(UnixTime::now().seconds()).unwrap_or(i64::MAX);
        match validity {
            None => {
                let why = "there is no certificate to show: nobody can connect";
                Some(("missing", why.to_owned()))
            }
            Some((_, ends)) if ends <= now => {
                Some(("expired", "the certificate has ended: clients refuse it".to_owned()))
            }
            Some((begins, _)) if begins > now => {
                let why = "the certificate is not valid yet: is this machine's time right?";
                Some(("not-yet", why.to_owned()))
            }
            Some(_) => None,
        }
    }

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
