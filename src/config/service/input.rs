//! What a request must look like: media type, binding, JSON Schema.

use std::fs;
use std::path::Path;

use hyper::Method;
use toml::Spanned;

use super::upstream::fixed_names;
use super::written::{BindWord, Input, Written};
use crate::config::error::{ConfigError, Reporter};
use crate::order::schema::Schema;
use crate::order::{Bind, Rules, Takes, keywords};

pub(super) fn rules(
    report: &Reporter<'_>,
    folder: &Path,
    written: &Written,
    method: &Method,
) -> Result<Rules, ConfigError> {
    let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let content_type = match &written.content_type {
        Some(given) => Some(media_type(report, given)?),
        None => has_body.then(|| "application/json".to_owned()),
    };
    let is_json = |media: &str| media == "application/json" || media.ends_with("+json");
    // What a mapped backend is told is known without a schema, too.
    let described = written.input.as_ref().map(Spanned::span);
    let described = described.or(written.backend.as_ref().map(Spanned::span));
    let takes = match (content_type, written.bind, described) {
        (Some(media), Some(BindWord::Exact), _) if is_json(&media) => {
            Takes::Json(media, Bind::Exact)
        }
        (Some(media), _, _) if is_json(&media) => Takes::Json(media, Bind::Json),
        (_, Some(BindWord::Json), _) => {
            return Err(
                report.at(written.name.span(), "`bind = \"json\"` needs a JSON `content_type`")
            );
        }
        (Some(_), _, Some(at)) => {
            let what = "`input` is a JSON Schema: it needs a JSON `content_type`";
            return Err(report.at(at, what));
        }
        (Some(media), _, None) => Takes::Bytes(media),
        (None, _, Some(_)) => Takes::Query,
        (None, _, None) => Takes::Nothing,
    };
    let needs_object = names_member(written);
    let Some(input) = &written.input else {
        let schema = of_message(written).map(Schema::compile).transpose();
        let schema = schema.map_err(|error| report.at(written.name.span(), error.to_string()))?;
        return Ok(Rules { takes, needs_object, schema });
    };
    let fault = |what: String| report.at(input.span(), format!("`input`: {what}"));
    let source = schema_source(folder, input.get_ref()).map_err(fault)?;
    let unknown = keywords::unknown(&source);
    if let Some((pointer, meant)) = unknown.iter().find_map(|one| Some((&one.pointer, one.meant?)))
    {
        let what = format!("{pointer} is no keyword of JSON Schema; is `{meant}` meant?");
        return Err(fault(what));
    }
    let schema = Schema::compile(source).map_err(|error| fault(error.to_string()))?;
    if takes == Takes::Query {
        for fixed in fixed_names(written) {
            if schema.declares(&fixed) {
                return Err(fault(format!(
                    "it declares `{fixed}`, which is fixed by `upstream` or `upstream_query`"
                )));
            }
        }
    }
    Ok(Rules { takes, needs_object, schema: Some(schema) })
}

/// What a request says where a mapped backend is told of a message, and nothing more.
fn of_message(written: &Written) -> Option<serde_json::Value> {
    let sms = written.backend.as_ref().and(written.sms.as_ref())?.get_ref();
    let (to, text) = (sms.to.get_ref(), sms.text.get_ref());
    Some(serde_json::json!({
        "type": "object",
        "required": [to, text],
        "additionalProperties": false,
        "properties": {
            to: { "type": "string", "format": "e164" },
            text: { "type": "string", "minLength": 1 },
        },
    }))
}

/// Whether our name for a request becomes a member of its body, which so has to be an object.
fn names_member(written: &Written) -> bool {
    let lookup = written.lookup.as_ref().and_then(|lookup| lookup.get_ref().key.as_ref());
    let keys = written.idempotency.iter().chain(lookup);
    keys.into_iter().any(|key| key.get_ref().member.is_some())
}

fn media_type(report: &Reporter<'_>, given: &Spanned<String>) -> Result<String, ConfigError> {
    let text = given.get_ref().to_ascii_lowercase();
    let good = text.split_once('/').is_some_and(|(kind, sub)| {
        [kind, sub].iter().all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        })
    });
    if good {
        Ok(text)
    } else {
        Err(report.at(
            given.span(),
            "`content_type` is a media type without parameters, such as \"application/json\"",
        ))
    }
}

fn schema_source(folder: &Path, input: &Input) -> Result<serde_json::Value, String> {
    match input {
        Input::Inline(table) => serde_json::to_value(table).map_err(|error| error.to_string()),
        Input::File(path) => {
            let path = folder.join(path);
            let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
        }
    }
}
