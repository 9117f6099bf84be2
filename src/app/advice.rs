//! What works, and isn't as it should be: a note of `check`, a warning of `serve`.

use std::path::Path;

use super::log;
use crate::config::Config;
use crate::order::keywords;
use crate::record::log_filter::LogFilter;
use crate::service::{Offer, ServiceSpec};
use crate::sms::gsm7;

/// Each with the part of the config that it is about.
pub fn advice(config: &Config) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if config.listen.tls.is_none() && config.limits.trusted_proxies.is_empty() {
        let what = "`plain_http = true`, and `limits.trusted_proxies` is empty: is there a proxy \
                    in front? Then name its address there, or all payers count as one client, \
                    and one of them can use up what all share";
        all.push(("limits".to_owned(), what.to_owned()));
    }
    if std::env::var_os(log::VARIABLE).is_some() && config.log.filter != LogFilter::default() {
        let what = format!("{} is set, and goes before `log.level`", log::VARIABLE);
        all.push(("log".to_owned(), what));
    }
    for path in &config.readable_secrets {
        all.push(("secrets".to_owned(), readable_by_all(path)));
    }
    for service in config.services.iter().filter(|service| service.shadow.is_some()) {
        let what = "`shadow = true`: everything passes unpaid, and is only counted; so does what \
                    comes with a ticket that was sold before, which is neither spent nor answered \
                    from what was kept";
        all.push((format!("service {}", service.name), what.to_owned()));
    }
    let reports = |service: &&ServiceSpec| {
        service.mapping.as_ref().is_some_and(|mapping| mapping.reports.is_some())
    };
    if !config.detects_payments
        && let Some(service) = config.services.iter().find(reports)
    {
        let what = "what its backend reports is counted, and shown to you: payers see it where \
                    `detect_payments = true` in [lnd] has `/l402/status` answer";
        all.push((format!("service {}", service.name), what.to_owned()));
    }
    for service in &config.services {
        let Some(offer) = &service.offer else { continue };
        all.extend(
            of_offer(offer).into_iter().map(|what| (format!("service {}", service.name), what)),
        );
    }
    all
}

/// Of what is for sale.
fn of_offer(offer: &Offer) -> Vec<String> {
    let mut all = Vec::new();
    if offer.sms.as_ref().is_some_and(|sms| !gsm7::outside(&sms.suffix, 1).is_empty()) {
        let what = "`sms.suffix` isn't in the GSM 7-bit alphabet, so that every message is sent in \
                    UCS-2, of which 70 characters fit into a segment";
        all.push(what.to_owned());
    }
    all.extend(of_numbers(offer));
    all.extend(offer.price_warnings());
    if let Some(example) = &offer.example
        && let Err(unfit) = offer.order_of(example).and_then(|order| offer.is_sold(&order))
    {
        all.push(format!(
            "the example that pages show isn't sold ({unfit}): write an `example` that is"
        ));
    }
    let schema = offer.rules.schema.as_ref();
    for unknown in schema.map(|schema| keywords::unknown(schema.source())).unwrap_or_default() {
        let pointer = unknown.pointer;
        all.push(format!("`input`: {pointer} is no keyword of JSON Schema, and changes nothing"));
    }
    all
}

/// Of the limits on numbers.
fn of_numbers(offer: &Offer) -> Vec<String> {
    let mut all = Vec::new();
    let Some(numbers) = &offer.numbers else { return all };
    let of_all = numbers.per_day_of_all.unwrap_or(u64::MAX);
    for (prefix, _) in numbers.per_day_to.iter().filter(|(_, most)| *most > of_all) {
        all.push(format!("`sms.per_day`: {prefix} has more than `all`, and never gets as many"));
    }
    let is_strict = offer.sms.as_ref().is_some_and(|sms| sms.strict);
    if !is_strict && (numbers.per_number.is_some() || offer.deny.is_some()) {
        let what = "without `sms.strict` some phones have several numbers, such as those of Mexico \
                    with +52 1: `per_number` and `deny` take them for several phones";
        all.push(what.to_owned());
    }
    all
}

fn readable_by_all(path: &Path) -> String {
    let path = path.display();
    format!("every user of this machine may read {path}: `chmod o= '{path}'`, or mount it so")
}
