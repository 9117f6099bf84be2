//! What a `[[service]]` says about its upstream's answers, checked.

use std::time::Duration;

use hyper::header::HeaderName;
use regex::bytes::Regex;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::file::{self, StatusWord};
use crate::order::{Bind, Rules, Takes};
use crate::service::Lookup;
use crate::upstream::outcome::{JsonCondition, Meaning, Predicate};
use crate::upstream::request::{KeyPlace, is_framing};

/// How long a backend is thought to know our name for a request, where nothing else is said.
const REMEMBERED_DEFAULT: Duration = Duration::from_secs(86_400);

pub(super) fn meaning(
    report: &Reporter<'_>,
    written: &file::Service,
) -> Result<Meaning, ConfigError> {
    let read = |key, predicate: &Option<Spanned<file::Predicate>>| {
        predicate.as_ref().map(|p| self::predicate(report, key, p)).transpose()
    };
    Ok(Meaning {
        delivered: read("delivered", &written.delivered)?,
        not_sent: read("not_sent", &written.not_sent)?,
    })
}

fn predicate(
    report: &Reporter<'_>,
    key: &str,
    written: &Spanned<file::Predicate>,
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
            report.at(text.span(), format!("`{key}`: not a regular expression: {error}"))
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
        let equals = serde_json::to_value(value)
            .map_err(|error| report.at(pointer.span(), error.to_string()))?;
        Ok(JsonCondition { pointer: pointer.get_ref().clone(), equals })
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

/// Where the upstream takes our name for a request, and whether it throws repeats away by it; and
/// how it is asked by that name.
pub(super) struct Naming {
    pub(super) key: Option<KeyPlace>,
    pub(super) remembered: Option<Duration>,
    pub(super) lookup: Option<Lookup>,
}

pub(super) fn naming(
    report: &Reporter<'_>,
    written: &file::Service,
    rules: Option<&Rules>,
) -> Result<Naming, ConfigError> {
    let idempotency = idempotency(report, "idempotency", written.idempotency.as_ref(), rules)?;
    let (idempotency, remembered) = idempotency.unzip();
    let Some(given) = &written.lookup else {
        return Ok(Naming { key: idempotency, remembered, lookup: None });
    };
    let fault = |what: &str| report.at(given.span(), format!("`lookup` {what}"));
    let own = self::idempotency(report, "lookup.key", given.get_ref().key.as_ref(), rules)?;
    let (own, own_remembered) = own.unzip();
    let key = match (idempotency, own) {
        (Some(_), Some(_)) => {
            return Err(fault("needs no `key` beside `idempotency`: it is the same"));
        }
        (None, None) => {
            return Err(fault(
                "needs `key`: where your backend takes the name that it is asked by",
            ));
        }
        (key, own) => key.or(own),
    };
    let path = given.get_ref().path.get_ref();
    let with_key = path.replace("{key}", "0");
    if !path.starts_with('/') || with_key == *path || with_key.parse::<hyper::Uri>().is_err() {
        return Err(fault(
            "needs a `path` at the upstream with {key} in it, such as \"/messages/{key}\"",
        ));
    }
    let read = |key, given: &Option<Spanned<file::Predicate>>, status: u16| match given {
        Some(given) => predicate(report, key, given),
        None => Ok(Predicate { status: vec![(status, status)], ..Predicate::default() }),
    };
    let lookup = Lookup {
        path: path.clone(),
        found: read("lookup.found", &given.get_ref().found, 200)?,
        not_found: read("lookup.not_found", &given.get_ref().not_found, 404)?,
        final_after: given.get_ref().final_after.0,
        remembered: remembered.or(own_remembered).unwrap_or(REMEMBERED_DEFAULT),
    };
    Ok(Naming { key, remembered, lookup: Some(lookup) })
}

fn idempotency(
    report: &Reporter<'_>,
    name: &str,
    written: Option<&Spanned<file::Idempotency>>,
    rules: Option<&Rules>,
) -> Result<Option<(KeyPlace, Duration)>, ConfigError> {
    let Some(written) = written else { return Ok(None) };
    let fault = |what: &str| report.at(written.span(), format!("`{name}` {what}"));
    let Some(rules) = rules else { return Err(fault("is for paid services")) };
    let given = written.get_ref();
    let remembered = given.remembered.as_ref().map(|span| span.get_ref().0);
    let place = match (&given.header, &given.member) {
        (Some(name), None) => {
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|_| fault("names no header field"))?;
            if is_framing(&name) {
                return Err(fault("names a header field that is about the connection or the body"));
            }
            Ok(KeyPlace::Header(name))
        }
        (None, Some(member)) => match &rules.takes {
            Takes::Json(..)
                if rules.schema.as_ref().is_some_and(|schema| schema.declares(member)) =>
            {
                Err(fault("names a member that `input` declares: a client could choose it"))
            }
            Takes::Json(_, Bind::Exact) => Err(fault(
                "names a member, and `bind = \"exact\"` forwards the body as it is; take `bind = \
                 \"json\"`, or a header",
            )),
            Takes::Json(_, Bind::Json) => Ok(KeyPlace::Member(member.clone())),
            _ => Err(fault("names a member, but this service takes no JSON body")),
        },
        _ => Err(fault(
            "is { header = \"Idempotency-Key\" } or { member = \"id\" }: where your backend takes \
             our name for a request",
        )),
    };
    Ok(Some((place?, remembered.unwrap_or(REMEMBERED_DEFAULT))))
}
