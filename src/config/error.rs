//! A fault of the config, in words for who wrote it: file, line, what is wrong, what to do.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret::SecretError;

/// Why a config can't be used.
#[derive(Debug)]
pub struct ConfigError {
    path: PathBuf,
    line: Option<usize>,
    what: String,
    may_pass: bool,
}

impl ConfigError {
    /// The file, and the line in it if the fault is at one.
    pub fn place(&self) -> (&Path, Option<usize>) {
        (&self.path, self.line)
    }

    /// Whether the same may work later, without a change of the config.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// The same fault, by a secret: its file may lie where something has yet to be mounted.
    pub(super) fn by(self, error: &SecretError) -> Self {
        let may_pass = matches!(error, SecretError::File { source, .. }
            if source.kind() == std::io::ErrorKind::NotFound);
        Self { may_pass, ..self }
    }

    /// What is wrong, and what to do.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Reads a config's text.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::NotFound {
            "; name it by `--config FILE`, or put it into the working folder or /etc/farebox"
        } else {
            ""
        };
        Reporter { path, text: "" }.whole(format!("can't read the config: {error}{hint}"))
    })
}

/// Makes errors that know their line.
pub(super) struct Reporter<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Reporter<'_> {
    /// An error at a place in the file.
    pub(super) fn at(&self, span: Range<usize>, what: impl Into<String>) -> ConfigError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        ConfigError {
            path: self.path.to_owned(),
            line: Some(line),
            what: what.into(),
            may_pass: false,
        }
    }

    /// An error about a key: at its place in the file, where it stands there. Of the parts of its
    /// path one that is a number counts the tables of a list, from 0.
    pub(super) fn at_key(&self, path: &[&str], what: impl Into<String>) -> ConfigError {
        match span_of(self.text, path) {
            Some(span) => self.at(span, what),
            None => self.whole(what),
        }
    }

    /// An error about the file as a whole.
    pub(super) fn whole(&self, what: impl Into<String>) -> ConfigError {
        ConfigError { path: self.path.to_owned(), line: None, what: what.into(), may_pass: false }
    }

    /// The TOML reader's error, with the key whose value it is about, or with a suggestion for a
    /// mistyped one. Its own display would print the line, and so perhaps a secret.
    pub(super) fn toml(&self, error: &toml::de::Error) -> ConfigError {
        let what = without_value(error.message().trim()).replace('\n', ", ");
        let what = match suggestion(&what) {
            Some(suggestion) => suggesting(&what, &suggestion),
            None => in_plain_words(what),
        };
        match error.span() {
            Some(span) => {
                let names_its_key = ["unknown field", "missing field", "duplicate"];
                let key = key_at(self.text, &span);
                let key = key.filter(|_| !names_its_key.iter().any(|word| what.contains(word)));
                self.at(span, key.map_or(what.clone(), |key| format!("`{key}`: {what}")))
            }
            None => self.whole(what),
        }
    }
}

fn span_of(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let table = DeTable::parse(text).ok()?;
    let mut found = table.get_ref().get(*first)?;
    for part in rest {
        found = match found.get_ref() {
            DeValue::Table(table) => table.get(*part)?,
            DeValue::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(found.span())
}

/// The key of the value that a place lies in, as we write it: `lnd.network`, `sms.per_number`.
fn key_at(text: &str, place: &Range<usize>) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let path = innermost(table.get_ref(), place)?.1.join(".");
    Some(path.strip_prefix("service.").unwrap_or(&path).to_owned())
}

/// The length of the shortest value around a place, and the keys that lead to it.
fn innermost(table: &DeTable<'_>, place: &Range<usize>) -> Option<(usize, Vec<String>)> {
    fn below(value: &Spanned<DeValue<'_>>, place: &Range<usize>) -> Option<(usize, Vec<String>)> {
        let span = value.span();
        let own = (span.start <= place.start && place.end <= span.end).then_some(span.len());
        let deeper = match value.get_ref() {
            DeValue::Table(table) => innermost(table, place),
            DeValue::Array(list) => list.iter().find_map(|value| below(value, place)),
            _ => None,
        };
        deeper.or(own.map(|length| (length, Vec::new())))
    }
    let found = table.iter().filter_map(|(key, value)| {
        let (length, mut path) = below(value, place)?;
        path.insert(0, key.get_ref().to_string());
        Some((length, path))
    });
    found.min_by_key(|(length, _)| *length)
}

/// Without the names of Rust's types.
fn in_plain_words(what: String) -> String {
    let types = ["u8", "u16", "u32", "u64", "usize", "i32", "i64"];
    match what.rsplit_once("expected ") {
        Some((before, kind)) if types.contains(&kind) => {
            format!("{before}expected a whole number")
        }
        Some((before, "a string")) => format!("{before}expected a text in quotes"),
        Some((before, "a boolean")) => format!("{before}expected true or false"),
        _ => what,
    }
}

/// serde repeats a text or a number that stands where something else belongs. It may be a secret.
fn without_value(message: &str) -> Cow<'_, str> {
    let repeated = [
        (": string \"", "\", expected ", "a text"),
        (": integer `", "`, expected ", "a number"),
        (": floating point `", "`, expected ", "a number"),
    ];
    for (begin, end, stands_for) in repeated {
        let parts = message.split_once(begin).zip(message.rsplit_once(end));
        if let Some(((kind, _), (_, expected))) = parts
            && kind.starts_with("invalid ")
        {
            return format!("{kind}: {stands_for}, expected {expected}").into();
        }
    }
    message.into()
}

/// The suggestion stands before the list of all that is known, which may be long.
fn suggesting(what: &str, suggestion: &str) -> String {
    match what.split_once(", expected ") {
        Some((unknown, known)) => {
            format!("{unknown}; did you mean `{suggestion}`? Expected {known}")
        }
        None => format!("{what}; did you mean `{suggestion}`?"),
    }
}

/// From "unknown field `a`, expected one of `b`, `c`" to the most similar of the known ones.
fn suggestion(message: &str) -> Option<String> {
    if !message.contains("unknown field") && !message.contains("unknown variant") {
        return None;
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    words
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}
