//! What a `[[service]]` says about its upstream's answers, checked.

use hyper::header::HeaderName;
use regex::bytes::Regex;
use toml::Spanned;

use super::answer_words::{Alternatives, PredicateWords, StatusWord};
use super::written::Written;
use crate::config::error::{ConfigError, Reporter, pattern_fault};
use crate::upstream::outcome_rules::{JsonCondition, OutcomeRules, Predicate};

/// What a service says that its upstream's answers mean.
pub(super) fn outcome_rules(
    report: &Reporter<'_>,
    written: &Written,
) -> Result<OutcomeRules, ConfigError> {
    let read = |key, given| any_of(report, key, given);
    Ok(OutcomeRules {
        delivered: read("delivered", written.delivered.as_ref())?,
        not_sent: read("not_sent", written.not_sent.as_ref())?,
        refused: read("refused", written.refused.as_ref())?,
        unknown: read("unknown", written.unknown.as_ref())?,
        trouble: read("trouble", written.trouble.as_ref())?,
    })
}

/// Conditions of which one has to hold; none where nothing is said.
pub(super) fn any_of(
    report: &Reporter<'_>,
    key: &str,
    given: Option<&Alternatives>,
) -> Result<Vec<Predicate>, ConfigError> {
    let given = given.map(Alternatives::all).unwrap_or_default();
    given.iter().map(|one| predicate(report, key, one)).collect()
}

/// Conditions on an answer; `key` names them to the operator.
pub(super) fn predicate(
    report: &Reporter<'_>,
    key: &str,
    written: &Spanned<PredicateWords>,
) -> Result<Predicate, ConfigError> {
    let given = written.get_ref();
    if given.status.is_empty()
        && given.header.is_empty()
        && given.json.is_empty()
        && given.body.is_none()
    {
        return Err(report.at(
            written.span(),
            format!("`{key}` has no condition; it takes `status`, `header`, `json` and `body`"),
        ));
    }
    let pattern = |text: &Spanned<String>| {
        Regex::new(text.get_ref()).map_err(|error| {
            let (pattern, why) = (text.get_ref(), pattern_fault(&error));
            report.at(text.span(), format!("`{key}`: `{pattern}` is {why}"))
        })
    };
    let header = |(name, value): (&Spanned<String>, &Spanned<String>)| {
        let parsed = HeaderName::from_bytes(name.get_ref().as_bytes());
        let parsed = parsed.map_err(|_| {
            report.at(
                name.span(),
                format!("`{key}`: `{}` is no name of a header field", name.get_ref()),
            )
        })?;
        Ok((parsed, pattern(value)?))
    };
    let json = |(pointer, value): (&Spanned<String>, &toml::Value)| {
        if !pointer.get_ref().starts_with('/') {
            let what = format!(
                "`{key}`: `{}` is no JSON pointer, such as \"/messages/*/status\"",
                pointer.get_ref()
            );
            return Err(report.at(pointer.span(), what));
        }
        let value = serde_json::to_value(value)
            .map_err(|error| report.at(pointer.span(), error.to_string()))?;
        let one_of = match value {
            serde_json::Value::Array(all) => all,
            one => vec![one],
        };
        Ok(JsonCondition { pointer: pointer.get_ref().clone(), one_of })
    };
    Ok(Predicate {
        status: given
            .status
            .iter()
            .map(|status| self::status(report, key, status))
            .collect::<Result<_, _>>()?,
        headers: given.header.iter().map(header).collect::<Result<_, _>>()?,
        json: given.json.iter().map(json).collect::<Result<_, _>>()?,
        body: given.body.as_ref().map(pattern).transpose()?,
    })
}

fn status(
    report: &Reporter<'_>,
    key: &str,
    written: &Spanned<StatusWord>,
) -> Result<(u16, u16), ConfigError> {
    let range = match written.get_ref() {
        StatusWord::Exact(status @ 100..=999) => Some((*status, *status)),
        StatusWord::Class(word) => {
            match word.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok()) {
                Some(class @ 1..=9) => Some((class * 100, class * 100 + 99)),
                _ => None,
            }
        }
        StatusWord::Exact(_) => None,
    };
    range.ok_or_else(|| {
        report.at(
            written.span(),
            format!("`{key}`: a status is a number such as 202, or a class such as \"2xx\""),
        )
    })
}
