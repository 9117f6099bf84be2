//! What works, and isn't as it should be: a note of `check`, a warning of `serve`.

use std::path::Path;

use super::log;
use crate::config::Config;
use crate::order::keywords;
use crate::record::log_filter::LogFilter;
use crate::service::Offer;
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
    for service in &config.services {
        let sms = service.offer.as_ref().and_then(|offer| offer.sms.as_ref());
        if sms.is_some_and(|sms| !gsm7::outside(&sms.suffix, 1).is_empty()) {
            let what = "`sms.suffix` isn't in the GSM 7-bit alphabet, so that every message is \
                        sent in UCS-2, of which 70 characters fit into a segment";
            all.push((format!("service {}", service.name), what.to_owned()));
        }
        let offer = service.offer.as_ref();
        for what in offer.map(Offer::price_warnings).unwrap_or_default() {
            all.push((format!("service {}", service.name), what));
        }
        let rules = service.offer.as_ref().and_then(|offer| offer.rules.schema.as_ref());
        for unknown in rules.map(|schema| keywords::unknown(schema.source())).unwrap_or_default() {
            let what = format!(
                "`input`: {} is no keyword of JSON Schema, and changes nothing",
                unknown.pointer
            );
            all.push((format!("service {}", service.name), what));
        }
    }
    all
}

fn readable_by_all(path: &Path) -> String {
    let path = path.display();
    format!("every user of this machine may read {path}: `chmod o= '{path}'`, or mount it so")
}
