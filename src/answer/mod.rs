//! Every response that Farebox authors, and the body type of all responses.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use crate::code::Code;
use crate::ledger::stored_answer::Kept;
use crate::upstream::body::{BodyError, ResponseBody};

/// What a client is answered with.
pub enum Body {
    /// Ours, or an upstream's that was read whole.
    Whole(Full<Bytes>),
    /// An upstream's as it comes.
    Streamed(Box<ResponseBody>),
    /// Server-sent events as they happen.
    Events(tokio::sync::mpsc::Receiver<Bytes>),
    /// An upstream's of which the first part was read before.
    Continued(Option<Bytes>, Box<ResponseBody>),
}

impl Body {
    /// Whether a connection to an upstream is held for as long as it lives.
    pub fn holds_upstream(&self) -> bool {
        matches!(self, Self::Streamed(_) | Self::Continued(..))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Streamed(body) => Pin::new(body.as_mut()).poll_frame(cx),
            Self::Events(events) => {
                events.poll_recv(cx).map(|event| event.map(|text| Ok(Frame::data(text))))
            }
            Self::Continued(first, rest) => match first.take() {
                Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
                None => Pin::new(rest.as_mut()).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.is_end_stream(),
            Self::Events(_) => false,
            Self::Continued(first, rest) => first.is_none() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.size_hint(),
            // Longer than what is kept; the client is told by the framing when it ends.
            Self::Continued(..) | Self::Events(_) => SizeHint::default(),
        }
    }
}

/// A response and what it stands for.
pub struct Answer {
    /// What is sent.
    pub response: Response<Body>,
    /// What it means.
    pub code: Code,
}

/// What the client should do with its ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The same request with the same ticket, later.
    SameTicket,
    /// The same request with a new payment, or for the first time.
    NewTicket,
    /// Nothing: this request will not do.
    Never,
}

impl Retry {
    /// The word in the body.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SameTicket => "same-ticket",
            Self::NewTicket => "new-ticket",
            Self::Never => "never",
        }
    }
}

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: Code,
    detail: String,
    charged: bool,
    retry: Retry,
    retry_after: Option<Duration>,
    header: Option<(HeaderName, HeaderValue)>,
    more: Map<String, Value>,
}

impl Problem {
    /// Nothing was charged, and the request will not do as it is.
    pub fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            charged: false,
            retry: Retry::Never,
            retry_after: None,
            header: None,
            more: Map::new(),
        }
    }

    /// What to do with the ticket.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// When, at the earliest.
    pub fn after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// The ticket is spent by this.
    pub fn charged(mut self) -> Self {
        self.charged = true;
        self
    }

    /// One more header field.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// One more member of the body.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// As it is sent.
    pub fn into_answer(self) -> Answer {
        let members = Members {
            status: self.status,
            code: self.code,
            detail: &self.detail,
            charged: self.charged,
            retry: self.retry,
        };
        let mut response = json(
            self.status,
            "application/problem+json",
            &WithMembers { members, more: &self.more },
        );
        if let Some(pause) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds(pause));
        }
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        Answer { response, code: self.code }
    }
}

/// The members that errors and the 402 have in common.
pub struct Members<'a> {
    /// The response's.
    pub status: StatusCode,
    /// What is wrong.
    pub code: Code,
    /// The same in words.
    pub detail: &'a str,
    /// Whether the ticket is spent by this.
    pub charged: bool,
    /// What to do with the ticket.
    pub retry: Retry,
}

/// These, and more of one's own.
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
        members
            .serialize_entry("type", &format_args!("urn:farebox:problem:{}", self.code.word()))?;
        members.serialize_entry("title", self.status.canonical_reason().unwrap_or("Error"))?;
        members.serialize_entry("status", &self.status.as_u16())?;
        members.serialize_entry("code", self.code.word())?;
        members.serialize_entry("detail", self.detail)?;
        members.serialize_entry("charged", &self.charged)?;
        members.serialize_entry("retry", self.retry.word())?;
        members.end()
    }
}

/// A JSON body that no cache may keep.
pub fn json(
    status: StatusCode,
    content_type: &'static str,
    body: &impl Serialize,
) -> Response<Body> {
    let mut text = Vec::with_capacity(1024);
    // What is written here are texts and numbers: nothing that could fail.
    if serde_json::to_writer(&mut text, body).is_err() {
        text.clear();
    }
    text.push(b'\n');
    let mut response = Response::new(Body::Whole(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Full::default()));
    *response.status_mut() = status;
    response
}

/// The header field that marks an answer from the store (IETF draft "Idempotency-Key HTTP header",
/// as Stripe names it).
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A delivered answer: the upstream's own, from its first delivery or from the store.
pub fn delivered(kept: &Kept, replayed: bool, streamed: Option<(Bytes, ResponseBody)>) -> Answer {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let body = match (&kept.body, streamed) {
        (Some(body), _) => Body::Whole(Full::new(body.clone())),
        (None, Some((first, rest))) => Body::Continued(Some(first), Box::new(rest)),
        (None, None) => return not_kept(status, replayed),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in &kept.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Answer { response, code: if replayed { Code::Replayed } else { Code::Delivered } }
}

fn not_kept(status: StatusCode, replayed: bool) -> Answer {
    let status = if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
        StatusCode::OK
    } else {
        status
    };
    let code = Code::DeliveredAnswerNotKept;
    let detail = "Your request was delivered; the service's answer was too long to keep or was \
                  cut short. Nothing is sent again.";
    let mut problem = Problem::new(status, code, detail).charged();
    if replayed {
        problem = problem.with_header(REPLAYED, HeaderValue::from_static("true"));
    }
    problem.into_answer()
}

/// Whole seconds, at least one.
fn seconds(pause: Duration) -> HeaderValue {
    let whole = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
    HeaderValue::from(whole.max(1))
}
