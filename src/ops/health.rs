//! `/readyz`: how each part is.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::Ops;
use crate::code::Code;
use crate::lightning::error::{NodeError, NodeErrorKind};
use crate::sale::FIRST_LOOK_MAX;
use crate::time::UnixTime;

/// From here on it is said that the two clocks lie far apart.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(3600);

/// Most troubles that a line names.
const TROUBLES_MAX: usize = 2;

/// A word for programs, and why, for people.
type Trouble = (&'static str, String);

/// What is wrong with each part, if something is.
struct Readiness {
    ledger: Option<Trouble>,
    node: Option<Trouble>,
    clocks: Option<Trouble>,
    certificate: Option<Trouble>,
    payments: Option<Trouble>,
    upstreams: Vec<(String, Option<Trouble>)>,
    /// For so long it is no trouble that a part was not looked at yet: buyers wait for it.
    has_just_begun: bool,
}

impl Readiness {
    /// What keeps something from being bought, seen or redeemed.
    fn troubles(&self) -> impl Iterator<Item = String> {
        let certificate = self.certificate.as_ref().map(|(_, why)| why.clone());
        let what = |what: &'static str, part: &Option<Trouble>| {
            let (word, why) = part.as_ref()?;
            let is_awaited = self.has_just_begun && *word == NodeErrorKind::NotTried.word();
            (!is_awaited).then(|| format!("{what}: {why}"))
        };
        let parts = [
            what("nothing is sold or redeemed: ledger", &self.ledger),
            certificate,
            what("nothing is sold", &self.node),
        ];
        let upstreams = self.upstreams.iter().filter_map(|(service, trouble)| {
            trouble.as_ref().map(|(_, why)| format!("service {service}: {why}"))
        });
        let last = [what("payments are not noticed", &self.payments), what("clocks", &self.clocks)];
        parts.into_iter().flatten().chain(upstreams).chain(last.into_iter().flatten())
    }
}

impl Ops {
    /// 503 only if nothing can be redeemed: while the node or an upstream is down, paid tickets (of
    /// others) still are.
    pub(super) fn readiness(&self) -> (StatusCode, Value) {
        let now = self.look();
        let degraded = now.troubles().next().is_some();
        let (status, word) = match (self.stopping.is_cancelled(), &now.ledger, degraded) {
            (true, _, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            (false, Some(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "down"),
            (false, None, true) => (StatusCode::OK, "degraded"),
            (false, None, false) => (StatusCode::OK, "ok"),
        };
        // By which `check` knows its own `serve`.
        let instance = json!({
            "gate": self.gate.to_string(),
            "redirect": self.redirect.map(|redirect| redirect.to_string()),
            "secret": hex::encode(self.ring.minting().fingerprint().as_bytes()),
        });
        let payments = match &self.payments {
            None => json!({ "status": "off" }),
            Some(_) => part(now.payments),
        };
        let upstreams = now.upstreams.into_iter().map(|(name, trouble)| (name, part(trouble)));
        let body = json!({
            "status": word,
            "instance": instance,
            "ledger": part(now.ledger),
            "node": part(now.node),
            "clocks": part(now.clocks),
            "certificate": part(now.certificate),
            "payments": payments,
            "upstreams": upstreams.collect::<Map<_, _>>(),
        });
        (status, body)
    }

    /// The same in a line for people.
    pub fn in_a_line(&self) -> String {
        let troubles: Vec<String> = self.look().troubles().collect();
        let (named, others) = troubles.split_at(troubles.len().min(TROUBLES_MAX));
        match (named.join("; "), others.len()) {
            (_, _) if named.is_empty() => "serving".to_owned(),
            (named, 0) => named,
            (named, others) => format!("{named}; and {others} more: see /readyz"),
        }
    }

    fn look(&self) -> Readiness {
        let node = |error: NodeError| (error.word(), error.to_string());
        let payments = self.payments.as_ref().and_then(|payments| payments.state().err());
        Readiness {
            ledger: self.ledger.health().err().map(|why| ("down", why.to_string())),
            node: self.node.state().err().map(node),
            clocks: self.clock_trouble(),
            certificate: self.certificate_trouble(),
            payments: payments.map(node),
            upstreams: self.upstreams(),
            has_just_begun: self.started.elapsed() < FIRST_LOOK_MAX,
        }
    }

    fn clock_trouble(&self) -> Option<Trouble> {
        let apart = self.ledger.now().apart();
        (apart > CLOCKS_APART_MAX).then(|| {
            let apart = Duration::from_secs(apart.as_secs());
            let why = format!(
                "the machine's clock and the ledger's, which follows it slowly, are {apart:?} \
                 apart: is this machine's time right?"
            );
            ("apart", why)
        })
    }

    fn certificate_trouble(&self) -> Option<Trouble> {
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

    fn upstreams(&self) -> Vec<(String, Option<Trouble>)> {
        let catalogue = self.catalogue.load();
        let services = catalogue.services.iter();
        services
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
                let prices = || {
                    let why = service.offer.as_ref()?.pricing.trouble()?;
                    Some((Code::PriceUnknown.word(), why))
                };
                let lists = || {
                    let why = service.offer.as_ref()?.list_trouble()?;
                    Some(("list-unreadable", why))
                };
                let trouble = down.or_else(refuses).or_else(limited).or_else(prices);
                let trouble = trouble.or_else(lists);
                (service.name.to_string(), trouble)
            })
            .collect()
    }
}

fn part(trouble: Option<Trouble>) -> Value {
    match trouble {
        None => json!({ "status": "ok" }),
        Some((word, why)) => json!({ "status": word, "why": why }),
    }
}
