//! What a service costs: `price_sat`, `price_msat` or `[service.price]`.

use std::sync::Arc;

use toml::Spanned;

use super::shared::Shared;
use super::written::{PerWord, PriceWords, Written};
use crate::config::error::{ConfigError, Reporter};
use crate::price::Msat;
use crate::price::tariff::{Currency, Per, Tariff};
use crate::rate::CurrentRate;
use crate::service::pricing::{PrefixPricing, Pricing};
use crate::service::watched_list::WatchedList;

/// What it says; `None` for a service without a price.
pub(super) fn pricing(
    report: &Reporter<'_>,
    shared: &Shared<'_>,
    written: &Written,
) -> Result<Option<Pricing>, ConfigError> {
    let both = |what: &str, span| {
        Err(report.at(span, format!("there are both {what}; keep one of the two")))
    };
    match (&written.price_sat, &written.price_msat, &written.price) {
        (None, None, None) => Ok(None),
        (Some(_), Some(msat), _) => both("`price_sat` and `price_msat`", msat.span()),
        (Some(_), None, Some(list)) => both("`price_sat` and [service.price]", list.span()),
        (None, Some(_), Some(list)) => both("`price_msat` and [service.price]", list.span()),
        (Some(sat), None, None) => match Msat::from_sat(*sat.get_ref()) {
            Some(price) => Ok(Some(Pricing::Fixed(price))),
            None => Err(report.at(sat.span(), "`price_sat` should be at least 1")),
        },
        (None, Some(msat), None) => match Msat::new(*msat.get_ref()) {
            Some(price) => Ok(Some(Pricing::Fixed(price))),
            None => {
                let what = "`price_msat` should be at least 1000, which is 1 sat";
                Err(report.at(msat.span(), what))
            }
        },
        (None, None, Some(list)) => {
            let pricing = by_prefix(report, shared, written, list)?;
            Ok(Some(Pricing::ByPrefix(Box::new(pricing))))
        }
    }
}

fn by_prefix(
    report: &Reporter<'_>,
    shared: &Shared<'_>,
    written: &Written,
    given: &Spanned<PriceWords>,
) -> Result<PrefixPricing, ConfigError> {
    if written.sms.is_none() {
        let what = "[service.price] needs [service.sms]: its `to` names the number that decides";
        return Err(report.at(given.span(), what));
    }
    if let Some(probe) = written.probe.as_ref().filter(|probe| *probe.get_ref()) {
        let what = "`probe` sells any request at one price, and [service.price] has many";
        return Err(report.at(probe.span(), what));
    }
    let words = given.get_ref();
    let (currency, rate) = currency(report, shared.rate, words.currency.as_ref())?;
    let (minimum, maximum) = bounds(report, words)?;
    let path = shared.folder.join(words.table.get_ref());
    let list = WatchedList::open(&path)
        .map_err(|why| report.at(words.table.span(), format!("`price.table`: {why}")))?;
    let per = match words.per {
        None | Some(PerWord::Message) => Per::Message,
        Some(PerWord::Segment) => Per::Segment,
    };
    Ok(PrefixPricing { tariff: Tariff { currency, per, minimum, maximum }, list, rate })
}

type CurrencyAndRate = (Currency, Option<Arc<CurrentRate>>);

fn currency(
    report: &Reporter<'_>,
    rate: Option<&Arc<CurrentRate>>,
    given: Option<&Spanned<String>>,
) -> Result<CurrencyAndRate, ConfigError> {
    let Some(given) = given else { return Ok((Currency::Sat, None)) };
    match (given.get_ref().as_str(), rate) {
        ("sat", _) => Ok((Currency::Sat, None)),
        ("msat", _) => Ok((Currency::Msat, None)),
        (code, Some(rate)) if rate.currency() == code => {
            Ok((Currency::Other(code.into()), Some(Arc::clone(rate))))
        }
        (code, rate) => {
            let known = match rate {
                Some(rate) => format!("[rate] is of \"{}\"", rate.currency()),
                None => "any other needs a [rate]".to_owned(),
            };
            let what = format!(
                "`price.currency` is \"sat\", \"msat\" or the currency of [rate], not \"{code}\"; \
                 {known}"
            );
            Err(report.at(given.span(), what))
        }
    }
}

fn bounds(report: &Reporter<'_>, words: &PriceWords) -> Result<(Msat, Option<Msat>), ConfigError> {
    let sat = |key: &str, given: &Spanned<u64>| {
        Msat::from_sat(*given.get_ref())
            .ok_or_else(|| report.at(given.span(), format!("`price.{key}` should be at least 1")))
    };
    let minimum = words.minimum_sat.as_ref().map(|given| sat("minimum_sat", given)).transpose()?;
    let maximum = words.maximum_sat.as_ref().map(|given| sat("maximum_sat", given)).transpose()?;
    let minimum = minimum.unwrap_or(Msat::MIN);
    match (maximum, &words.maximum_sat) {
        (Some(most), Some(given)) if most < minimum => {
            Err(report.at(given.span(), "`price.maximum_sat` is below `price.minimum_sat`"))
        }
        _ => Ok((minimum, maximum)),
    }
}
