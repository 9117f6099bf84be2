//! Bodies on their way to and from an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Sleep, sleep};

use super::Upstream;

/// Any fault of a body under way.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What goes to an upstream.
pub enum RequestBody {
    /// A paid service's: whole, and checked before.
    Whole(Full<Bytes>),
    /// A free service's: streamed up to a limit.
    Streamed(Limited<Incoming>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.size_hint(),
        }
    }
}

/// What comes from an upstream. Once read to its end, the connection goes back to the pool; dropped before, it is closed.
pub struct ResponseBody {
    inner: Incoming,
    connection: Option<(SendRequest<RequestBody>, Arc<Upstream>)>,
    idle_limit: Duration,
    idle: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    pub(super) fn new(inner: Incoming, sender: SendRequest<RequestBody>, upstream: Arc<Upstream>) -> Self {
        let idle_limit = upstream.timeout;
        let mut body = Self { inner, connection: Some((sender, upstream)), idle_limit, idle: None };
        if body.inner.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some((sender, upstream)) = self.connection.take() {
            upstream.pool.put(sender);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.idle = None;
                if frame.is_none() || frame.as_ref().is_some_and(Result::is_ok) && this.inner.is_end_stream() {
                    this.give_back();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let limit = this.idle_limit;
                let idle = this.idle.get_or_insert_with(|| Box::pin(sleep(limit)));
                ready!(idle.as_mut().poll(cx));
                Poll::Ready(Some(Err("the upstream stopped in the middle of its answer".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
