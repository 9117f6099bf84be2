//! What a preset or a mapping asks for, from `[service.backend]`.

use std::path::Path;

use toml::Spanned;
use zeroize::Zeroizing;

use super::mapping_words::{BackendWords, Given, OF_MAPPING, OF_SECTION};
use super::placeholders::Credentials;
use super::preset::Preset;
use crate::config::error::{ConfigError, Reporter};
use crate::config::secret::Value;
use crate::upstream::template::Variable;

/// What the preset asks for, from the section.
pub(super) fn credentials(
    report: &Reporter<'_>,
    folder: &Path,
    given: &Spanned<BackendWords>,
    preset: &Preset,
    has_preset: bool,
) -> Result<Credentials, ConfigError> {
    let (words, asked) = (given.get_ref(), &preset.words);
    refuse_the_message_s_own(preset)?;
    let mut credentials = Credentials::new();
    let mut given_ones: Vec<_> = words.credentials.iter().collect();
    given_ones.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in given_ones {
        let key = name.get_ref();
        let mut known = asked.credentials.iter().chain(&asked.secrets).chain(&asked.optional);
        let is_known =
            if has_preset { known.any(|known| known == key) } else { words.mapping.mentions(key) };
        if !is_known {
            return Err(no_credential(report, preset, has_preset, name));
        }
        let fault = |what: &str| report.at(name.span(), format!("`backend.{key}`: {what}"));
        let value = match value {
            Given::Other => {
                return Err(fault("expected a text, { file = \"...\" } or { env = \"NAME\" }"));
            }
            Given::Value(Value::Plain(_)) if asked.secrets.contains(key) => {
                return Err(fault("a secret is { file = \"...\" } or { env = \"NAME\" }"));
            }
            Given::Value(Value::Plain(text)) => Zeroizing::new(text.clone()),
            Given::Value(Value::Secret(source)) => {
                source.read(folder).map_err(|error| fault(&error.to_string()).by(&error))?
            }
        };
        credentials.insert(key.clone(), Some(value));
    }
    for name in asked.credentials.iter().chain(&asked.secrets) {
        if !credentials.contains_key(name) {
            let what = format!("[service.backend] needs `{name}`, which the preset asks for");
            return Err(report.at(given.span(), what));
        }
    }
    for name in &asked.optional {
        credentials.entry(name.clone()).or_insert(None);
    }
    Ok(credentials)
}

/// What stands for something of the message is no credential.
fn refuse_the_message_s_own(preset: &Preset) -> Result<(), ConfigError> {
    let asked = &preset.words;
    let names = asked.credentials.iter().chain(&asked.secrets).chain(&asked.optional);
    match names.into_iter().find(|name| is_of_message(name)) {
        Some(name) => {
            let what = format!("{{{name}}} is the message's own, and can't be a credential");
            Err(preset.report().whole(what))
        }
        None => Ok(()),
    }
}

fn is_of_message(name: &str) -> bool {
    Variable::ALL.iter().any(|(word, _)| *word == name)
}

/// A key that is none of a mapping's, and names nothing that is asked for.
fn no_credential(
    report: &Reporter<'_>,
    preset: &Preset,
    has_preset: bool,
    key: &Spanned<String>,
) -> ConfigError {
    let (name, asked) = (key.get_ref(), &preset.words);
    // But for what is likely to be a mistyped `reports`.
    if is_of_message(name) && name != "report" {
        let what = format!("`backend.{name}`: {{{name}}} is the message's own: leave this out");
        return report.at(key.span(), what);
    }
    if preset.words.mapping.mentions(name) {
        let file = preset.path.display();
        let what = format!(
            "`backend.{name}`: {{{name}}} stands in {file}, which has to list it in its \
             `credentials`, or in `secrets`"
        );
        return report.at(key.span(), what);
    }
    let asked = asked.credentials.iter().chain(&asked.secrets).chain(&asked.optional);
    let asked: Vec<&str> = asked.map(String::as_str).collect();
    let known: Vec<&str> = OF_SECTION.iter().chain(&OF_MAPPING).chain(&asked).copied().collect();
    let what = match has_preset {
        true => format!(
            "no key of [service.backend], and nothing that the preset asks for, which is {}",
            asked.join(", ")
        ),
        false => format!(
            "no key of [service.backend], and no credential, since {{{name}}} stands nowhere"
        ),
    };
    report.unknown_key("backend.", key, &known, &what)
}
