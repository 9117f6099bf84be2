//! How a preset reads what its backend says later of messages, and what phones send.

use std::time::Duration;

use hyper::Uri;
use toml::Spanned;

use super::mapping_words::BackendWords;
use super::preset::Preset;
use super::report_words::ReportsWord;
use crate::config::error::{ConfigError, Reporter};
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
        let given = wanted.map(Spanned::span).or(kept_for.map(Spanned::span));
        return match given {
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
    let base = match wanted.map(|wanted| (wanted, wanted.get_ref())) {
        Some((_, ReportsWord::Wanted(false))) => return Ok(None),
        Some((at, ReportsWord::At(url))) => base(report, at, url)?,
        Some((at, ReportsWord::Wanted(true))) => match (public_url, &by) {
            (None, ReportBy::Address) => {
                let what = "`reports` needs `public_url` in [listen], or is itself the address by \
                            which your backend reaches Farebox, such as \"http://10.0.0.1:9402\"";
                return Err(report.at(at.span(), what));
            }
            (url, _) => url.unwrap_or_default().to_owned(),
        },
        None => match public_url {
            Some(url) => url.to_owned(),
            None => return Ok(None),
        },
    };
    let kept_for = match kept_for {
        None => REPORTS_FOR_DEFAULT,
        Some(given) if given.get_ref().0.is_zero() || given.get_ref().0 > REPORTS_FOR_MAX => {
            let what = "`reports_for` should be between \"1s\" and \"31d\"";
            return Err(report.at(given.span(), what));
        }
        Some(given) => given.get_ref().0,
    };
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
        kept_for,
    }))
}

fn base(
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
        answer: words.answer.clone(),
    }))
}
