//! What happens on a connection, by which it is seen when nothing does any more.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::sleep;

use super::stalled_streams::{StalledStream, StalledStreams};
use crate::answer::body::Body;
use crate::send_end::SendEnd;
use crate::upstream::stall::BodyError;

/// Longest pause of an upstream in the middle of its answer that keeps a connection.
const UPSTREAM_PAUSE_MAX: Duration = Duration::from_secs(180);

/// Longest time in which a client may take nothing of an answer while it goes on with others. It is
/// asked for as much at once as fits between, which takes a slow line a while.
const UNTAKEN_MAX: Duration = Duration::from_secs(120);

/// How often it is looked whether a connection is idle.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Requests that are being handled, and a count of everything that moves.
pub struct Activity {
    handled: AtomicU32,
    events: AtomicU64,
    /// Bodies that wait for more from an upstream, as far as they were asked.
    waiting: AtomicU32,
    /// Whether the client takes nothing just now.
    blocked: AtomicBool,
    /// Answers that hold a connection to an upstream.
    streams: StalledStreams,
    /// Whether the client has ended its side.
    pub send_end: SendEnd,
}

/// A request that is being handled, until this goes.
pub struct UnderWay(Arc<Activity>);

impl Activity {
    /// Of a connection of which one side can end before the other, or not.
    pub fn new(can_half_close: bool) -> Self {
        Self {
            handled: AtomicU32::default(),
            events: AtomicU64::default(),
            waiting: AtomicU32::default(),
            blocked: AtomicBool::default(),
            streams: StalledStreams::default(),
            send_end: SendEnd::new(can_half_close),
        }
    }

    /// A request came.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.handled.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Whether any request came so far.
    pub fn has_begun(&self) -> bool {
        self.events.load(Ordering::Relaxed) > 0
    }

    /// Whether the client takes nothing just now; the caller that says so has a limit for that.
    pub fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// Ends when for `limit` no request came and none was answered. Parts of a head don't count. It
    /// takes one timer for a connection, where hyper's own limit takes one for each request.
    pub async fn idle(&self, limit: Duration) {
        let (mut before, mut still) = (self.events.load(Ordering::Relaxed), Duration::ZERO);
        while still < limit {
            sleep(IDLE_CHECK_INTERVAL).await;
            let now = self.events.load(Ordering::Relaxed);
            let busy = self.handled.load(Ordering::Relaxed) > 0
                || self.waiting.load(Ordering::Relaxed) > 0
                || self.blocked.load(Ordering::Relaxed);
            still =
                if busy || now != before { Duration::ZERO } else { still + IDLE_CHECK_INTERVAL };
            before = now;
        }
    }

    /// Ends when nothing was handled and nothing moved for `period`. HTTP/2 has no such limit of
    /// its own, and a client that opens no window for an answer would keep its connection for ever.
    pub async fn quiet(&self, period: Duration) {
        let (mut before, mut still) = (self.events.load(Ordering::Relaxed), Duration::ZERO);
        loop {
            sleep(period).await;
            let now = self.events.load(Ordering::Relaxed);
            still = if now == before { still + period } else { Duration::ZERO };
            before = now;
            // A body that was asked and had nothing waits for its upstream, which has a limit of
            // its own; but one whose client opens no window isn't asked again, and looks the same.
            let waits = self.waiting.load(Ordering::Relaxed) > 0 && still < UPSTREAM_PAUSE_MAX;
            if !still.is_zero() && !waits && self.handled.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

impl Activity {
    /// Takes back answers of which a client takes nothing while it goes on with others, for as long
    /// as it is polled.
    pub async fn take_back(&self) {
        loop {
            sleep(UNTAKEN_MAX / 4).await;
            self.streams.take_back(UNTAKEN_MAX / 4, UNTAKEN_MAX, UPSTREAM_PAUSE_MAX);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.handled.fetch_sub(1, Ordering::Relaxed);
        self.0.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// A body that tells when the client takes something of it.
pub struct TrackedBody {
    body: Source,
    activity: Arc<Activity>,
    waits: bool,
}

enum Source {
    Own(Body),
    Watched(Arc<StalledStream>),
}

impl TrackedBody {
    /// Tells `activity`. Where a client can leave an answer alone and go on, as with HTTP/2, it
    /// `can_be_left`.
    pub fn new(body: Body, activity: Arc<Activity>, can_be_left: bool) -> Self {
        let body = if can_be_left && body.holds_upstream() {
            Source::Watched(activity.streams.watch(body))
        } else {
            Source::Own(body)
        };
        Self { body, activity, waits: false }
    }

    fn set_waits(&mut self, waits: bool) {
        match (self.waits, waits) {
            (false, true) => {
                self.activity.waiting.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                self.activity.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
        self.waits = waits;
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        self.set_waits(false);
        self.activity.send_end.let_go();
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.body {
            Source::Own(body) => Pin::new(body).poll_frame(cx),
            Source::Watched(stream) => stream.poll_frame(cx),
        };
        self.set_waits(frame.is_pending());
        if frame.is_ready() {
            self.activity.events.fetch_add(1, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Own(body) => body.is_end_stream(),
            Source::Watched(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Own(body) => body.size_hint(),
            Source::Watched(stream) => stream.size_hint(),
        }
    }
}
