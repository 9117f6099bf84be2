//! Bodies on their way from an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::pool::{Pool, PooledConnection};
use super::stall::{BodyError, StallLimit};

/// What comes from an upstream. Once read to its end, the connection goes back to the pool; dropped
/// before, it is closed.
pub struct ResponseBody {
    inner: Incoming,
    connection: Option<(PooledConnection, Arc<Pool>)>,
    stall: StallLimit,
}

impl ResponseBody {
    /// Gives `connection` to `pool` in the end. `stall`: longest time in which nothing comes.
    pub(super) fn new(
        inner: Incoming,
        connection: PooledConnection,
        pool: Arc<Pool>,
        stall: Duration,
    ) -> Self {
        let stall = StallLimit::new(stall);
        let mut body = Self { inner, connection: Some((connection, pool)), stall };
        if body.inner.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some((connection, pool)) = self.connection.take() {
            pool.put(connection);
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
            match ready!(this.stall.poll(cx, |cx| Pin::new(&mut this.inner).poll_frame(cx))) {
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
