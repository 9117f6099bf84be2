//! `[reports]` and `[inbound]` of a preset, and what `[service.backend]` says of them, as they are
//! written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::slot_words::SlotWords;
use crate::service::reports::FieldPlace;

/// `reports` of `[service.backend]`: whether they are wanted, or where they come in.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected true, false, or an address such as \"http://10.0.0.1:9402\""
)]
pub(super) enum ReportsWord {
    Wanted(bool),
    At(String),
}

/// `[reports]` of a preset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportsWords {
    #[serde(default)]
    pub(super) query: BTreeMap<Spanned<String>, SlotWords>,
    pub(super) form: Option<BTreeMap<Spanned<String>, SlotWords>>,
    pub(super) json: Option<Spanned<toml::Table>>,
    pub(super) reference: Option<PlaceWords>,
    pub(super) key: Option<PlaceWords>,
    pub(super) state: Places,
    #[serde(default)]
    pub(super) sent: Vec<String>,
    #[serde(default)]
    pub(super) delivered: Vec<String>,
    #[serde(default)]
    pub(super) failed: Vec<String>,
    #[serde(default)]
    pub(super) answer: String,
}

/// `[inbound]` of a preset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboundWords {
    pub(super) when: Option<PlaceWords>,
    pub(super) is: Option<String>,
    pub(super) from: Places,
    pub(super) text: Places,
    #[serde(default)]
    pub(super) bare: bool,
    #[serde(default)]
    pub(super) answer: String,
}

/// One place, or several of which the first counts that has something.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a place such as { form = \"From\" }, { query = \"from\" } or \
                 { json = \"/data/from\" }, or a list of such"
)]
pub(super) enum Places {
    One(PlaceWords),
    More(Vec<PlaceWords>),
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "lowercase")]
pub(super) enum PlaceWords {
    Query(String),
    Form(String),
    Json(Pointer),
}

/// A place in JSON (RFC 6901).
#[derive(Deserialize, Clone)]
#[serde(try_from = "String")]
pub(super) struct Pointer(String);

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.starts_with('/') {
            true => Ok(Self(text)),
            false => Err(format!("`{text}` is no JSON pointer, such as \"/data/from\"")),
        }
    }
}

impl PlaceWords {
    pub(super) fn place(&self) -> FieldPlace {
        match self {
            Self::Query(name) => FieldPlace::Query(name.clone()),
            Self::Form(name) => FieldPlace::Form(name.clone()),
            Self::Json(pointer) => FieldPlace::Json(pointer.0.clone()),
        }
    }
}

impl Places {
    pub(super) fn places(&self) -> Vec<FieldPlace> {
        match self {
            Self::One(one) => vec![one.place()],
            Self::More(all) => all.iter().map(PlaceWords::place).collect(),
        }
    }
}
