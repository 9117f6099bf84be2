//! An error as a value (RFC 9457, "Problem Details for HTTP APIs"): made where something is wrong,
//! said as a response at one place, at the end of the request.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use super::body::Body;
use super::{Answer, json};
use crate::code::{Code, Retry};

/// What ends a request early. The code says the status and what to do with the ticket, unless it is
/// said otherwise; nothing is charged, unless that is said.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    code: Code,
    detail: String,
    charged: Charged,
    retry: Retry,
    retry_after: Option<Duration>,
    header: Option<(HeaderName, HeaderValue)>,
    more: Map<String, Value>,
}

impl Problem {
    /// `detail` says in words what is wrong and what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status: code.status(),
            code,
            detail: detail.into(),
            charged: Charged::No,
            retry: code.retry(),
            retry_after: None,
            header: None,
            more: Map::new(),
        }))
    }

    /// Another status than the code's.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Other advice on the ticket than the code's.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// When to try again, at the earliest.
    pub fn after(mut self, pause: Duration) -> Self {
        self.0.retry_after = Some(pause);
        self
    }

    /// The ticket is spent by this.
    pub fn charged(mut self) -> Self {
        self.0.charged = Charged::Yes;
        self
    }

    /// Nobody knows yet whether the ticket is spent by this.
    pub fn maybe_charged(mut self) -> Self {
        self.0.charged = Charged::NobodyKnows;
        self
    }

    /// One more header field.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// One more member of the body.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(name.to_owned(), value.into());
        self
    }

    /// With what the upstream answered: its status, and its words, cleaned.
    pub fn upstream_said(self, status: u16, words: Option<&str>) -> Self {
        let problem = self.with("upstreamStatus", status);
        match words {
            Some(words) => problem.with("upstreamSays", words),
            None => problem,
        }
    }

    /// The status that it is said with.
    pub fn status_code(&self) -> StatusCode {
        self.0.status
    }

    /// What is wrong.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The same in words.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What to do with the ticket.
    pub fn retry_advice(&self) -> Retry {
        self.0.retry
    }

    /// Whether it may be gone later.
    pub fn may_be_tried_again(&self) -> bool {
        self.0.retry_after.is_some()
    }

    /// As programs read it: `application/problem+json`.
    pub fn into_answer(self) -> Answer {
        let Parts { status, code, detail, charged, retry, more, .. } = &*self.0;
        let members =
            Members { status: *status, code: *code, detail, charged: *charged, retry: *retry };
        let body = WithMembers { members, more };
        let response = json(*status, "application/problem+json", &body);
        self.into_answer_with(response)
    }

    /// As whoever has written `response` says it: with its own header fields.
    pub fn into_answer_with(self, mut response: Response<Body>) -> Answer {
        let Parts { code, retry_after, header, .. } = *self.0;
        if let Some(pause) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds(pause));
        }
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        Answer { response, code }
    }
}

/// Whether a ticket is spent: the `charged` of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charged {
    /// It isn't: `false`.
    No,
    /// It is: `true`.
    Yes,
    /// It may be, and nobody can say yet: `null`.
    NobodyKnows,
}

impl Serialize for Charged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::Yes => serializer.serialize_bool(true),
            Self::NobodyKnows => serializer.serialize_none(),
        }
    }
}

/// The members that problems and the 402 have in common.
pub struct Members<'a> {
    /// The response's.
    pub status: StatusCode,
    /// What is wrong.
    pub code: Code,
    /// The same in words.
    pub detail: &'a str,
    /// Whether the ticket is spent by this.
    pub charged: Charged,
    /// What to do with the ticket.
    pub retry: Retry,
}

/// The common members, and more of one's own.
#[derive(Serialize)]
pub struct WithMembers<'a, M> {
    /// In common.
    #[serde(flatten)]
    pub members: Members<'a>,
    /// One's own.
    #[serde(flatten)]
    pub more: M,
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        let kind = format_args!("urn:farebox:problem:{}", self.code.word());
        members.serialize_entry("type", &kind)?;
        members.serialize_entry("title", self.status.canonical_reason().unwrap_or("Error"))?;
        members.serialize_entry("status", &self.status.as_u16())?;
        members.serialize_entry("code", self.code.word())?;
        members.serialize_entry("detail", self.detail)?;
        members.serialize_entry("charged", &self.charged)?;
        members.serialize_entry("retry", self.retry.word())?;
        members.end()
    }
}

/// Whole seconds, at least one.
fn seconds(pause: Duration) -> HeaderValue {
    let whole = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
    HeaderValue::from(whole.max(1))
}
