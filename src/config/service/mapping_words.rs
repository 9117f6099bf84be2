//! `[service.backend]` and presets, as they are written.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::answer_words::{Alternatives, LookupWords};
use super::report_words::{InboundWords, ReportsWord, ReportsWords};
use super::slot_words::SlotWords;
use crate::config::secret::{SecretSource, Value};
use crate::config::units::ConfigDuration;

/// What is looked for in `[service.backend]`, and stands elsewhere.
const OF_SERVICE: [&str; 8] =
    ["upstream", "delivered", "not_sent", "refused", "unknown", "trouble", "lookup", "idempotency"];
const OF_PRESET: [&str; 5] = ["account", "credentials", "secrets", "optional", "inbound"];

/// All keys of a preset beside those of its mapping, and these.
pub(super) const OF_FILE: [&str; 14] = [
    "about",
    "upstream",
    "credentials",
    "secrets",
    "optional",
    "delivered",
    "not_sent",
    "refused",
    "unknown",
    "trouble",
    "lookup",
    "account",
    "reports",
    "inbound",
];
pub(super) const OF_MAPPING: [&str; 9] =
    ["method", "path", "query", "form", "json", "headers", "basic_auth", "id", "remembered"];

/// Those of `[service.backend]` beside a mapping's.
pub(super) const OF_SECTION: [&str; 4] = ["preset", "answer", "reports", "reports_for"];

/// How a message is said to a backend: the keys that a preset and `[service.backend]` have in
/// common.
#[derive(Default)]
pub(super) struct MappingWords {
    pub(super) method: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) query: BTreeMap<Spanned<String>, SlotWords>,
    pub(super) form: Option<BTreeMap<Spanned<String>, SlotWords>>,
    pub(super) json: Option<Spanned<toml::Table>>,
    pub(super) headers: BTreeMap<Spanned<String>, SlotWords>,
    pub(super) basic_auth: Option<Spanned<[String; 2]>>,
    pub(super) id: Option<Spanned<IdWords>>,
    pub(super) remembered: Option<Spanned<ConfigDuration>>,
}

/// `[service.backend]`.
pub(super) struct BackendWords {
    pub(super) preset: Option<Spanned<String>>,
    pub(super) answer: Option<AnswerWords>,
    pub(super) reports: Option<Spanned<ReportsWord>>,
    pub(super) reports_for: Option<Spanned<ConfigDuration>>,
    pub(super) mapping: MappingWords,
    /// All other keys: what the preset asks for.
    pub(super) credentials: BTreeMap<Spanned<String>, Given>,
}

/// What stands at a key that may name a credential.
pub(super) enum Given {
    Value(Value),
    /// What can't be one.
    Other,
}

/// A preset: a file of its own.
#[derive(Default)]
pub(super) struct PresetWords {
    pub(super) upstream: Option<Spanned<String>>,
    pub(super) credentials: Vec<String>,
    pub(super) secrets: Vec<String>,
    pub(super) optional: Vec<String>,
    pub(super) mapping: MappingWords,
    pub(super) delivered: Option<Alternatives>,
    pub(super) not_sent: Option<Alternatives>,
    pub(super) refused: Option<Alternatives>,
    pub(super) unknown: Option<Alternatives>,
    pub(super) trouble: Option<Alternatives>,
    pub(super) lookup: Option<Spanned<LookupWords>>,
    pub(super) account: Option<Spanned<AccountWords>>,
    pub(super) reports: Option<Spanned<ReportsWords>>,
    pub(super) inbound: Option<Spanned<InboundWords>>,
    pub(super) unknown_keys: Vec<Spanned<String>>,
}

/// Where a backend's answer names the message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, such as { json = \"/data/id\" }")]
pub(super) struct IdWords {
    pub(super) json: Option<String>,
    pub(super) body: Option<String>,
    pub(super) header: Option<String>,
}

/// What the payer gets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: { text = \"..\" }")]
pub(super) struct AnswerWords {
    pub(super) text: String,
}

/// What is asked to see whether the credentials are right.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountWords {
    pub(super) path: Spanned<String>,
    #[serde(default)]
    pub(super) query: BTreeMap<Spanned<String>, SlotWords>,
    pub(super) found: Option<Alternatives>,
}

