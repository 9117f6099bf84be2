//! `[service.backend]`: a backend that is spoken to in its own form.

use std::path::Path;

use hyper::Uri;
use sha2::{Digest as _, Sha256};
use toml::Spanned;
use zeroize::Zeroizing;

use super::answers::any_of;
use super::credentials::credentials;
use super::mapping::{self, Parts, Said};
use super::mapping_words::BackendWords;
use super::naming::{self, Naming};
use super::placeholders::Credentials;
use super::preset::{self, Preset};
use super::reports;
use super::upstream::url;
use super::written::{TicketWord, Written};
use crate::config::error::{ConfigError, Reporter};
use crate::service::mapping::{AccountCheck, MappedAnswer, Mapping};
use crate::service::reports::{ReportBy, ReportRules};
use crate::sms::measure::Encoding;
use crate::upstream::outcome_rules::OutcomeRules;
use crate::upstream::request::IdempotencyKeyPlace;
use crate::upstream::settings::UpstreamSettings;
use crate::upstream::template::{Template, Variable};

/// Shorter literals are no secrets.
const LITERAL_MIN_BYTES: usize = 8;

/// A backend, as far as the section and its preset tell.
pub(super) struct Backend {
    pub(super) mapping: Mapping,
    pub(super) outcome_rules: OutcomeRules,
    /// By what name it knows a message.
    pub(super) naming: Naming,
    /// What it adds to how the backend is reached.
    reached: Reached,
}

struct Reached {
    url: Uri,
    query: Vec<(String, Zeroizing<String>)>,
    headers: Vec<(hyper::header::HeaderName, hyper::header::HeaderValue)>,
    own: Vec<Zeroizing<String>>,
}

impl Backend {
    /// Adds what never changes of its requests.
    pub(super) fn reach(&self, mut settings: UpstreamSettings) -> UpstreamSettings {
        let Reached { url, query, headers, own } = &self.reached;
        settings.url = url.clone();
        settings.query.extend(query.iter().cloned());
        settings.headers.extend(headers.iter().cloned());
        settings.own = own.clone();
        settings
    }
}

/// What the section says; `None` where there is none.
pub(super) fn backend(
    report: &Reporter<'_>,
    folder: &Path,
    public_url: Option<&str>,
    written: &Written,
) -> Result<Option<Backend>, ConfigError> {
    let Some(given) = &written.backend else { return Ok(None) };
    refuse_what_it_replaces(report, written, given)?;
    let fault = |what: &str| report.at(given.span(), format!("[service.backend] {what}"));
    let words = given.get_ref();
    let preset =
        words.preset.as_ref().map(|name| preset::read(report, folder, name)).transpose()?;
    let has_preset = preset.is_some();
    let preset = preset.unwrap_or_default();
    let credentials = credentials(report, folder, given, &preset, has_preset)?;
    let reports = reports::reports(report, public_url, words, &preset)?;
    let mut by_preset = said_by_preset(&preset, reports.is_some(), &credentials)?;
    let mut own = mapping::said(report, &words.mapping, &credentials)?;
    let id = own.id.take().or(by_preset.id.take());
    let Parts { template, path, query, headers } = mapping::parts(by_preset, own).map_err(fault)?;
    names_number_and_text(&template).map_err(fault)?;
    if reports.is_none() && has(&template, Variable::Report) {
        return Err(fault("has {report} in it, which stands in a preset's `[reports]`"));
    }
    reports_have_an_address(&preset, reports.as_ref(), &template)?;
    let base = address(report, written, &preset)?;
    refuse_path_twice(report, written, &preset, &base)?;
    let below = |path: &str| format!("{}{path}", base.path().trim_end_matches('/'));
    let mut naming = naming(report, written, &preset, &template, &credentials)?;
    if let Some(lookup) = &mut naming.lookup {
        lookup.path = below(&lookup.path);
    }
    let text = words.answer.as_ref().map(|answer| MappedAnswer::Text(answer.text.clone()));
    let answer = text.unwrap_or(MappedAnswer::Json);
    let account = account_check(&preset, &credentials)?
        .map(|check| AccountCheck { path: below(&check.path), ..check });
    let inbound = reports::inbound(&preset)?;
    // A literal of the operator's may be a secret in the wrong place; a preset's is none.
    let is_own = |text: &Zeroizing<String>| {
        text.len() >= LITERAL_MIN_BYTES && !(preset.is_built_in && preset.text.contains(&***text))
    };
    let mut own: Vec<Zeroizing<String>> = credentials.into_values().flatten().collect();
    own.extend(template.literals().into_iter().filter(is_own));
    Ok(Some(Backend {
        mapping: Mapping { template, id, answer, reports, inbound, account },
        outcome_rules: outcome_rules(report, written, &preset)?,
        naming,
        reached: Reached {
            url: with_path(&base, &below(&path))
                .ok_or_else(|| fault("has a path that is no URL"))?,
            query,
            headers,
            own,
        },
    }))
}

