//! `[service.sms]`: what is demanded of text messages.

use regex::RegexBuilder;
use toml::Spanned;

use super::written::{SmsEncoding, TicketWord, Written};
use crate::config::error::{ConfigError, Reporter};
use crate::order::{Rules, Takes};
use crate::sms::gsm7;
use crate::sms::rules::SmsRules;

/// Most segments of one message: phones join no more than 255, and networks lose long ones.
const SEGMENTS_MAX: usize = 10;

/// Most memory of one compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// What `[service.sms]` says; `rules` is what the service takes.
pub(super) fn sms(
    report: &Reporter<'_>,
    written: &Written,
    rules: &Rules,
) -> Result<Option<SmsRules>, ConfigError> {
    let Some(given) = &written.sms else { return Ok(None) };
    let fault = |what: &str| report.at(given.span(), format!("[service.sms] {what}"));
    if written.ticket != TicketWord::SingleUse {
        return Err(fault("is for `ticket = \"single-use\"`: one payment, one message"));
    }
    if !matches!(rules.takes, Takes::Query | Takes::Json(..)) {
        return Err(fault("needs a service that takes JSON or a query, with an `input` schema"));
    }
    let sms = given.get_ref();
    member(report, "to", &sms.to, rules)?;
    member(report, "text", &sms.text, rules)?;
    let gsm7_only = sms.encoding == Some(SmsEncoding::Gsm7);
    if let (true, [first, ..]) = (gsm7_only, gsm7::outside(&sms.suffix).as_slice()) {
        return Err(fault(&format!(
            "has `encoding = \"gsm7\"`, and its `suffix` has the character {first:?}, which isn't \
             in that alphabet"
        )));
    }
    Ok(Some(SmsRules {
        to: sms.to.get_ref().clone(),
        text: sms.text.get_ref().clone(),
        suffix: sms.suffix.clone(),
        segments_max: segments_max(report, sms.max_segments.as_ref())?,
        gsm7_only,
        refused: sms.refuse.iter().map(|one| pattern(report, one)).collect::<Result<_, _>>()?,
    }))
}

/// A member (or parameter) that the schema declares.
fn member(
    report: &Reporter<'_>,
    key: &str,
    name: &Spanned<String>,
    rules: &Rules,
) -> Result<(), ConfigError> {
    match rules.schema.as_ref().is_some_and(|schema| schema.declares(name.get_ref())) {
        true => Ok(()),
        false => Err(report.at(
            name.span(),
            format!(
                "`sms.{key}` names `{}`, which isn't among the properties of `input`",
                name.get_ref()
            ),
        )),
    }
}

fn segments_max(
    report: &Reporter<'_>,
    given: Option<&Spanned<usize>>,
) -> Result<usize, ConfigError> {
    match given {
        // All cost the same: an operator who sells more knows what they cost.
        None => Ok(1),
        Some(given) if (1..=SEGMENTS_MAX).contains(given.get_ref()) => Ok(*given.get_ref()),
        Some(given) => {
            let what = format!("`sms.max_segments` should be between 1 and {SEGMENTS_MAX}");
            Err(report.at(given.span(), what))
        }
    }
}

fn pattern(report: &Reporter<'_>, given: &Spanned<String>) -> Result<regex::Regex, ConfigError> {
    let built = RegexBuilder::new(given.get_ref())
        .case_insensitive(true)
        .size_limit(PATTERN_BYTES_MAX)
        .build();
    built.map_err(|error| {
        report.at(given.span(), format!("`sms.refuse`: {}", error.to_string().replace('\n', " ")))
    })
}
