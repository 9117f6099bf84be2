//! Bodies on their way to and from an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::Upstream;
use super::pool::Connection;

/// Any fault of a body under way.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What goes to an upstream.
pub enum RequestBody {
    /// A paid service's: whole, and checked before.
    Whole(Full<Bytes>),
    /// A free service's: streamed up to a limit.
    Streamed(Box<StreamedRequest>),
}

/// The limit of a streamed body, and whether it was passed.
#[derive(Clone)]
pub struct BodyLimit {
    bytes: usize,
    passed: Arc<AtomicBool>,
}

impl BodyLimit {
    /// In bytes.
    pub fn new(bytes: usize) -> Self {
        Self { bytes, passed: Arc::default() }
    }

    /// Whether the body turned out to be longer.
    pub fn was_passed(&self) -> bool {
        self.passed.load(Ordering::Relaxed)
    }
}

/// A client's body on its way through.
pub struct StreamedRequest {
    body: Incoming,
    left: usize,
    limit: BodyLimit,
    idle: Idle,
}

impl RequestBody {
    /// Of a request that has none.
    pub fn none() -> Self {
        Self::Whole(Full::default())
    }

    /// `idle`: longest time in which nothing comes.
    pub fn streamed(body: Incoming, limit: BodyLimit, idle: Duration) -> Self {
        Self::Streamed(Box::new(StreamedRequest {
            body,
            left: limit.bytes,
            limit,
            idle: Idle::new(idle),
        }))
    }
}

impl StreamedRequest {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(frame) =
            ready!(self.idle.watch(cx, |cx| Pin::new(&mut self.body).poll_frame(cx)))?
        else {
            return Poll::Ready(None);
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => {
                self.limit.passed.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err("the body is longer than it may be".into())));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Streamed(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.body.size_hint(),
        }
    }
}

/// A limit on how long a body may stand still.
struct Idle {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    fn watch<E: Into<BodyError>>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>>,
    ) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        if let Poll::Ready(frame) = poll(cx) {
            self.sleep = None;
            return Poll::Ready(frame.transpose().map_err(Into::into));
        }
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err("it stopped in the middle".into()))
    }
}

/// What comes from an upstream. Once read to its end, the connection goes back to the pool; dropped
/// before, it is closed.
pub struct ResponseBody {
    inner: Incoming,
    connection: Option<(Connection, Arc<Upstream>)>,
    idle: Idle,
}

impl ResponseBody {
    pub(super) fn new(inner: Incoming, connection: Connection, upstream: Arc<Upstream>) -> Self {
        let idle = Idle::new(upstream.timeout);
        let mut body = Self { inner, connection: Some((connection, upstream)), idle };
        if body.inner.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some((connection, upstream)) = self.connection.take() {
            upstream.pool.put(connection);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = loop {
            match ready!(this.idle.watch(cx, |cx| Pin::new(&mut this.inner).poll_frame(cx))) {
                // Trailers: nobody asked for them, and they would pass by all that looks at the
                // header.
                Ok(Some(frame)) if !frame.is_data() => {}
                frame => break frame,
            }
        };
        if matches!(&frame, Ok(None)) || frame.is_ok() && this.inner.is_end_stream() {
            this.give_back();
        }
        Poll::Ready(frame.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
