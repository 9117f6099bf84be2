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

    /// An error about a key of a table (`backend.`, nothing at the top) that isn't one of those
    /// that are known, with the most similar of them.
    pub(super) fn unknown_key(
        &self,
        table: &str,
        key: &Spanned<String>,
        known: &[&str],
        what: &str,
    ) -> ConfigError {
        let name = key.get_ref();
        let hint = most_similar(name, known.iter().copied());
        let hint = hint.map(|hint| format!("; did you mean `{hint}`?")).unwrap_or_default();
        self.at(key.span(), format!("`{table}{name}`: {what}{hint}"))
    }

    /// The TOML reader's error, with the key whose value it is about, or with a suggestion for a
    /// mistyped one. Its own display would print the line, and so perhaps a secret.
    pub(super) fn toml(&self, error: &toml::de::Error) -> ConfigError {
        let what = without_value(error.message().trim()).replace('\n', ", ");
        let what = match (home(&what), suggestion(&what)) {
            (Some(elsewhere), _) => elsewhere,
            (None, Some(suggestion)) => suggesting(&what, &suggestion),
            (None, None) => in_plain_words(what),
        };
        let Some(span) = error.span() else { return self.whole(what) };
        let Some(key) = key_at(self.text, &span) else { return self.at(span, what) };
        if let Some(missing) = what.strip_prefix("missing field `") {
            let missing = missing.trim_end_matches('`');
            return self.at(span, missing_key(&key, missing));
        }
        if key == "service" && what.contains("a table") {
            return self.at(span, "write `[[service]]`, in double brackets: there may be several");
        }
        match what.contains("unknown field")
            || what.contains("belongs to")
            || what.contains("duplicate")
        {
            true => self.at(span, what),
            false => self.at(span, format!("`{key}`: {what}")),
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

/// What a table lacks, and what that may be where there are a few.
fn missing_key(table: &str, key: &str) -> String {
    let words = match (table, key) {
        ("service", "ticket") => {
            ": \"single-use\" (a payment for each request), \"pass\" (for several) or \"free\""
        }
        ("service", "name") => ", such as `name = \"send-sms\"`",
        ("service", "method") => ", such as `method = \"POST\"`",
        ("service", "path") => ", such as `path = \"/send-sms\"`",
        ("sms", "to") => ": the member of `input` that has the number",
        ("sms", "text") => ": the member of `input` that has the text",
        ("price", "table") => ": the CSV file with the prices, such as \"prices.csv\"",
        _ => "",
    };
    let table = if table == "service" { "this [[service]]" } else { &format!("`{table}`") };
    format!("{table} lacks `{key}`{words}")
}

/// Without the names of Rust's types.
fn in_plain_words(what: String) -> String {
    let types = ["u8", "u16", "u32", "u64", "usize", "i32", "i64"];
    let what = what
        .replace("invalid type: sequence", "invalid type: a list")
        .replace("invalid type: map", "invalid type: a table")
        .replace("invalid type: boolean ", "invalid type: ");
    match what.rsplit_once("expected ") {
        Some((before, kind)) if types.contains(&kind) => {
            format!("{before}expected a whole number")
        }
        Some((before, "a string")) => format!("{before}expected a text in quotes"),
        Some((before, "a boolean")) => format!("{before}expected true or false"),
        Some((before, "a sequence")) => format!("{before}expected a list, such as [ .. ]"),
        Some((before, kind)) if kind == "a map" || kind.starts_with("struct ") => {
            format!("{before}expected a table, such as {{ key = .. }}")
        }
        _ => what,
    }
}

/// Why a regular expression is none, in a line.
pub(super) fn pattern_fault(error: &regex::Error) -> String {
    let said = error.to_string();
    let last = said.lines().last().unwrap_or_default();
    format!("not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
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

/// Of a key in the wrong table: where it belongs.
fn home(message: &str) -> Option<String> {
    let (_, unknown) = message.split_once("unknown field `")?;
    let (key, _) = unknown.split_once('`')?;
    let table = match key {
        "strict" | "per_number" | "per_day" | "deny" | "max_segments" | "suffix" | "encoding"
        | "refuse" | "refused_for" => "[service.sms]",
        "preset" | "reports" | "reports_for" => "[service.backend]",
        "table" | "per" | "maximum_sat" | "minimum_sat" => "[service.price]",
        "refused" | "delivered" | "not_sent" | "trouble" | "upstream" => "[[service]] itself",
        _ => return None,
    };
    Some(format!("`{key}` belongs to {table}, and not here"))
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
    most_similar(unknown, words)
}

/// What may have been meant, if it is similar enough.
pub(super) fn most_similar<'k>(
    unknown: &str,
    known: impl Iterator<Item = &'k str>,
) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}
