//! From the words of a preset and of `[service.backend]` to how a message is said.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use regex::bytes::Regex;
use toml::Spanned;
use zeroize::Zeroizing;

use super::address;
use super::mapping_words::{IdWords, MappingWords};
use super::placeholders::{self, Credentials};
use super::report_words::ReportsWords;
use super::slot_words::SlotWords;
use crate::config::error::{ConfigError, Reporter, pattern_fault};
use crate::service::mapping::IdPlace;
use crate::upstream::request::is_framing;
use crate::upstream::template::{
    Field, Json, Message, Part, Slot, Template, TemplateBody, Text, Variable,
};

/// Header fields of one value each, by their names.
type Headers = Vec<(HeaderName, Slot)>;

/// What one of the two says; what the operator says goes before what the preset does.
#[derive(Default)]
pub(super) struct Said {
    method: Option<Method>,
    path: Option<Text>,
    query: Vec<Field>,
    body: Option<TemplateBody>,
    headers: Headers,
    pub(super) id: Option<IdPlace>,
}

/// A mapping, taken apart: what never changes, and the rest.
pub(super) struct Parts {
    pub(super) template: Template,
    /// Below the backend's address.
    pub(super) path: String,
    pub(super) query: Vec<(String, Zeroizing<String>)>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Checks what one of the two says.
pub(super) fn said(
    report: &Reporter<'_>,
    words: &MappingWords,
    credentials: &Credentials,
) -> Result<Said, ConfigError> {
    let method = words.method.as_ref().map(|given| address::method(report, given));
    let path = words.path.as_ref().map(|given| path(report, given, credentials)).transpose()?;
    let body = match (&words.form, &words.json) {
        (Some(_), Some(json)) => {
            return Err(report.at(json.span(), "there are both `form` and `json`; keep one"));
        }
        (Some(form), None) => Some(TemplateBody::Form(fields(report, form, credentials)?)),
        (None, Some(given)) => {
            let object = toml::Value::Table(given.get_ref().clone());
            let made = json(&object, credentials);
            let made = made.map_err(|what| report.at(given.span(), format!("`json`: {what}")))?;
            made.map(TemplateBody::Json)
        }
        (None, None) => None,
    };
    let mut headers = headers(report, &words.headers, credentials)?;
    if let Some(basic) = &words.basic_auth {
        if headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
            let what = "there are both `basic_auth` and an Authorization header field";
            return Err(report.at(basic.span(), what));
        }
        headers.extend(basic_auth(report, basic, credentials)?);
    }
    let id = words.id.as_ref().map(|given| id(report, given)).transpose()?;
    let query = fields(report, &words.query, credentials)?;
    Ok(Said { method: method.transpose()?, path, query, body, headers, id })
}

/// What a preset says beside its mapping where reports come in.
pub(super) fn with_reports(
    mut said: Said,
    report: &Reporter<'_>,
    words: &ReportsWords,
    credentials: &Credentials,
) -> Result<Said, ConfigError> {
    said.query.extend(fields(report, &words.query, credentials)?);
    if let Some(more) = &words.form {
        let more = fields(report, more, credentials)?;
        said.body = Some(match said.body {
            Some(TemplateBody::Form(fields)) => TemplateBody::Form(replaced(fields, more)),
            _ => TemplateBody::Form(more),
        });
    }
    if let Some(given) = &words.json {
        let made = json(&toml::Value::Table(given.get_ref().clone()), credentials);
        let made = made.map_err(|what| report.at(given.span(), format!("`json`: {what}")))?;
        said.body = match (said.body, made) {
            (Some(TemplateBody::Json(Json::Object(members))), Some(Json::Object(more))) => {
                Some(TemplateBody::Json(Json::Object(replaced(members, more))))
            }
            (body, made) => made.map(TemplateBody::Json).or(body),
        };
    }
    Ok(said)
}

/// Puts both together. `Err` says what is missing.
pub(super) fn parts(preset: Said, own: Said) -> Result<Parts, &'static str> {
    let body = match (preset.body, own.body) {
        (Some(TemplateBody::Form(fields)), Some(TemplateBody::Form(more))) => {
            TemplateBody::Form(replaced(fields, more))
        }
        (
            Some(TemplateBody::Json(Json::Object(members))),
            Some(TemplateBody::Json(Json::Object(more))),
        ) => TemplateBody::Json(Json::Object(replaced(members, more))),
        (preset, own) => own.or(preset).unwrap_or(TemplateBody::None),
    };
    let has_body = !matches!(body, TemplateBody::None);
    let method = own.method.or(preset.method);
    let method = method.unwrap_or(if has_body { Method::POST } else { Method::GET });
    let path = own.path.or(preset.path).ok_or("needs a `path` at the backend")?;
    let path = path.of(&NOTHING).to_string();
    let (mut query, mut headers) = (Vec::new(), Vec::new());
    let mut changing = Vec::new();
    for (name, slot) in replaced(preset.query, own.query) {
        match always_fixed(&slot) {
            Some(text) => query.push((name, text)),
            None => changing.push((name, slot)),
        }
    }
    let mut changing_headers = Vec::new();
    for (name, slot) in replaced(preset.headers, own.headers) {
        let Some(text) = always_fixed(&slot) else {
            changing_headers.push((name, slot));
            continue;
        };
        let value = HeaderValue::from_str(&text);
        let mut value = value.map_err(|_| "has a value that can't stand in a header field")?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    let template = Template { method, query: changing, headers: changing_headers, body };
    Ok(Parts { template, path, query, headers })
}

