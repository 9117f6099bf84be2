//! The body type of all responses.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::CONTENT_LENGTH;

use crate::shares::{ClientShare, Share};
use crate::upstream::response_body::ResponseBody;
use crate::upstream::stall::BodyError;

/// What a client is answered with.
pub enum Body {
    /// Ours, or an upstream's that was read whole.
    Whole(Full<Bytes>),
    /// An upstream's as it comes.
    Streamed(Box<Streamed>),
    /// Server-sent events as they happen.
    Events(tokio::sync::mpsc::Receiver<Bytes>),
    /// An upstream's of which the first part was read before.
    Continued(Option<Bytes>, Box<Streamed>),
}

/// An upstream's body, and the part of its connections that it takes of its asker's.
pub struct Streamed {
    body: ResponseBody,
    share: Option<Held>,
}

/// A share that is held.
pub enum Held {
    /// A client's.
    OfClient(ClientShare),
    /// A pass's.
    OfTicket(Share),
}

impl Body {
    /// An upstream's as it comes.
    pub fn streamed(body: ResponseBody) -> Self {
        Self::Streamed(Box::new(Streamed { body, share: None }))
    }

    /// An upstream's of which the first part was read before.
    pub fn continued(first: Bytes, rest: ResponseBody) -> Self {
        Self::Continued(Some(first), Box::new(Streamed { body: rest, share: None }))
    }

    /// Has it hold a share for as long as it holds a connection to an upstream.
    pub fn hold(&mut self, share: Held) {
        if let Self::Streamed(streamed) | Self::Continued(_, streamed) = self {
            streamed.share = Some(share);
        }
    }

    /// Takes our own body out of an answer to HEAD (RFC 9110 section 9.3.2), and leaves its length:
    /// hyper does so over HTTP/1 alone.
    pub fn leave_out(response: &mut Response<Self>) {
        let Self::Whole(body) = response.body_mut() else { return };
        let length = std::mem::take(body).size_hint().exact();
        // An empty one may be that of a HEAD already, whose length nobody knows.
        if let Some(length) = length.filter(|length| *length > 0) {
            response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
        }
    }

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
            Self::Streamed(streamed) => Pin::new(&mut streamed.body).poll_frame(cx),
            Self::Events(events) => {
                events.poll_recv(cx).map(|event| event.map(|text| Ok(Frame::data(text))))
            }
            Self::Continued(first, rest) => match first.take() {
                Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
                None => Pin::new(&mut rest.body).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
            Self::Events(_) => false,
            Self::Continued(first, rest) => first.is_none() && rest.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(streamed) => streamed.body.size_hint(),
            // Longer than what is kept; the client is told by the framing when it ends.
            Self::Continued(..) | Self::Events(_) => SizeHint::default(),
        }
    }
}