impl MappingWords {
    /// Whether `{name}` stands somewhere in it.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let placed = format!("{{{name}}}");
        let has = |text: &str| text.contains(&placed);
        let fields = self.query.values().chain(self.headers.values());
        let mut fields = fields.chain(self.form.iter().flat_map(BTreeMap::values));
        let in_path = self.path.as_ref().is_some_and(|path| has(path.get_ref()));
        let in_auth = self.basic_auth.iter().flat_map(|pair| pair.get_ref()).any(|one| has(one));
        let in_json = self.json.as_ref().is_some_and(|json| has(&format!("{:?}", json.get_ref())));
        in_path || in_auth || in_json || fields.any(|field| field.texts().any(has))
    }

    /// Takes a key's value; `false` for a key that it hasn't.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "method" => self.method = Some(map.next_value()?),
            "path" => self.path = Some(map.next_value()?),
            "query" => self.query = map.next_value()?,
            "form" => self.form = Some(map.next_value()?),
            "json" => self.json = Some(map.next_value()?),
            "headers" => self.headers = map.next_value()?,
            "basic_auth" => self.basic_auth = Some(map.next_value()?),
            "id" => self.id = Some(map.next_value()?),
            "remembered" => self.remembered = Some(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl<'de> Deserialize<'de> for BackendWords {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Section;
        impl<'de> Visitor<'de> for Section {
            type Value = BackendWords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, such as { preset = \"kannel\", username = \"farebox\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BackendWords, A::Error> {
                let (mut preset, mut answer) = (None, None);
                let (mut reports, mut reports_for) = (None, None);
                let (mut mapping, mut credentials) = (MappingWords::default(), BTreeMap::new());
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    match key.get_ref().as_str() {
                        "preset" => preset = Some(map.next_value()?),
                        "answer" => answer = Some(map.next_value()?),
                        "reports" => reports = Some(map.next_value()?),
                        "reports_for" => reports_for = Some(map.next_value()?),
                        name if mapping.take(name, &mut map)? => {}
                        name if OF_SERVICE.contains(&name) => {
                            let what =
                                format!("`{name}` belongs to the service, above [service.backend]");
                            return Err(serde::de::Error::custom(what));
                        }
                        name if OF_PRESET.contains(&name) => {
                            let what = format!("`{name}` belongs into a preset's own file");
                            return Err(serde::de::Error::custom(what));
                        }
                        _ => drop(credentials.insert(key, map.next_value()?)),
                    }
                }
                Ok(BackendWords { preset, answer, reports, reports_for, mapping, credentials })
            }
        }
        reader.deserialize_map(Section)
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, { file = \"...\" } or { env = \"NAME\" }")
            }

            fn visit_str<E>(self, text: &str) -> Result<Given, E> {
                Ok(Given::Value(Value::Plain(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Given, A::Error> {
                let source = SecretSource::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Given::Value(Value::Secret(source)))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Given, E> {
                Ok(Given::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Given, E> {
                Ok(Given::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Given, E> {
                Ok(Given::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Given, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Given::Other)
            }
        }
        reader.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for PresetWords {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct File;
        impl<'de> Visitor<'de> for File {
            type Value = PresetWords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the keys of a preset")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PresetWords, A::Error> {
                let mut preset = PresetWords::default();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    match key.get_ref().as_str() {
                        "about" => drop(map.next_value::<IgnoredAny>()?),
                        "upstream" => preset.upstream = Some(map.next_value()?),
                        "credentials" => preset.credentials = map.next_value()?,
                        "secrets" => preset.secrets = map.next_value()?,
                        "optional" => preset.optional = map.next_value()?,
                        "delivered" => preset.delivered = Some(map.next_value()?),
                        "not_sent" => preset.not_sent = Some(map.next_value()?),
                        "refused" => preset.refused = Some(map.next_value()?),
                        "unknown" => preset.unknown = Some(map.next_value()?),
                        "trouble" => preset.trouble = Some(map.next_value()?),
                        "lookup" => preset.lookup = Some(map.next_value()?),
                        "account" => preset.account = Some(map.next_value()?),
                        "reports" => preset.reports = Some(map.next_value()?),
                        "inbound" => preset.inbound = Some(map.next_value()?),
                        name if preset.mapping.take(name, &mut map)? => {}
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            preset.unknown_keys.push(key);
                        }
                    }
                }
                Ok(preset)
            }
        }
        reader.deserialize_map(File)
    }
}