/// What a text without anything of a message is made with.
const NOTHING: Message<'_> = Message {
    report: "",
    to: "",
    text: "",
    encoding: crate::sms::measure::Encoding::Gsm7,
    reference: "",
    key: "",
};

/// A value that is the same for every message.
fn always_fixed(slot: &Slot) -> Option<Zeroizing<String>> {
    let text = slot.gsm7.as_ref().filter(|text| text.is_fixed() && slot.ucs2 == slot.gsm7)?;
    Some(text.of(&NOTHING))
}

/// What one list has, with what the other has instead of it or beside it.
fn replaced<N: PartialEq, V>(mut first: Vec<(N, V)>, second: Vec<(N, V)>) -> Vec<(N, V)> {
    first.retain(|(name, _)| second.iter().all(|(other, _)| other != name));
    first.extend(second);
    first
}

/// A path has nothing of a message; credentials are written as one segment each.
fn path(
    report: &Reporter<'_>,
    given: &Spanned<String>,
    credentials: &Credentials,
) -> Result<Text, ConfigError> {
    let fault = |what: &str| report.at(given.span(), format!("`path` {what}"));
    let text = placeholders::read_with(given.get_ref(), credentials, segment);
    let text = text.map_err(|what| fault(&format!(": {what}")))?.unwrap_or_default();
    if !text.is_fixed() {
        return Err(fault("has nothing of a message in it"));
    }
    let whole = text.of(&NOTHING);
    if !whole.starts_with('/') || whole.contains(['?', '#']) {
        let what =
            "begins with a slash, such as \"/send\", and has no query, which stands in `query`";
        return Err(fault(what));
    }
    Ok(text)
}

/// As one segment of a path.
fn segment(value: &str) -> String {
    let escaped: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    escaped.replace('+', "%20")
}

/// A path that is asked for by us, as it is written.
pub(super) fn fixed_path(
    report: &Reporter<'_>,
    given: &Spanned<String>,
    credentials: &Credentials,
) -> Result<String, ConfigError> {
    path(report, given, credentials).map(|path| path.of(&NOTHING).to_string())
}

/// The same, in which `{key}` may stand, and stays.
pub(super) fn path_with_key(
    report: &Reporter<'_>,
    given: &Spanned<String>,
    credentials: &Credentials,
) -> Result<String, ConfigError> {
    let fault = |what: String| report.at(given.span(), format!("`path`: {what}"));
    let text = placeholders::read_with(given.get_ref(), credentials, segment).map_err(fault)?;
    let part = |part: &Part| match part {
        Part::Fixed(text) => Ok(text.to_string()),
        Part::Of(Variable::Key) => Ok("{key}".to_owned()),
        Part::Of(_) => Err(fault("has {key} in it, and nothing else of a message".to_owned())),
    };
    text.unwrap_or_default().0.iter().map(part).collect()
}

/// A query of the same kind.
pub(super) fn fixed_query(
    report: &Reporter<'_>,
    given: &BTreeMap<Spanned<String>, SlotWords>,
    credentials: &Credentials,
) -> Result<String, ConfigError> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, slot) in fields(report, given, credentials)? {
        if let Some(value) = always_fixed(&slot) {
            form.append_pair(&name, &value);
        }
    }
    Ok(form.finish())
}

fn fields(
    report: &Reporter<'_>,
    given: &BTreeMap<Spanned<String>, SlotWords>,
    credentials: &Credentials,
) -> Result<Vec<Field>, ConfigError> {
    let mut fields = Vec::new();
    for (name, words) in given {
        let fault = |what| report.at(name.span(), format!("`{}`: {what}", name.get_ref()));
        let slot = slot(words, credentials).map_err(fault)?;
        fields.extend(slot.map(|slot| (name.get_ref().clone(), slot)));
    }
    Ok(fields)
}

