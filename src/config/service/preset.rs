//! Presets: how well-known backends are spoken to, each a data file. An operator's own has the same
//! form.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::mapping_words::{OF_FILE, OF_MAPPING, PresetWords};
use crate::config::error::{ConfigError, Reporter, most_similar};

/// Those that are built in, by their names.
const BUILT_IN: [(&str, &str); 9] = [
    ("android-sms-gateway", include_str!("../presets/android-sms-gateway.toml")),
    ("httpsms", include_str!("../presets/httpsms.toml")),
    ("jasmin", include_str!("../presets/jasmin.toml")),
    ("kannel", include_str!("../presets/kannel.toml")),
    ("playsms", include_str!("../presets/playsms.toml")),
    ("plivo", include_str!("../presets/plivo.toml")),
    ("textbee", include_str!("../presets/textbee.toml")),
    ("twilio", include_str!("../presets/twilio.toml")),
    ("vonage", include_str!("../presets/vonage.toml")),
];

/// A preset, with what names it and its lines to people.
#[derive(Default)]
pub(super) struct Preset {
    /// Its file, or its name.
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Whether it is one of ours.
    pub(super) is_built_in: bool,
    pub(super) words: PresetWords,
}

impl Preset {
    /// Makes errors that know their line in it.
    pub(super) fn report(&self) -> Reporter<'_> {
        Reporter { path: &self.path, text: &self.text }
    }
}

/// The preset that a config names: one that is built in, or a file.
pub(super) fn read(
    report: &Reporter<'_>,
    folder: &Path,
    given: &Spanned<String>,
) -> Result<Preset, ConfigError> {
    let name = given.get_ref();
    let fault = |what: String| report.at(given.span(), format!("`backend.preset`: {what}"));
    let built_in = BUILT_IN.iter().find(|(built_in, _)| built_in == name);
    let (path, text) = match built_in {
        Some((_, text)) => (PathBuf::from(format!("preset {name}")), (*text).to_owned()),
        None if is_path(name) => {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|error| fault(format!("{}: {error}", path.display())))?;
            (path, text)
        }
        None => {
            let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            let hint = most_similar(name, known.iter().copied());
            let hint = hint.map(|hint| format!("; did you mean \"{hint}\"?")).unwrap_or_default();
            let known = known.join(", ");
            return Err(fault(format!(
                "`{name}` is none of {known}, and no file: a file's name ends in `.toml`{hint}"
            )));
        }
    };
    let of_preset = Reporter { path: &path, text: &text };
    let words: PresetWords = toml::from_str(&text).map_err(|error| of_preset.toml(&error))?;
    if let Some(unknown) = words.unknown_keys.first() {
        let known: Vec<&str> = OF_FILE.iter().chain(&OF_MAPPING).copied().collect();
        return Err(of_preset.unknown_key("", unknown, &known, "no key of a preset"));
    }
    Ok(Preset { path, text, is_built_in: built_in.is_some(), words })
}

fn is_path(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_are_built_in_can_be_read() {
        for (name, text) in BUILT_IN {
            let words: PresetWords = toml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(!words.secrets.is_empty() && words.mapping.path.is_some(), "{name}");
        }
    }
}
