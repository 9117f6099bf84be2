//! `check --send FILE`: one real request, to see that the backend takes it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;

use super::report::Report;
use crate::app::master_secret;
use crate::cli::print::say;
use crate::config::Config;
use crate::keys::{KeyRing, MasterSecret};
use crate::order::{Order, Takes};
use crate::outcome::Outcome;
use crate::record::metrics::Metrics;
use crate::redeem::trial::{self, Trial, TrialLookUp};
use crate::service::{Offer, Service};
use crate::tls;
use crate::upstream::Upstream;

/// What to send, and to which service; without a name, to the only one that sells.
pub(crate) struct Sending {
    pub(crate) file: std::path::PathBuf,
    pub(crate) service: Option<String>,
}

pub(super) async fn check(report: &mut Report, config: Config, sending: &Sending) {
    match sent(config, sending).await {
        Ok((part, trial)) => tell(report, &part, &trial),
        Err(what) => report.failed("send", what),
    }
}

fn tell(report: &mut Report, part: &str, trial: &Trial) {
    let words = trial.words.as_ref().map_or(String::new(), |words| format!(": {words}"));
    let answered = match trial.status {
        Some(status) => format!("its upstream answered {status}{words}"),
        None => "its upstream gave no answer".to_owned(),
    };
    match trial.outcome {
        Outcome::Delivered => {
            report.ok(part, format!("{answered}, which counts as delivered"));
            if let Some(look_up) = &trial.look_up {
                tell_look_up(report, part, look_up);
            }
        }
        Outcome::NotSent if trial.is_trouble => report.failed(
            part,
            format!(
                "{answered}, which counts as not sent, and as trouble of yours: sales stop after \
                 three buyers. Are its address and its credentials right?"
            ),
        ),
        Outcome::NotSent => report.failed(
            part,
            format!(
                "{answered}, which counts as not sent: each buyer would be told so. Is what was \
                 sent something that it takes?"
            ),
        ),
        Outcome::Refused => report.failed(
            part,
            format!(
                "{answered}, which counts as refused for good: is what was sent something that \
                 it takes, to a number that it sends to?"
            ),
        ),
        Outcome::Unknown => report.failed(
            part,
            format!(
                "{answered}, of which nobody knows what it means, so that each ticket would be \
                 parked: `delivered` and `not_sent` say what your backend's answers mean"
            ),
        ),
    }
}

fn tell_look_up(report: &mut Report, part: &str, look_up: &TrialLookUp) {
    match look_up {
        TrialLookUp::Found => report.ok(part, "its `lookup` finds that request"),
        TrialLookUp::NotFound => report.failed(
            part,
            "its `lookup` says that there is no such request, though it was taken just now: a \
             parked ticket would be freed, and served twice. Are `lookup.path` and its key right, \
             and is `not_found` no answer of a wrong path, too?",
        ),
        TrialLookUp::Nothing => report.failed(
            part,
            "the answer to its `lookup` is none of `found` and `not_found`, so that it settles no \
             parked ticket",
        ),
    }
}

async fn sent(mut config: Config, sending: &Sending) -> Result<(String, Trial), String> {
    let index = chosen(&config, sending.service.as_deref())?;
    let keys = match master_secret::load(&config.tickets, &[], None) {
        Ok(loaded) => loaded.secrets,
        // Made at the first start; what is sent now is nobody's ticket.
        Err(_) => vec![MasterSecret::new([0; 32])],
    };
    let ring = KeyRing::new(&keys, config.lnd.network.name()).ok_or("there is no master secret")?;
    let spec = config.services.swap_remove(index);
    let upstream = Upstream::new(&spec.backend, &spec.name, &tls::provider(), 1);
    let upstream = upstream.map_err(|error| error.to_string())?;
    let metrics = Metrics::new().map_err(|error| error.to_string())?.service(&spec.name);
    let service = Arc::new(Service::new(0, spec, Arc::new(upstream), &ring, metrics));
    let offer = service.offer.as_ref().ok_or("a free service is not tried")?;
    let order = order(offer, &sending.file)?;
    let part = format!("service {}", service.name);
    say!("         {part}: sending one real request, as for a ticket");
    let trial = trial::send_once(&service, offer, ring.minting(), &order).await;
    Ok((part, trial.ok_or("its request can't be written")?))
}

fn chosen(config: &Config, name: Option<&str>) -> Result<usize, String> {
    let sells = |index: &usize| config.services.get(*index).is_some_and(|one| one.offer.is_some());
    let mut selling = (0..config.services.len()).filter(sells);
    if let Some(name) = name {
        let is_named =
            |index: &usize| config.services.get(*index).is_some_and(|one| &*one.name == name);
        return selling.find(is_named).ok_or_else(|| {
            format!("`--service {name}`: there is no service of this name that sells")
        });
    }
    match (selling.next(), selling.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err("several services sell: say which, by `--service NAME`".into()),
        (None, _) => Err("no service sells anything".to_owned()),
    }
}

/// The order that the file makes: a body, or a query for a service that takes one.
fn order(offer: &Offer, file: &Path) -> Result<Order, String> {
    let fault = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    let bytes = std::fs::read(file).map_err(|error| fault(&error))?;
    let content_type = offer.content_type.as_ref().map(HeaderValue::as_bytes);
    let made = if offer.rules.takes == Takes::Query {
        let text = String::from_utf8(bytes).map_err(|error| fault(&error))?;
        let query = text.trim().trim_start_matches('?').to_owned();
        if query.starts_with('{') {
            let what = "this service takes a query, as it stands in a URL (`to=%2B1234567890&text=\
                        Hello`), and no JSON";
            return Err(fault(&what));
        }
        offer.order(None, Some(&query), Bytes::new())
    } else {
        offer.order(content_type, None, bytes.into())
    };
    let order = made.map_err(|unfit| fault(&unfit))?;
    offer.is_sold(&order).map_err(|unfit| fault(&unfit))?;
    Ok(order)
}