fn headers(
    report: &Reporter<'_>,
    given: &BTreeMap<Spanned<String>, SlotWords>,
    credentials: &Credentials,
) -> Result<Headers, ConfigError> {
    let mut headers = Vec::new();
    for (name, words) in given {
        let fault = |what: &str| report.at(name.span(), format!("`{}`: {what}", name.get_ref()));
        let slot = slot(words, credentials).map_err(|what| fault(&what))?;
        let parsed = HeaderName::from_bytes(name.get_ref().as_bytes());
        let parsed = parsed.map_err(|_| fault("no name of a header field"))?;
        if is_framing(&parsed) {
            return Err(fault("it is about the connection or the body, and set by Farebox"));
        }
        let has_text = |text: &Text| text.has(Variable::Text);
        let says_text = |slot: &Slot| [&slot.gsm7, &slot.ucs2].into_iter().flatten().any(has_text);
        if slot.as_ref().is_some_and(says_text) {
            return Err(fault("not every text can stand in a header field; {text_utf16_hex} can"));
        }
        if headers.iter().any(|(other, _)| *other == parsed) {
            return Err(fault("it stands twice"));
        }
        headers.extend(slot.map(|slot| (parsed, slot)));
    }
    Ok(headers)
}

/// RFC 7617.
fn basic_auth(
    report: &Reporter<'_>,
    given: &Spanned<[String; 2]>,
    credentials: &Credentials,
) -> Result<Option<(HeaderName, Slot)>, ConfigError> {
    let [user, password] = given.get_ref();
    let whole = placeholders::read(&format!("{user}:{password}"), credentials);
    let whole = whole.map_err(|what| report.at(given.span(), format!("`basic_auth`: {what}")))?;
    let Some(whole) = whole else { return Ok(None) };
    if !whole.is_fixed() {
        let what = "`basic_auth` has nothing of a message in it";
        return Err(report.at(given.span(), what));
    }
    let encoded = STANDARD.encode(whole.of(&NOTHING).as_bytes());
    let value = Text(vec![Part::Fixed(Zeroizing::new(format!("Basic {encoded}")))]);
    Ok(Some((AUTHORIZATION, Slot::always(value))))
}

fn slot(words: &SlotWords, credentials: &Credentials) -> Result<Option<Slot>, String> {
    let read = |given: &String| placeholders::read(given, credentials);
    let slot = match words {
        SlotWords::Always(given) => read(given)?.map(Slot::always),
        SlotWords::ByEncoding(by) => {
            let text =
                |given: &Option<String>| given.as_ref().map(read).transpose().map(Option::flatten);
            Some(Slot { gsm7: text(&by.gsm7)?, ucs2: text(&by.ucs2)? })
        }
    };
    Ok(slot.filter(|slot| slot.gsm7.is_some() || slot.ucs2.is_some()))
}

/// `Ok(None)` where it names a credential that is left out.
fn json(given: &toml::Value, credentials: &Credentials) -> Result<Option<Json>, String> {
    Ok(match given {
        toml::Value::String(text) => {
            slot(&SlotWords::Always(text.clone()), credentials)?.map(Json::Text)
        }
        toml::Value::Array(items) => {
            let items = items.iter().map(|item| json(item, credentials));
            let items: Vec<Option<Json>> = items.collect::<Result<_, _>>()?;
            Some(Json::List(items.into_iter().flatten().collect()))
        }
        toml::Value::Table(members) => {
            let mut all = Vec::new();
            for (name, value) in members {
                let value = json(value, credentials)?;
                all.extend(value.map(|value| (name.clone(), value)));
            }
            Some(Json::Object(all))
        }
        other => Some(Json::Fixed(serde_json::to_value(other).map_err(|error| error.to_string())?)),
    })
}

fn id(report: &Reporter<'_>, given: &Spanned<IdWords>) -> Result<IdPlace, ConfigError> {
    let fault = |what: &str| report.at(given.span(), format!("`id` {what}"));
    match given.get_ref() {
        IdWords { json: Some(pointer), body: None, header: None } if pointer.starts_with('/') => {
            Ok(IdPlace::Json(pointer.clone()))
        }
        IdWords { json: None, body: Some(pattern), header: None } => {
            let pattern = Regex::new(pattern)
                .map_err(|error| fault(&format!("has {}", pattern_fault(&error))))?;
            match pattern.captures_len() {
                2 => Ok(IdPlace::Body(pattern)),
                _ => Err(fault("has a pattern with one group, such as '^OK ([0-9]+)'")),
            }
        }
        IdWords { json: None, body: None, header: Some(name) } => {
            let name = HeaderName::from_bytes(name.as_bytes());
            name.map(IdPlace::Header).map_err(|_| fault("names no header field"))
        }
        _ => Err(fault(
            "is { json = \"/data/id\" }, { body = '^OK (.+)' } or { header = \"X-Id\" }: where the \
             answer names the message",
        )),
    }
}
