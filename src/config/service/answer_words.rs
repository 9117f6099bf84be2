//! What is written of a backend's answers: conditions, keys against repeats, look-ups.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use crate::config::units::ConfigDuration;

/// Conditions on an upstream's answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PredicateWords {
    #[serde(default)]
    pub(super) status: Vec<Spanned<StatusWord>>,
    #[serde(default)]
    pub(super) header: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub(super) json: BTreeMap<Spanned<String>, toml::Value>,
    pub(super) body: Option<Spanned<String>>,
}

/// Conditions, or a list of such of which one has to hold.
pub(super) struct Alternatives(Vec<Spanned<PredicateWords>>);

impl Alternatives {
    /// All of them.
    pub(super) fn all(&self) -> &[Spanned<PredicateWords>] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Alternatives {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let given: Spanned<OneOrMore> = Deserialize::deserialize(reader)?;
        let span = given.span();
        Ok(Self(match given.into_inner() {
            OneOrMore::One(one) => vec![Spanned::new(span, one)],
            OneOrMore::More(all) => all,
        }))
    }
}

enum OneOrMore {
    One(PredicateWords),
    More(Vec<Spanned<PredicateWords>>),
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("conditions such as { status = [200] }, or a list of such")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<OneOrMore, A::Error> {
                let one = serde::de::value::MapAccessDeserializer::new(map);
                PredicateWords::deserialize(one).map(OneOrMore::One)
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                list: A,
            ) -> Result<OneOrMore, A::Error> {
                let all = serde::de::value::SeqAccessDeserializer::new(list);
                Deserialize::deserialize(all).map(OneOrMore::More)
            }
        }
        reader.deserialize_any(Either)
    }
}

/// `200` or `"2xx"`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum StatusWord {
    Exact(u16),
    Class(String),
}

/// How to ask the upstream what became of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupWords {
    pub(super) path: Spanned<String>,
    pub(super) key: Option<Spanned<Idempotency>>,
    pub(super) found: Option<Spanned<PredicateWords>>,
    pub(super) not_found: Option<Spanned<PredicateWords>>,
    pub(super) final_after: Option<ConfigDuration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Idempotency {
    pub(super) header: Option<String>,
    pub(super) member: Option<String>,
    pub(super) remembered: Option<Spanned<ConfigDuration>>,
}
