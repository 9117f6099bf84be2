//! A service whose messages are said to a backend in its own form, and whose payers are answered in
//! ours.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use regex::bytes::Regex;
use serde_json::{Value, json};

use super::reports::{InboundRules, ReportRules};
use crate::ledger::stored_answer::StoredAnswer;
use crate::upstream::outcome_rules::Predicate;
use crate::upstream::template::Template;

/// Longest name of a message that is passed on, in characters.
const ID_MAX_CHARS: usize = 100;

/// How messages are said, and what is answered.
pub struct Mapping {
    /// How a message is said.
    pub template: Template,
    /// Where the backend's answer names the message, if it does.
    pub id: Option<IdPlace>,
    /// What the payer of a delivered message gets.
    pub answer: MappedAnswer,
    /// What it says later of messages, where that is wanted.
    pub reports: Option<ReportRules>,
    /// How it hands on what phones send, if it does.
    pub inbound: Option<InboundRules>,
    /// What shows that the credentials are right, and sends nothing.
    pub account: Option<AccountCheck>,
}

/// Where a backend's answer has its name for a message.
pub enum IdPlace {
    /// A place in its JSON (RFC 6901).
    Json(String),
    /// What the first group of a pattern finds in its body.
    Body(Regex),
    /// A header field.
    Header(HeaderName),
}

/// What a payer gets.
pub enum MappedAnswer {
    /// JSON with status, id and segments.
    Json,
    /// A text.
    Text(String),
}

/// A question that sends nothing.
pub struct AccountCheck {
    /// Path with its query at the backend, and the operator's own parameters.
    pub path: String,
    /// What it answers if the credentials are right: one of these; without one, a 2xx.
    pub found: Vec<Predicate>,
}

impl Mapping {
    /// The answer for the payer of a message that was taken, from the backend's own.
    pub fn answer(
        &self,
        headers: &HeaderMap,
        body: Option<&[u8]>,
        segments: Option<u32>,
    ) -> StoredAnswer {
        let (media, body) = match &self.answer {
            MappedAnswer::Text(text) => ("text/plain; charset=utf-8", text.clone()),
            MappedAnswer::Json => {
                let mut said = json!({ "status": "accepted" });
                if let Some(members) = said.as_object_mut() {
                    let id = self.id.as_ref().and_then(|place| place.find(headers, body));
                    members.extend(id.map(|id| ("id".to_owned(), Value::from(id))));
                    let segments = segments.map(Value::from);
                    members.extend(segments.map(|count| ("segments".to_owned(), count)));
                }
                ("application/json", said.to_string())
            }
        };
        let headers = vec![("content-type".to_owned(), media.to_owned())];
        StoredAnswer { status: 200, headers, body: Some(Bytes::from(body)) }
    }
}

impl IdPlace {
    fn find(&self, headers: &HeaderMap, body: Option<&[u8]>) -> Option<String> {
        let text = match self {
            Self::Json(pointer) => {
                let body: Value = serde_json::from_slice(body?).ok()?;
                match body.pointer(pointer)? {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return None,
                }
            }
            Self::Body(pattern) => {
                let found = pattern.captures(body?)?.get(1)?;
                String::from_utf8(found.as_bytes().to_vec()).ok()?
            }
            Self::Header(name) => headers.get(name)?.to_str().ok()?.to_owned(),
        };
        let is_id = !text.is_empty() && !text.chars().any(char::is_control);
        is_id.then(|| text.chars().take(ID_MAX_CHARS).collect())
    }
}
