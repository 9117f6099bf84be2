//! Bodies on their way to an upstream.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::stall::{BodyError, StallLimit};

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

/// What is kept of a body that goes through.
#[derive(Clone, Default)]
pub struct BodyCopy(Arc<Mutex<Copied>>);

#[derive(Default)]
struct Copied {
    bytes: BytesMut,
    is_whole: bool,
}

impl BodyCopy {
    /// The body, if it went through to its end.
    pub fn whole(&self) -> Option<Bytes> {
        let copied = self.copied();
        copied.is_whole.then(|| Bytes::copy_from_slice(&copied.bytes))
    }

    fn copied(&self) -> MutexGuard<'_, Copied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's body on its way through.
pub struct StreamedRequest {
    copy: Option<BodyCopy>,
    body: Incoming,
    left: usize,
    limit: BodyLimit,
    stall: StallLimit,
}

impl RequestBody {
    /// Of a request that has none.
    pub fn none() -> Self {
        Self::Whole(Full::default())
    }

    /// How much of it is sent before its answer may come, in bytes. One that is streamed may be
    /// answered in its middle, since nobody is charged for it.
    pub(super) fn bytes_before_answer(&self) -> u64 {
        match self {
            Self::Whole(body) => body.size_hint().lower(),
            Self::Streamed(_) => 0,
        }
    }

    /// `stall`: longest time in which nothing comes. What goes through goes into `copy` too.
    pub fn streamed(
        body: Incoming,
        limit: BodyLimit,
        copy: Option<BodyCopy>,
        stall: Duration,
    ) -> Self {
        Self::Streamed(Box::new(StreamedRequest {
            copy,
            body,
            left: limit.bytes,
            limit,
            stall: StallLimit::new(stall),
        }))
    }
}

impl StreamedRequest {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(frame) =
            ready!(self.stall.poll(cx, |cx| Pin::new(&mut self.body).poll_frame(cx)))?
        else {
            self.copied(&Bytes::new(), true);
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
        if let Some(data) = frame.data_ref() {
            self.copied(data, self.body.is_end_stream());
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn copied(&self, data: &Bytes, is_end: bool) {
        if let Some(copy) = &self.copy {
            let mut copied = copy.copied();
            copied.bytes.extend_from_slice(data);
            copied.is_whole |= is_end;
        }
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
