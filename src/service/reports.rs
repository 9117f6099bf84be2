//! What a backend says later of the messages that it took, and what comes back from phones.

use std::time::Duration;

use serde_json::Value;

use crate::keys::{Keys, WhichRequest};
use crate::ledger::messages::{DeliveryState, ReportName};
use crate::payment_hash::PaymentHash;
use crate::sms::number::of_phone;

/// Our own path under which backends report on one message each, at an address that nobody else
/// knows.
pub const REPORT_PATH: &str = "/l402/report";

/// Our own path at which a service's backend reports on all messages, and hands on what phones
/// send.
pub const INBOUND_PATH: &str = "/l402/inbound";

/// How a backend's reports are read.
#[derive(Clone)]
pub struct ReportRules {
    /// What comes before [`REPORT_PATH`] in the addresses that the backend is told.
    pub base: String,
    /// How they name a message.
    pub by: ReportBy,
    /// Where they say how far it has come: the first place that says something.
    pub state: Vec<FieldPlace>,
    /// What they say there, and what it means; one that ends with `*` is a beginning, and counts
    /// after all that are whole.
    pub words: Vec<(String, DeliveryState)>,
    /// What the backend wants to be answered.
    pub answer: String,
    /// How long after its claim a message is reported on.
    pub kept_for: Duration,
}

/// How reports name a message.
#[derive(Clone)]
pub enum ReportBy {
    /// By the address that they come to.
    Address,
    /// By our reference, which stands there.
    Reference(FieldPlace),
    /// By our key, which stands there.
    Key(FieldPlace),
}

/// How messages from phones are read.
#[derive(Clone)]
pub struct InboundRules {
    /// What tells them from other news, if there are others.
    pub when: Option<(FieldPlace, String)>,
    /// Where they say who sent them.
    pub from: Vec<FieldPlace>,
    /// Where they have their text.
    pub text: Vec<FieldPlace>,
    /// Whether a number without a plus begins with its country code, too.
    pub has_bare_numbers: bool,
    /// What the backend wants to be answered.
    pub answer: String,
}

/// Where something stands in what a backend sends.
#[derive(Clone)]
pub enum FieldPlace {
    /// A parameter of the query.
    Query(String),
    /// A field of a form.
    Form(String),
    /// A place in JSON (RFC 6901).
    Json(String),
}

/// What a backend has sent.
pub struct News<'a> {
    query: &'a str,
    body: &'a [u8],
    json: Option<Value>,
}

impl<'a> News<'a> {
    /// Reads it.
    pub fn new(query: &'a str, body: &'a [u8]) -> Self {
        Self { query, body, json: serde_json::from_slice(body).ok() }
    }

    /// What stands at the first of these places that has something.
    pub fn find(&self, places: &[FieldPlace]) -> Option<String> {
        places.iter().find_map(|place| self.at(place))
    }

    fn at(&self, place: &FieldPlace) -> Option<String> {
        let pair = |text: &[u8], name: &str| {
            let found = form_urlencoded::parse(text).find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        match place {
            FieldPlace::Query(name) => pair(self.query.as_bytes(), name),
            FieldPlace::Form(name) => pair(self.body, name),
            FieldPlace::Json(pointer) => match self.json.as_ref()?.pointer(pointer)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            },
        }
    }
}

impl ReportRules {
    /// By which the ledger knows a message that is reported on.
    pub fn name_of(
        &self,
        keys: &Keys,
        ticket: &PaymentHash,
        request: WhichRequest,
    ) -> Option<ReportName> {
        match self.by {
            ReportBy::Address => ReportName::read(&keys.report_name(ticket, request)),
            ReportBy::Reference(_) => ReportName::read(&keys.reference(ticket)),
            ReportBy::Key(_) => ReportName::read(&keys.idempotency_key(ticket, request)),
        }
    }

    /// Where a backend reports on one message of a service.
    pub fn address(
        &self,
        service: &str,
        keys: &Keys,
        ticket: &PaymentHash,
        request: WhichRequest,
    ) -> String {
        let token = keys.report_token(&keys.report_name(ticket, request));
        format!("{}{REPORT_PATH}/{service}/{token}", self.base)
    }

    /// The message that news are about, where they name it.
    pub fn named_in(&self, news: &News<'_>) -> Option<ReportName> {
        match &self.by {
            ReportBy::Address => None,
            ReportBy::Reference(place) | ReportBy::Key(place) => {
                ReportName::read(&news.at(place)?.to_ascii_lowercase())
            }
        }
    }

    /// How far a message has come, by what is said of it.
    pub fn state_in(&self, news: &News<'_>) -> Option<DeliveryState> {
        let said = news.find(&self.state)?;
        let is_word = |(word, _): &&(String, DeliveryState)| word.eq_ignore_ascii_case(&said);
        let begins = |(word, _): &&(String, DeliveryState)| {
            word.strip_suffix('*').is_some_and(|beginning| said.starts_with(beginning))
        };
        let found = self.words.iter().find(is_word).or_else(|| self.words.iter().find(begins));
        found.map(|(_, state)| *state)
    }
}

impl InboundRules {
    /// Who sent a message from a phone, in E.164 form, if that can be told, and its text.
    pub fn message_in(&self, news: &News<'_>) -> Option<(Option<String>, String)> {
        if let Some((place, expected)) = &self.when
            && news.at(place).as_ref() != Some(expected)
        {
            return None;
        }
        let (from, text) = (news.find(&self.from)?, news.find(&self.text)?);
        Some((of_phone(&from, self.has_bare_numbers), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_wherever_they_say_something() {
        let places = [
            FieldPlace::Query("a".into()),
            FieldPlace::Form("b".into()),
            FieldPlace::Json("/c/d".into()),
        ];
        let find = |query, body: &str| News::new(query, body.as_bytes()).find(&places);
        assert_eq!(find("a=1+2", ""), Some("1 2".into()));
        assert_eq!(find("x=1", "y=2&b=3%20"), Some("3 ".into()));
        assert_eq!(find("", r#"{"c": {"d": 7}}"#), Some("7".into()));
        for nothing in ["", "{", "[]", r#"{"c": {"d": null}}"#, "\0"] {
            assert_eq!(find("", nothing), None, "{nothing}");
        }
    }

    #[test]
    fn senders_are_written_in_one_way() {
        let place = |name: &str| vec![FieldPlace::Form(name.into())];
        let (from, text) = (place("from"), place("text"));
        let when = Some((FieldPlace::Query("type".into()), "mo".to_owned()));
        let has_bare_numbers = false;
        let rules = InboundRules { when, from, text, has_bare_numbers, answer: String::new() };
        let read = |query, body: &str| rules.message_in(&News::new(query, body.as_bytes()));
        for (from, number) in [
            ("00447911123456", Some("+447911123456")),
            ("%2B44+7911-123456", Some("+447911123456")),
            ("+447911123456", None),
            ("07911123456", None),
        ] {
            let body = format!("from={from}&text=Stop");
            let expected = Some((number.map(str::to_owned), "Stop".to_owned()));
            assert_eq!(read("type=mo", &body), expected, "{from}");
            assert_eq!(read("type=dlr", &body), None);
        }
    }
}
