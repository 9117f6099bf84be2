//! A `[[service]]` as it is written: a mirror of the TOML, in which unknown keys are refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::answer_words::{Alternatives, Idempotency, LookupWords};
use super::mapping_words::BackendWords;
use crate::config::file_path::FilePath;
use crate::config::secret::Value;
use crate::config::units::ConfigDuration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    pub(super) name: Spanned<String>,
    pub(super) title: Option<String>,
    pub(super) about: Option<String>,
    pub(super) example: Option<Spanned<toml::Value>>,
    #[serde(default)]
    pub(super) hidden: bool,
    pub(super) probe: Option<Spanned<bool>>,
    pub(super) shadow: Option<Spanned<bool>>,
    pub(super) trusted_html: Option<Spanned<bool>>,
    pub(super) memo: Option<Spanned<String>>,
    pub(super) method: Spanned<String>,
    pub(super) path: Spanned<String>,
    pub(super) host: Option<Spanned<String>>,
    pub(super) ticket: TicketWord,
    pub(super) price_sat: Option<Spanned<u64>>,
    pub(super) price_msat: Option<Spanned<u64>>,
    pub(super) price: Option<Spanned<PriceWords>>,
    pub(super) pass_time: Option<Spanned<ConfigDuration>>,
    pub(super) pass_uses: Option<Spanned<u32>>,
    pub(super) upstream: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) upstream_headers: BTreeMap<Spanned<String>, Value>,
    #[serde(default)]
    pub(super) upstream_query: BTreeMap<Spanned<String>, Value>,
    pub(super) upstream_ca: Option<FilePath>,
    pub(super) timeout: Option<ConfigDuration>,
    #[serde(default)]
    pub(super) reuse: ReuseWord,
    pub(super) forward_headers: Option<Vec<Spanned<String>>>,
    pub(super) content_type: Option<Spanned<String>>,
    pub(super) bind: Option<BindWord>,
    pub(super) input: Option<Spanned<Input>>,
    pub(super) delivered: Option<Alternatives>,
    pub(super) not_sent: Option<Alternatives>,
    pub(super) refused: Option<Alternatives>,
    pub(super) unknown: Option<Alternatives>,
    pub(super) trouble: Option<Alternatives>,
    pub(super) idempotency: Option<Spanned<Idempotency>>,
    pub(super) lookup: Option<Spanned<LookupWords>>,
    pub(super) without_preimage: Option<Spanned<bool>>,
    pub(super) sms: Option<Spanned<Sms>>,
    pub(super) backend: Option<Spanned<BackendWords>>,
    #[serde(default)]
    pub(super) formerly: Vec<Spanned<String>>,
    pub(super) reference: Option<Spanned<Reference>>,
}

impl Written {
    /// Its name for people.
    pub(super) fn title(&self) -> &str {
        self.title.as_ref().unwrap_or(self.name.get_ref())
    }
}

/// `{ header = ".." }`, or `false`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Reference {
    In(ReferenceHeader),
    Off(bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceHeader {
    pub(super) header: String,
}

/// Prices by the first digits of the number.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table, such as { table = \"prices.csv\" }; one price for all is `price_sat`"
)]
pub(super) struct PriceWords {
    pub(super) table: Spanned<FilePath>,
    pub(super) currency: Option<Spanned<String>>,
    pub(super) per: Option<PerWord>,
    pub(super) minimum_sat: Option<Spanned<u64>>,
    pub(super) maximum_sat: Option<Spanned<u64>>,
}

/// What a listed price is for.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum PerWord {
    Message,
    Segment,
}

/// What is demanded of text messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: { to = \"..\", text = \"..\" }")]
pub(super) struct Sms {
    pub(super) to: Spanned<String>,
    pub(super) text: Spanned<String>,
    #[serde(default)]
    pub(super) suffix: String,
    pub(super) max_segments: Option<Spanned<usize>>,
    pub(super) encoding: Option<SmsEncoding>,
    #[serde(default)]
    pub(super) strict: bool,
    pub(super) deny: Option<Spanned<FilePath>>,
    #[serde(default)]
    pub(super) refuse: Vec<Spanned<String>>,
    pub(super) per_number: Option<Spanned<String>>,
    pub(super) per_day: Option<Spanned<PerDayWords>>,
    pub(super) refused_for: Option<Spanned<ConfigDuration>>,
}

/// Most messages in a day: of all, or of each kind.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number such as 10000, or { all = 10000, \"+44\" = 500 }")]
pub(super) enum PerDayWords {
    All(u64),
    Each(BTreeMap<String, u64>),
}

/// The one that texts have to have.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum SmsEncoding {
    Gsm7,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TicketWord {
    SingleUse,
    Pass,
    Free,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ReuseWord {
    #[default]
    Recent,
    Never,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BindWord {
    Json,
    Exact,
}

/// A JSON Schema, here or in a file.
pub(super) enum Input {
    File(FilePath),
    Inline(toml::Table),
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Input;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON Schema as a table, or the name of a file that holds one")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Input, E> {
                FilePath::try_from(path.to_owned()).map(Input::File).map_err(E::custom)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Input, A::Error> {
                toml::Table::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(Input::Inline)
            }
        }
        reader.deserialize_any(Either)
    }
}
