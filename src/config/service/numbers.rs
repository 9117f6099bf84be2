//! What `[service.sms]` says of how many messages are sent, and of numbers that get none.

use std::time::Duration;

use toml::Spanned;

use super::written::{PerDayWords, Written};
use crate::config::error::{ConfigError, Reporter};
use crate::config::units::duration;
use crate::ledger::messages::PerNumber;
use crate::number_prefix::Prefix;
use crate::service::number_rules::NumberRules;

/// How long nothing is sold to a number that gets no messages, where nothing else is said.
const REFUSED_FOR_DEFAULT: Duration = Duration::from_secs(90 * 86_400);

/// Longest time that is counted in, and longest that a number is remembered.
const WITHIN_MAX: Duration = Duration::from_secs(31 * 86_400);
const REFUSED_FOR_MAX: Duration = Duration::from_secs(3660 * 86_400);

/// Most messages to one number: each is looked at.
const PER_NUMBER_MAX: u32 = 1000;

/// Most prefixes that have a limit of their own.
const PREFIXES_MAX: usize = 1000;

/// What is said; `None` where nothing is counted and nobody `may_refuse` a number.
pub(super) fn numbers(
    report: &Reporter<'_>,
    written: &Written,
    lifetime: Duration,
    may_refuse: bool,
) -> Result<Option<NumberRules>, ConfigError> {
    let Some(given) = &written.sms else { return Ok(None) };
    let sms = given.get_ref();
    let mut rules = NumberRules { refused_for: REFUSED_FOR_DEFAULT, ..NumberRules::default() };
    rules.per_number =
        sms.per_number.as_ref().map(|given| per_number(report, given)).transpose()?;
    if let Some(given) = &sms.per_day {
        (rules.per_day_of_all, rules.per_day_to) = per_day(report, given)?;
    }
    if rules.counted_for() > lifetime {
        let at = sms.per_number.as_ref().map(Spanned::span);
        let at = at.or(sms.per_day.as_ref().map(Spanned::span)).unwrap_or(given.span());
        let what = "the limit lasts longer than `tickets.lifetime`: a paid ticket would run out \
                    while it waits for its turn";
        return Err(report.at(at, what));
    }
    if let Some(given) = &sms.refused_for {
        let lasts = given.get_ref().0;
        if lasts.is_zero() || lasts > REFUSED_FOR_MAX {
            let what = "`sms.refused_for` should be between \"1s\" and \"3660d\"";
            return Err(report.at(given.span(), what));
        }
        if !may_refuse {
            let what = "`sms.refused_for` has no meaning here: neither `refused` nor the preset \
                        says when a number gets no messages";
            return Err(report.at(given.span(), what));
        }
        rules.refused_for = lasts;
    }
    Ok(Some(rules).filter(|rules| may_refuse || rules.counts()))
}

/// `3/24h`.
fn per_number(report: &Reporter<'_>, given: &Spanned<String>) -> Result<PerNumber, ConfigError> {
    let read = |text: &str| {
        let (max, within) = text.split_once('/')?;
        let max = max.trim().parse().ok().filter(|max| (1..=PER_NUMBER_MAX).contains(max))?;
        let within = duration(within.trim())?;
        let is_sound = (Duration::from_secs(1)..=WITHIN_MAX).contains(&within);
        is_sound.then_some(PerNumber { max, within })
    };
    read(given.get_ref()).ok_or_else(|| {
        let what = format!(
            "`sms.per_number` is how many messages one number gets in a time, such as \"3/24h\": \
             1 to {PER_NUMBER_MAX}, in \"1s\" to \"31d\""
        );
        report.at(given.span(), what)
    })
}

/// Of all, and by prefix.
type DayLimits = (Option<u64>, Vec<(Prefix, u64)>);

fn per_day(report: &Reporter<'_>, given: &Spanned<PerDayWords>) -> Result<DayLimits, ConfigError> {
    let fault = |what: &str| report.at(given.span(), format!("`sms.per_day` {what}"));
    let (all, mut to) = (given.get_ref(), Vec::new());
    let limits = match all {
        PerDayWords::All(max) => return Ok((Some(at_least_one(*max).map_err(fault)?), to)),
        PerDayWords::Each(limits) => limits,
    };
    let mut of_service = None;
    for (name, max) in limits {
        let max = at_least_one(*max).map_err(fault)?;
        if name == "all" {
            of_service = Some(max);
            continue;
        }
        let what = || format!("has `{name}`, which is neither `all` nor a prefix such as \"+44\"");
        to.push((Prefix::read(name).ok_or_else(|| fault(&what()))?, max));
    }
    if to.is_empty() && of_service.is_none() || to.len() > PREFIXES_MAX {
        return Err(fault(&format!("has a limit for `all`, and up to {PREFIXES_MAX} prefixes")));
    }
    Ok((of_service, to))
}

fn at_least_one(max: u64) -> Result<u64, &'static str> {
    if max == 0 { Err("of 0 would send nothing: 1 is the least") } else { Ok(max) }
}