/// How the preset has a message said, with what it adds where reports come in.
fn said_by_preset(
    preset: &Preset,
    has_reports: bool,
    credentials: &Credentials,
) -> Result<Said, ConfigError> {
    let (report, words) = (preset.report(), &preset.words);
    let said = mapping::said(&report, &words.mapping, credentials)?;
    match &words.reports {
        Some(more) if has_reports => {
            mapping::with_reports(said, &report, more.get_ref(), credentials)
        }
        _ => Ok(said),
    }
}

/// By what name the backend knows a message: that which the mapping says, if it does.
fn naming(
    report: &Reporter<'_>,
    written: &Written,
    preset: &Preset,
    template: &Template,
    credentials: &Credentials,
) -> Result<Naming, ConfigError> {
    let own = written.backend.as_ref().and_then(|own| own.get_ref().mapping.remembered.as_ref());
    let remembered = own.or(preset.words.mapping.remembered.as_ref());
    let lookup = match (&written.lookup, &preset.words.lookup) {
        (Some(own), _) => Some((report, own)),
        (None, Some(of_preset)) => Some((&preset.report(), of_preset)),
        (None, None) => None,
    };
    let has_key = has(template, Variable::Key);
    if !has_key && let Some((report, at)) = remembered.map(|given| (report, given.span())) {
        return Err(report.at(at, "`remembered` needs {key} where your backend takes it"));
    }
    let remembered = remembered.map(|given| given.get_ref().0);
    let lookup = match lookup {
        Some((report, given)) if !has_key => {
            let what = "`lookup` needs {key} in the mapping, where your backend takes the name by \
                        which it is asked";
            return Err(report.at(given.span(), what));
        }
        Some((report, given)) => {
            let path = mapping::path_with_key(report, &given.get_ref().path, credentials)?;
            Some(naming::lookup(report, given, Some(&path), remembered)?)
        }
        None => None,
    };
    // Its hash, since what is fixed in it may be secret.
    let mapping = || hex::encode(Sha256::digest(template.signature().as_bytes()));
    let key = has_key.then(|| IdempotencyKeyPlace::Mapped(mapping()));
    Ok(Naming { key, remembered, lookup })
}

fn refuse_what_it_replaces(
    report: &Reporter<'_>,
    written: &Written,
    given: &Spanned<BackendWords>,
) -> Result<(), ConfigError> {
    if written.ticket != TicketWord::SingleUse || written.sms.is_none() {
        let what = "[service.backend] is for `ticket = \"single-use\"` with [service.sms], which \
                    names the number and the text";
        return Err(report.at(given.span(), what));
    }
    if let Some(shadow) = written.shadow.as_ref().filter(|shadow| *shadow.get_ref()) {
        let what = "`shadow` passes requests on as they come, which a mapped backend doesn't take, \
                    and with your credentials: leave it out";
        return Err(report.at(shadow.span(), what));
    }
    if let Some(key) = &written.idempotency {
        let what = "`idempotency` has no meaning beside [service.backend]: put {key} where your \
                    backend takes it, and `remembered` into [service.backend]";
        return Err(report.at(key.span(), what));
    }
    if !written.upstream_query.is_empty() {
        let what = "[service.backend] has a `query` of its own: put what stands in \
                    `upstream_query` there";
        return Err(report.at(given.span(), what));
    }
    if written.forward_headers.is_some() {
        let what = "[service.backend] sends nothing of a client's: leave out `forward_headers`";
        return Err(report.at(given.span(), what));
    }
    Ok(())
}

/// Else every message would go to one number, or say the same.
fn names_number_and_text(template: &Template) -> Result<(), &'static str> {
    let slots = template.slots();
    let says = |variables: &[Variable]| {
        Encoding::ALL.iter().all(|encoding| {
            let texts = slots.iter().filter_map(|slot| slot.of(*encoding));
            texts.into_iter().any(|text| variables.iter().any(|one| text.has(*one)))
        })
    };
    if !says(&[Variable::To, Variable::Digits]) {
        return Err("says the number nowhere: put {to} where your backend takes it");
    }
    if !says(&[Variable::Text, Variable::TextInHex]) {
        return Err("doesn't say every text: put {text} where your backend takes it");
    }
    Ok(())
}

