//! Bodies that stand still.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use tokio::time::{Sleep, sleep};

/// Any fault of a body under way.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A limit on how long a body may stand still.
pub(super) struct StallLimit {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl StallLimit {
    /// Longest time in which nothing comes.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    /// A frame that comes in time.
    pub(super) fn poll<E: Into<BodyError>>(
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
