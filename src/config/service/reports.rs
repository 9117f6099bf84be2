//! How a preset reads what its backend says later of messages, and what phones send.

use std::time::Duration;

use hyper::Uri;
use toml::Spanned;

use super::mapping_words::BackendWords;
use super::preset::Preset;
use super::report_words::ReportsWord;
use crate::config::error::{ConfigError, Reporter};
use crate::config::units::ConfigDuration;
use crate::ledger::messages::DeliveryState;
use crate::service::reports::{InboundRules, ReportBy, ReportRules};

/// How long messages are reported on, where nothing else is said.
const REPORTS_FOR_DEFAULT: Duration = Duration::from_secs(7 * 86_400);
const REPORTS_FOR_MAX: Duration = Duration::from_secs(31 * 86_400);

/// How reports are read, and whether they are wanted: they are where payers' address is known, and
/// the preset knows them.
pub(super) fn reports(
    report: &Reporter<'_>,
    public_url: Option<&str>,
    given: &BackendWords,
    preset: &Preset,
) -> Result<Option<ReportRules>, ConfigError> {
    let wanted = given.reports.as_ref();
    let kept_for = given.reports_for.as_ref();
    let Some(words) = &preset.words.reports else {
        let is_off =
            |word: &&Spanned<ReportsWord>| matches!(word.get_ref(), ReportsWord::Wanted(false));
        let wanted = wanted.filter(|word| !is_off(word));
        let at = wanted.map(Spanned::span).or(kept_for.map(Spanned::span));
        return match at {
            Some(at) if given.preset.is_none() => Err(report.at(
                at,
                "reports are read as a preset's `[reports]` says: put the mapping into a file of \
                 its own, and name that by `preset`",
            )),
            Some(at) => Err(report.at(at, "there are no `[reports]` in what `preset` names")),
            None => Ok(None),
        };
    };
    let words = words.get_ref();
    let by = match (&words.reference, &words.key) {
        (Some(place), None) => ReportBy::Reference(place.place()),
        (None, Some(place)) => ReportBy::Key(place.place()),
        _ => ReportBy::Address,
    };
    let is_by_address = matches!(by, ReportBy::Address);
    let Some(base) = base(report, public_url, wanted, is_by_address)? else { return Ok(None) };
    let kept_for = kept_for.map(|given| reported_for(report, given)).transpose()?;
    let said = |words: &[String], state| -> Vec<(String, DeliveryState)> {
        words.iter().map(|word| (word.clone(), state)).collect()
    };
    let mut meanings = said(&words.sent, DeliveryState::Sent);
    meanings.extend(said(&words.delivered, DeliveryState::Delivered));
    meanings.extend(said(&words.failed, DeliveryState::Failed));
    Ok(Some(ReportRules {
        base: base.trim_end_matches('/').to_owned(),
        by,
        state: words.state.places(),
        words: meanings,
        answer: words.answer.clone(),
        kept_for: kept_for.unwrap_or(REPORTS_FOR_DEFAULT),
    }))
}

fn reported_for(
    report: &Reporter<'_>,
    given: &Spanned<ConfigDuration>,
) -> Result<Duration, ConfigError> {
    match given.get_ref().0 {
        lasts if lasts.is_zero() || lasts > REPORTS_FOR_MAX => {
            let what = "`reports_for` should be between \"1s\" and \"31d\"";
            Err(report.at(given.span(), what))
        }
        lasts => Ok(lasts),
    }
}

/// How the backend reaches Farebox; `None` where no reports are wanted.
fn base(
    report: &Reporter<'_>,
    public_url: Option<&str>,
    wanted: Option<&Spanned<ReportsWord>>,
    is_by_address: bool,
) -> Result<Option<String>, ConfigError> {
    let public = public_url.map(str::to_owned);
    let Some(at) = wanted else { return Ok(public) };
    match at.get_ref() {
        ReportsWord::Wanted(false) => Ok(None),
        ReportsWord::At(url) => own_address(report, at, url).map(Some),
        ReportsWord::Wanted(true) if is_by_address && public.is_none() => {
            let what = "`reports` needs `public_url` in [listen], or is itself the address by \
                        which your backend reaches Farebox, such as \"http://10.0.0.1:9402\"";
            Err(report.at(at.span(), what))
        }
        ReportsWord::Wanted(true) => Ok(Some(public.unwrap_or_default())),
    }
}

fn own_address(
    report: &Reporter<'_>,
    at: &Spanned<ReportsWord>,
    url: &str,
) -> Result<String, ConfigError> {
    let parsed = url
        .parse::<Uri>()
        .ok()
        .filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some());
    match parsed {
        Some(parsed) if parsed.query().is_none() => Ok(url.to_owned()),
        _ => {
            let what = "`reports` should be how your backend reaches Farebox, such as \
                        \"http://10.0.0.1:9402\", without a query";
            Err(report.at(at.span(), what))
        }
    }
}

/// How messages from phones are read.
pub(super) fn inbound(preset: &Preset) -> Result<Option<InboundRules>, ConfigError> {
    let Some(given) = &preset.words.inbound else { return Ok(None) };
    let words = given.get_ref();
    let when = match (&words.when, &words.is) {
        (Some(place), Some(expected)) => Some((place.place(), expected.clone())),
        (None, None) => None,
        _ => {
            let what = "`inbound` has `when`, a place, and `is`, what stands there: both or none";
            return Err(preset.report().at(given.span(), what));
        }
    };
    Ok(Some(InboundRules {
        when,
        from: words.from.places(),
        text: words.text.places(),
        has_bare_numbers: words.bare,
        answer: words.answer.clone(),
    }))
}
