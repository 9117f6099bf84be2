//! Values of a mapping, as they are written.

use serde::Deserialize;

/// A text, or one for each alphabet that a message is sent in.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, or { gsm7 = \"...\", ucs2 = \"...\" }")]
pub(super) enum SlotWords {
    Always(String),
    ByEncoding(ByEncoding),
}

impl SlotWords {
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::Always(text) => [Some(text), None],
            Self::ByEncoding(by) => [by.gsm7.as_ref(), by.ucs2.as_ref()],
        };
        all.into_iter().flatten().map(String::as_str)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByEncoding {
    pub(super) gsm7: Option<String>,
    pub(super) ucs2: Option<String>,
}
