//! What was sold before and can't be redeemed by the services of today: said before a payer meets
//! it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ledger::Ledger;
use crate::ledger::accounts::{SoldOffer, Sum};
use crate::service::{Service, ServiceSpec};
use crate::time::UnixTime;

/// What a service of today redeems.
pub struct Redeems {
    name: Arc<str>,
    formerly: Vec<Arc<str>>,
    addresses: BTreeSet<String>,
    is_pass: bool,
}

impl Redeems {
    /// What a service redeems; `None` for a free one.
    pub fn of(service: &ServiceSpec) -> Option<Self> {
        let offer = service.offer.as_ref().or(service.shadow.as_ref());
        let is_pass = offer?.kind.is_pass();
        let former = service.former_addresses.iter();
        let former = former.map(|(method, path)| format!("{method} {path}"));
        let addresses = std::iter::once(service.address.to_string()).chain(former).collect();
        let (name, formerly) = (Arc::clone(&service.name), service.formerly.clone());
        Some(Self { name, formerly, addresses, is_pass })
    }

    fn is_named(&self, name: &str) -> bool {
        *self.name == *name || self.formerly.iter().any(|former| **former == *name)
    }
}

/// A sentence for each kind of ticket that is still worth something and can't be redeemed. Silent
/// where the ledger can't be asked: it says so itself.
pub async fn unredeemable(
    ledger: &Ledger,
    services: &[Arc<Service>],
    detects: bool,
) -> Vec<String> {
    let Ok(sold) = ledger.sold().await else { return Vec::new() };
    let owed = if detects { ledger.unredeemed().await.ok() } else { None };
    let redeems: Vec<Redeems> = services.iter().filter_map(|one| Redeems::of(one)).collect();
    sentences(&sold, &redeems, owed.as_deref(), ledger.now().ledger)
}

/// The same, of what was read.
pub fn sentences(
    sold: &[SoldOffer],
    services: &[Redeems],
    owed: Option<&[(String, Sum)]>,
    now: UnixTime,
) -> Vec<String> {
    let alive = sold.iter().filter(|offer| offer.until > now.seconds());
    alive.filter_map(|offer| Some(sentence(offer, why(offer, services)?, owed))).collect()
}

fn why(offer: &SoldOffer, services: &[Redeems]) -> Option<String> {
    let SoldOffer { service: name, is_pass, address, .. } = offer;
    let Some(service) = services.iter().find(|service| service.is_named(name)) else {
        return Some(format!(
            "no paid service is named `{name}`: put it back, or write `formerly = [\"{name}\", \
             \"{address}\"]` into the one that takes its place"
        ));
    };
    if *is_pass && !service.is_pass {
        return Some(format!(
            "they are passes, and `{}` sells single requests now: keep the passes' service under \
             another name with `formerly = [\"{name}\"]` until they have ended",
            service.name
        ));
    }
    if !service.addresses.contains(address) {
        return Some(format!(
            "`{}` is no longer at {address}: write `formerly = [\"{address}\"]` into it",
            service.name
        ));
    }
    None
}

fn sentence(offer: &SoldOffer, why: String, owed: Option<&[(String, Sum)]>) -> String {
    let seconds = i64::try_from(offer.until).unwrap_or(i64::MAX);
    let until = time::OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| offer.until.to_string(), |time| time.date().to_string());
    let count = owed.map(|owed| {
        let sum = owed.iter().find(|(name, _)| *name == offer.service).map(|(_, sum)| sum.count);
        format!("{} paid and not delivered, ", sum.unwrap_or(0))
    });
    format!(
        "tickets of `{}` that were sold at {} ({}the last valid until {until}) can't be redeemed: \
         {why}",
        offer.service,
        offer.address,
        count.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sold(service: &str, is_pass: bool, address: &str) -> SoldOffer {
        SoldOffer { service: service.into(), is_pass, address: address.into(), until: 2_000 }
    }

    fn said(offer: SoldOffer, formerly: &[&str], former: &[&str]) -> Vec<String> {
        let now = UnixTime::from_seconds(1_000);
        let addresses = former.iter().chain(&["POST /sms"]).map(|at| (*at).to_owned()).collect();
        let formerly = formerly.iter().map(|name| (*name).into()).collect();
        let service = Redeems { name: "sms".into(), formerly, addresses, is_pass: false };
        sentences(&[offer], &[service], Some(&[("old".into(), Sum { count: 3, msat: 3 })]), now)
    }

    #[test]
    fn what_can_be_redeemed_is_not_spoken_of() {
        assert!(said(sold("sms", false, "POST /sms"), &[], &[]).is_empty());
        let ended = SoldOffer { until: 999, ..sold("gone", false, "POST /gone") };
        assert!(said(ended, &[], &[]).is_empty());
        let former = sold("old", false, "POST /old");
        assert!(said(former, &["old"], &["POST /old"]).is_empty());
    }

    #[test]
    fn each_way_to_lose_tickets_is_named_with_what_to_do() {
        let renamed = said(sold("old", false, "POST /old"), &[], &[]);
        assert!(renamed[0].contains("3 paid") && renamed[0].contains("formerly = [\"old\""));
        let moved = said(sold("sms", false, "GET /sms"), &[], &[]);
        assert!(moved[0].contains("formerly = [\"GET /sms\"]"), "{moved:?}");
        let passes = said(sold("sms", true, "POST /sms"), &[], &[]);
        assert!(passes[0].contains("passes"), "{passes:?}");
        assert!(passes[0].contains("1970-01-01"));
    }
}
