//! `[service.sms]`: what is demanded of text messages.

use std::path::Path;

use regex::RegexBuilder;
use serde_json::Value;
use toml::Spanned;

use super::written::{PerWord, SmsEncoding, TicketWord, Written};
use crate::config::error::{ConfigError, Reporter, pattern_fault};
use crate::config::file_path::FilePath;
use crate::order::{Rules, Takes};
use crate::service::watched_list::WatchedList;
use crate::sms::deny::DenyList;
use crate::sms::gsm7;
use crate::sms::rules::SmsRules;

/// Most segments of one message: phones join no more than 255, and networks lose long ones.
const SEGMENTS_MAX: usize = 10;

/// Most patterns.
const PATTERNS_MAX: usize = 100;

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
    // A mapped backend is told number and text, whatever else is said.
    let is_closed = rules.schema.as_ref().is_some_and(|schema| is_closed(schema.source()));
    if written.backend.is_none() && !is_closed {
        return Err(fault(
            "needs an `input` with `additionalProperties = false`: what it doesn't name would be \
             passed on, and could be another number or text to your backend",
        ));
    }
    let sms = given.get_ref();
    member(report, "to", &sms.to, rules)?;
    member(report, "text", &sms.text, rules)?;
    if sms.to.get_ref() == sms.text.get_ref() {
        return Err(fault("has one name for `to` and `text`"));
    }
    if sms.suffix.contains(|one: char| one.is_control() && one != '\n') {
        return Err(fault("has a control character in its `suffix`"));
    }
    if sms.refuse.len() > PATTERNS_MAX {
        return Err(fault(&format!("has more than {PATTERNS_MAX} patterns in `refuse`")));
    }
    let made = SmsRules {
        to: sms.to.get_ref().clone(),
        strict: sms.strict,
        text: sms.text.get_ref().clone(),
        suffix: sms.suffix.clone(),
        segments_max: segments_max(report, written, sms.max_segments.as_ref())?,
        gsm7_only: sms.encoding == Some(SmsEncoding::Gsm7),
        refused: sms.refuse.iter().map(|one| pattern(report, one)).collect::<Result<_, _>>()?,
    };
    if let (true, [first]) = (made.gsm7_only, gsm7::outside(&sms.suffix, 1).as_slice()) {
        return Err(fault(&format!(
            "has `encoding = \"gsm7\"`, and its `suffix` has the character {first:?}, which isn't \
             in that alphabet"
        )));
    }
    if ["a", "1", "."].iter().any(|text| made.judge(text).is_ok()) {
        return Ok(Some(made));
    }
    Err(fault("lets no text pass: is its `suffix` too long, or does `refuse` fit all?"))
}

/// The numbers to which nothing is sold.
pub(super) fn deny(
    report: &Reporter<'_>,
    folder: &Path,
    written: &Written,
) -> Result<Option<WatchedList<DenyList>>, ConfigError> {
    let given = written.sms.as_ref().and_then(|sms| sms.get_ref().deny.as_ref());
    let open = |given: &Spanned<FilePath>| {
        let list = WatchedList::open(&folder.join(given.get_ref()));
        list.map_err(|why| report.at(given.span(), format!("`sms.deny`: {why}")))
    };
    given.map(open).transpose()
}

/// Whether it lets only members pass that it names.
fn is_closed(schema: &Value) -> bool {
    let is_false = |key: &str| schema.get(key) == Some(&Value::Bool(false));
    is_false("additionalProperties") || is_false("unevaluatedProperties")
}

/// A member (or parameter) that the schema declares.
fn member(
    report: &Reporter<'_>,
    key: &str,
    name: &Spanned<String>,
    rules: &Rules,
) -> Result<(), ConfigError> {
    let fault = |what: &str| {
        report.at(name.span(), format!("`sms.{key}` names `{}`, {what}", name.get_ref()))
    };
    let properties = rules.schema.as_ref().and_then(|schema| schema.source().get("properties"));
    let Some(declared) = properties.and_then(|all| all.get(name.get_ref())) else {
        return Err(fault("which isn't among the `properties` of `input`"));
    };
    match declared.get("type") {
        None => Ok(()),
        Some(kind) if kind == "string" => Ok(()),
        Some(_) => Err(fault("which has another type than \"string\" in `input`")),
    }
}

fn segments_max(
    report: &Reporter<'_>,
    written: &Written,
    given: Option<&Spanned<usize>>,
) -> Result<usize, ConfigError> {
    match given {
        None => match written.price.as_ref().and_then(|price| price.get_ref().per) {
            Some(PerWord::Segment) => Ok(SEGMENTS_MAX),
            // All cost the same: an operator who sells more knows what they cost.
            _ => Ok(1),
        },
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
        let (pattern, why) = (given.get_ref(), pattern_fault(&error));
        report.at(given.span(), format!("`sms.refuse`: `{pattern}` is {why}"))
    })
}
