//! What a service costs: the price list that was read, and what a bitcoin costs.

use super::report::Report;
use crate::config::Config;
use crate::listed::Listed as _;
use crate::price::tariff::USUAL_MAX_SAT;
use crate::service::Offer;
use crate::service::pricing::Pricing;

/// Asks what a bitcoin costs, where prices are in another currency.
pub(super) async fn rate(report: &mut Report, config: &Config) {
    let Some(rate) = &config.rate else { return };
    match rate.ask().await {
        Ok(known) => {
            report.ok("rate", format!("a bitcoin costs {} {}", known.price(), rate.currency()));
        }
        Err(why) => report.failed(
            "rate",
            format!("{why}; are `rate.url` and `rate.json` right, and is it there?"),
        ),
    }
}

/// Says it of one service, which `part` names.
pub(super) fn check(report: &mut Report, part: &str, offer: &Offer) {
    let pricing = match &offer.pricing {
        Pricing::Fixed(price) if price.sat() > USUAL_MAX_SAT => {
            return report.note(
                part,
                format!(
                    "{price}: several clients pay no more than {USUAL_MAX_SAT} sat unless they are \
                     told to"
                ),
            );
        }
        Pricing::Fixed(_) => return,
        Pricing::ByPrefix(pricing) => pricing,
    };
    let (table, currency) = (pricing.list.now(), pricing.tariff.currency.code());
    let (cheapest, dearest) = (table.cheapest(), table.dearest());
    report.ok(
        part,
        format!(
            "{}: {} prefix(es), from {} {currency} for {} to {} {currency} for {}",
            pricing.list.path().display(),
            table.count(),
            cheapest.price,
            cheapest.prefix,
            dearest.price,
            dearest.prefix,
        ),
    );
}
