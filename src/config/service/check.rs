//! One `[[service]]`, checked.

use std::time::Duration;

use super::address::{host, method, name, path};
use super::backend::backend;
use super::naming::{Naming, naming};
use super::numbers::numbers;
use super::offer::offer;
use super::pages;
use super::shared::Shared;
use super::upstream::{reference, settings};
use super::written::{ReuseWord, Written};
use super::{answers, former};
use crate::config::error::{ConfigError, Reporter};
use crate::service::mapping::Mapping;
use crate::service::{Offer, ServiceSpec, TicketKind};
use crate::upstream::Reuse;
use crate::upstream::outcome_rules::OutcomeRules;
use crate::upstream::settings::UpstreamSettings;

/// How long a connection may have been idle that carries a paid request: a race with the
/// upstream's own idle limit would park its ticket.
const PAID_IDLE_MAX: Duration = Duration::from_secs(1);

/// How long it must have been silent first: an answer too many mostly comes at once, and would be
/// the next payer's. A free service's answers are nobody's own.
const PAID_SILENT_MIN: Duration = Duration::from_millis(10);

fn reuse(written: ReuseWord, kind: Option<TicketKind>) -> Reuse {
    let (at_least, at_most) = match (written, kind) {
        (ReuseWord::Never, _) => return Reuse::Never,
        (ReuseWord::Recent, None) => (Duration::ZERO, Duration::MAX),
        (ReuseWord::Recent, Some(_)) => (PAID_SILENT_MIN, PAID_IDLE_MAX),
    };
    Reuse::IdleFor { at_least, at_most }
}

/// How a backend is spoken to.
struct Spoken {
    backend: UpstreamSettings,
    mapping: Option<Mapping>,
    outcome_rules: OutcomeRules,
    naming: Naming,
}

/// By its mapping, or as the request came.
fn spoken(
    report: &Reporter<'_>,
    shared: &Shared<'_>,
    written: &Written,
    offer: Option<&Offer>,
) -> Result<Spoken, ConfigError> {
    let mapped = backend(report, shared.folder, shared.public_url, written)?;
    if mapped.is_none() && written.upstream.is_none() {
        return Err(report.at(written.name.span(), "`upstream` is missing: your backend's address"));
    }
    let reached = settings(report, shared.folder, written)?;
    Ok(match mapped {
        Some(mapped) => Spoken {
            backend: mapped.reach(reached),
            mapping: Some(mapped.mapping),
            outcome_rules: mapped.outcome_rules,
            naming: mapped.naming,
        },
        None => Spoken {
            backend: reached,
            mapping: None,
            outcome_rules: answers::outcome_rules(report, written)?,
            naming: naming(report, written, offer.map(|offer| &offer.rules))?,
        },
    })
}

pub(super) fn check(
    report: &Reporter<'_>,
    shared: &Shared<'_>,
    written: &Written,
) -> Result<ServiceSpec, ConfigError> {
    let (name, method) = (name(report, &written.name)?, method(report, &written.method)?);
    let path = path(report, &written.path)?;
    let mut offer = offer(report, shared, written, &method)?;
    let is_free = offer.is_none();
    let Spoken { backend, mapping, outcome_rules, naming } =
        spoken(report, shared, written, offer.as_ref())?;
    let Naming { key, remembered, lookup } = naming;
    let hears_of_stops = mapping.as_ref().is_some_and(|mapping| mapping.inbound.is_some());
    let may_refuse = hears_of_stops || !outcome_rules.refused.is_empty();
    if let Some(offer) = &mut offer {
        offer.numbers = numbers(report, written, shared.lifetime, may_refuse)?;
    }
    let kind = offer.as_ref().map(|offer| offer.kind);
    let reuse = reuse(written.reuse, kind);
    if let (Some(TicketKind::Pass { uses: None, .. }), Some(given)) = (kind, &written.idempotency) {
        return Err(report.at(
            given.span(),
            "`idempotency` has one key per use: a pass needs `pass_uses` for that",
        ));
    }
    let former = former::read(report, &written.formerly, is_free)?;
    let is_shadow = match &written.shadow {
        Some(given) if *given.get_ref() && is_free => {
            let what = "`shadow` is for paid services: a free one sells nothing to watch";
            return Err(report.at(given.span(), what));
        }
        given => given.as_ref().is_some_and(|given| *given.get_ref()),
    };
    let (offer, shadow) = if is_shadow { (None, offer) } else { (offer, None) };
    Ok(ServiceSpec {
        formerly: former.names,
        former_addresses: former.addresses,
        title: written.title().to_owned(),
        about: written.about.clone(),
        is_hidden: written.hidden,
        answers_probes: pages::answers_probes(report, written, is_free)?,
        trusts_html: pages::trusts_html(report, written, is_free)?,
        address: format!("{method} {path}").into(),
        host: written.host.as_ref().map(|text| host(report, text)).transpose()?,
        backend,
        outcome_rules,
        reference: reference(report, written, is_free, key.as_ref())?,
        mapping,
        name,
        method,
        path,
        offer,
        shadow,
        key,
        remembered,
        lookup,
        reuse,
    })
}
