//! By what name a backend knows a request: its key against repeats, and its look-up.

use std::time::Duration;

use hyper::header::HeaderName;
use toml::Spanned;

use super::answer_words::{Idempotency, LookupWords, PredicateWords};
use super::answers::predicate;
use super::written::Written;
use crate::config::error::{ConfigError, Reporter};
use crate::order::{Bind, Rules, Takes};
use crate::service::Lookup;
use crate::upstream::outcome_rules::Predicate;
use crate::upstream::request::{IdempotencyKeyPlace, is_framing};

/// How long a backend is thought to know our name for a request, where nothing else is said.
const REMEMBERED_DEFAULT: Duration = Duration::from_secs(86_400);

/// Where the upstream takes our name for a request, and whether it throws repeats away by it; and
/// how it is asked by that name.
#[derive(Default)]
pub(super) struct Naming {
    pub(super) key: Option<IdempotencyKeyPlace>,
    pub(super) remembered: Option<Duration>,
    pub(super) lookup: Option<Lookup>,
}

pub(super) fn naming(
    report: &Reporter<'_>,
    written: &Written,
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
    let lookup = lookup(report, given, None, remembered.or(own_remembered))?;
    Ok(Naming { key, remembered, lookup: Some(lookup) })
}

/// How a backend is asked what became of a request, by our name for it, which it knows for as long
/// as `remembered`; at another `path` than is written, where what it is made of has been put in.
pub(super) fn lookup(
    report: &Reporter<'_>,
    given: &Spanned<LookupWords>,
    path: Option<&str>,
    remembered: Option<Duration>,
) -> Result<Lookup, ConfigError> {
    let path = path.unwrap_or(given.get_ref().path.get_ref());
    let with_key = path.replace("{key}", "0");
    let is_path = !with_key.contains(['{', '}']) && with_key.parse::<hyper::Uri>().is_ok();
    if !path.starts_with('/') || with_key == *path || !is_path {
        let what = "`lookup` needs a `path` at the upstream with {key} in it, such as \
                    \"/messages/{key}\"";
        return Err(report.at(given.span(), what));
    }
    let read = |key, given: &Option<Spanned<PredicateWords>>, status: u16| match given {
        Some(given) => predicate(report, key, given),
        None => Ok(Predicate { status: vec![(status, status)], ..Predicate::default() }),
    };
    Ok(Lookup {
        path: path.to_owned(),
        found: read("lookup.found", &given.get_ref().found, 200)?,
        not_found: read("lookup.not_found", &given.get_ref().not_found, 404)?,
        final_after: given.get_ref().final_after.as_ref().map(|after| after.0),
        remembered: remembered.unwrap_or(REMEMBERED_DEFAULT),
    })
}

fn idempotency(
    report: &Reporter<'_>,
    name: &str,
    written: Option<&Spanned<Idempotency>>,
    rules: Option<&Rules>,
) -> Result<Option<(IdempotencyKeyPlace, Duration)>, ConfigError> {
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
            Ok(IdempotencyKeyPlace::Header(name))
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
            Takes::Json(_, Bind::Json) => Ok(IdempotencyKeyPlace::Member(member.clone())),
            _ => Err(fault("names a member, but this service takes no JSON body")),
        },
        _ => Err(fault(
            "is { header = \"Idempotency-Key\" } or { member = \"id\" }: where your backend takes \
             our name for a request",
        )),
    };
    Ok(Some((place?, remembered.unwrap_or(REMEMBERED_DEFAULT))))
}
