//! What a service sells: the kind of its tickets, their price, what their invoices say.

use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderValue;
use toml::Spanned;

use super::input::rules;
use super::pages::example;
use super::price::pricing;
use super::shared::Shared;
use super::sms::{deny, sms};
use super::upstream::forward_headers;
use super::written::{TicketWord, Written};
use crate::config::error::{ConfigError, Reporter};
use crate::config::units::ConfigDuration;
use crate::service::{Offer, TicketKind};

/// Longest memo that fits into an invoice, in bytes (BOLT 11 field `d`).
const MEMO_MAX_BYTES: usize = 639;

/// Longest time of a pass: ten years.
const PASS_TIME_MAX: Duration = Duration::from_secs(3660 * 86_400);

/// Most uses of a counted pass; each has a row in the ledger.
const PASS_USES_MAX: u32 = 1000;

/// What a service sells; `None` for a free one.
pub(super) fn offer(
    report: &Reporter<'_>,
    shared: &Shared<'_>,
    written: &Written,
    method: &Method,
) -> Result<Option<Offer>, ConfigError> {
    let kind = kind(report, written)?;
    let pricing = pricing(report, shared, written)?;
    let without_preimage = without_preimage(report, written, shared.detects_payments)?;
    // What is wrong is said of a free service too, where it would mean nothing.
    let memo = memo(report, written)?;
    let forward_headers = forward_headers(report, written.forward_headers.as_deref())?;
    match (written.ticket, pricing, &written.input) {
        (TicketWord::Free, Some(_), _) => {
            Err(report.at(written.name.span(), "a free service has no price"))
        }
        (TicketWord::Free, None, Some(input)) => Err(report.at(
            input.span(),
            "`input` is checked for paid services only; a free one is passed on as it comes",
        )),
        (TicketWord::Free, None, None) => match (&written.example, &written.sms) {
            (Some(given), _) => Err(report.at(given.span(), "`example` is for paid services")),
            (None, Some(given)) => {
                Err(report.at(given.span(), "[service.sms] is for paid services"))
            }
            (None, None) => Ok(None),
        },
        (_, None, _) => Err(report.at(
            written.name.span(),
            "a paid service needs `price_sat` (or `price_msat`, or [service.price])",
        )),
        (_, Some(pricing), _) => {
            let rules = rules(report, shared.folder, written, method)?;
            let sms = sms(report, written, &rules)?;
            let content_type = Some(rules.content_type()).filter(|media| !media.is_empty());
            Ok(Some(Offer {
                kind,
                pricing,
                // A media type that was checked can stand in a header field.
                content_type: content_type.and_then(|media| HeaderValue::from_str(media).ok()),
                example: example(report, written, &rules, sms.as_ref())?,
                rules,
                sms,
                deny: deny(report, shared.folder, written)?,
                // Known once it is, what the backend's answers mean.
                numbers: None,
                memo,
                without_preimage,
                forward_headers,
            }))
        }
    }
}

/// What one payment buys.
fn kind(report: &Reporter<'_>, written: &Written) -> Result<TicketKind, ConfigError> {
    Ok(match (written.ticket, &written.pass_time, &written.pass_uses) {
        (TicketWord::Pass, Some(time), uses) => TicketKind::Pass {
            time: pass_time(report, time)?,
            uses: pass_uses(report, uses.as_ref())?,
        },
        (TicketWord::Pass, None, _) => {
            return Err(report.at(written.name.span(), "a pass needs `pass_time`, such as \"24h\""));
        }
        (_, Some(time), _) => {
            return Err(report.at(time.span(), "`pass_time` is for `ticket = \"pass\"`"));
        }
        (_, None, Some(uses)) => {
            return Err(report.at(uses.span(), "`pass_uses` is for `ticket = \"pass\"`"));
        }
        (_, None, None) => TicketKind::SingleUse,
    })
}

fn pass_time(
    report: &Reporter<'_>,
    time: &Spanned<ConfigDuration>,
) -> Result<Duration, ConfigError> {
    let length = time.get_ref().0;
    if (Duration::from_secs(1)..=PASS_TIME_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(report.at(time.span(), "`pass_time` should be between \"1s\" and \"3660d\""))
    }
}

fn pass_uses(
    report: &Reporter<'_>,
    uses: Option<&Spanned<u32>>,
) -> Result<Option<u32>, ConfigError> {
    match uses {
        Some(uses) if !(1..=PASS_USES_MAX).contains(uses.get_ref()) => {
            Err(report
                .at(uses.span(), format!("`pass_uses` should be between 1 and {PASS_USES_MAX}")))
        }
        uses => Ok(uses.map(|uses| *uses.get_ref())),
    }
}

fn memo(report: &Reporter<'_>, written: &Written) -> Result<String, ConfigError> {
    match &written.memo {
        Some(memo) if memo.get_ref().len() > MEMO_MAX_BYTES => {
            let what = "bytes that fit into an invoice";
            Err(report
                .at(memo.span(), format!("`memo` is longer than the {MEMO_MAX_BYTES} {what}")))
        }
        Some(memo) => Ok(memo.get_ref().clone()),
        // So that it fits whatever its characters are.
        None => Ok(written.title().chars().take(MEMO_MAX_BYTES / 4).collect()),
    }
}

fn without_preimage(
    report: &Reporter<'_>,
    written: &Written,
    detects_payments: bool,
) -> Result<bool, ConfigError> {
    match &written.without_preimage {
        Some(wanted) if *wanted.get_ref() && !detects_payments => {
            Err(report
                .at(wanted.span(), "`without_preimage` needs `detect_payments = true` in [lnd]"))
        }
        wanted => Ok(wanted.as_ref().is_some_and(|wanted| *wanted.get_ref())),
    }
}