fn has(template: &Template, variable: Variable) -> bool {
    template
        .slots()
        .iter()
        .any(|slot| [&slot.gsm7, &slot.ucs2].into_iter().flatten().any(|text| text.has(variable)))
}

/// What the service says goes before what the preset does.
fn outcome_rules(
    report: &Reporter<'_>,
    written: &Written,
    preset: &Preset,
) -> Result<OutcomeRules, ConfigError> {
    let of_preset = preset.report();
    let either = |key, own, of_preset_words| match own {
        Some(_) => any_of(report, key, own),
        None => any_of(&of_preset, key, of_preset_words),
    };
    let words = &preset.words;
    Ok(OutcomeRules {
        delivered: either("delivered", written.delivered.as_ref(), words.delivered.as_ref())?,
        not_sent: either("not_sent", written.not_sent.as_ref(), words.not_sent.as_ref())?,
        refused: either("refused", written.refused.as_ref(), words.refused.as_ref())?,
        unknown: either("unknown", written.unknown.as_ref(), words.unknown.as_ref())?,
        trouble: either("trouble", written.trouble.as_ref(), words.trouble.as_ref())?,
    })
}

fn account_check(
    preset: &Preset,
    credentials: &Credentials,
) -> Result<Option<AccountCheck>, ConfigError> {
    let Some(given) = &preset.words.account else { return Ok(None) };
    let (report, words) = (&preset.report(), given.get_ref());
    let fault = |what: &str| report.at(given.span(), format!("`account`: {what}"));
    let query = mapping::fixed_query(report, &words.query, credentials)?;
    let path = mapping::fixed_path(report, &words.path, credentials)?;
    let whole = if query.is_empty() { path } else { format!("{path}?{query}") };
    if whole.parse::<Uri>().is_err() {
        return Err(fault("no path that can be asked for"));
    }
    let found = any_of(report, "account.found", words.found.as_ref())?;
    Ok(Some(AccountCheck { path: whole, found }))
}

/// Reports that are told apart by their address need that the backend is told it.
fn reports_have_an_address(
    preset: &Preset,
    reports: Option<&ReportRules>,
    template: &Template,
) -> Result<(), ConfigError> {
    match (reports, &preset.words.reports) {
        (Some(rules), Some(given))
            if matches!(rules.by, ReportBy::Address) && !has(template, Variable::Report) =>
        {
            let what = "`[reports]` needs {report} in a value, which tells the backend the \
                        address, or `reference` or `key`: where its reports name the message";
            Err(preset.report().at(given.span(), what))
        }
        _ => Ok(()),
    }
}

/// That address ends in no path that a mapping adds. One with a credential in it isn't shown.
fn refuse_path_twice(
    report: &Reporter<'_>,
    written: &Written,
    preset: &Preset,
    base: &Uri,
) -> Result<(), ConfigError> {
    let own = written.backend.as_ref().and_then(|own| own.get_ref().mapping.path.as_ref());
    let path = own.or(preset.words.mapping.path.as_ref()).map(Spanned::get_ref);
    let path = path.filter(|path| path.len() > 1 && !path.contains('{'));
    let Some(path) = path.filter(|path| base.path().trim_end_matches('/').ends_with(*path)) else {
        return Ok(());
    };
    let what = format!(
        "`upstream` is the backend's address alone, to which its mapping adds the path `{path}`; \
         if the path is really twice in it, write it so in `path`"
    );
    Err(match (&written.upstream, &preset.words.upstream) {
        (None, Some(of_preset)) => preset.report().at(of_preset.span(), what),
        (own, _) => report.at(own.as_ref().unwrap_or(&written.name).span(), what),
    })
}

/// The backend's address, to which the mapping adds its paths.
fn address(report: &Reporter<'_>, written: &Written, preset: &Preset) -> Result<Uri, ConfigError> {
    let (base, at) = match (&written.upstream, &preset.words.upstream) {
        (Some(own), _) => (url(report, own)?, own.span()),
        (None, Some(of_preset)) => (url(&preset.report(), of_preset)?, written.name.span()),
        (None, None) => {
            let what = "`upstream` is missing: the backend's address, such as \
                        \"http://127.0.0.1:13013\", to which its mapping adds the path";
            return Err(report.at(written.name.span(), what));
        }
    };
    match base.query() {
        None => Ok(base),
        Some(_) => {
            let what = "`upstream` beside [service.backend] is an address without a query";
            Err(report.at(at, what))
        }
    }
}

fn with_path(base: &Uri, path: &str) -> Option<Uri> {
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}
