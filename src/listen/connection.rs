//! One connection: HTTP/2 where ALPN agreed on it, else HTTP/1.1, with limits on every wait.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::patient::Patient;
use crate::gate::answer::Body;
use crate::gate::client::Peer;
use crate::gate::{Gate, handle};
use crate::upstream::body::BodyError;

/// Longest time for a request's head, and so also for a connection that is idle between two.
const HEAD_LIMIT: Duration = Duration::from_secs(20);

/// Longest time that a client may take to read something of its answer.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// How long a connection that is to end may stand still before it is cut.
const LINGER: Duration = Duration::from_secs(5);

/// Longest pause of an upstream in the middle of its answer that keeps a connection.
const UPSTREAM_PAUSE: Duration = Duration::from_secs(180);

/// Longest head, in bytes; a macaroon with many caveats fits.
const MAX_HEAD: usize = 32 * 1024;

/// Most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// What ALPN agreed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Serves a connection until it ends, or until `stop` and then the end of what is under way.
pub async fn serve<S>(socket: S, protocol: Protocol, peer: Peer, gate: Arc<Gate>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(Patient::new(socket, WRITE_LIMIT));
    let activity = Arc::new(Activity::default());
    let watched = Arc::clone(&activity);
    let service = service_fn(move |request: Request<Incoming>| {
        let (gate, watched) = (Arc::clone(&gate), Arc::clone(&watched));
        let under_way = watched.begin();
        async move {
            let response = handle(gate, peer, request).await;
            drop(under_way);
            Ok::<_, Infallible>(response.map(|body| Watched { body, activity: watched, waits: false }))
        }
    });
    // What a client does to its own connection is no error of ours.
    match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .max_buf_size(MAX_HEAD)
                .serve_connection(io, service);
            // hyper's own time limit for the head ends idle connections too.
            until_stopped(connection, http1::Connection::graceful_shutdown, stop.cancelled(), &activity).await;
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(MAX_HEAD as u32)
                .keep_alive_interval(HEAD_LIMIT)
                .keep_alive_timeout(HEAD_LIMIT)
                .serve_connection(io, service);
            let ended = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = activity.quiet(WRITE_LIMIT) => {}
                }
            };
            until_stopped(connection, http2::Connection::graceful_shutdown, ended, &activity).await;
        }
    }
}

async fn until_stopped<C: Future>(connection: C, shut_down: fn(Pin<&mut C>), stop: impl Future<Output = ()>, activity: &Activity) {
    let (mut connection, stop) = (pin!(connection), pin!(stop));
    tokio::select! {
        _ = &mut connection => return,
        () = stop => shut_down(connection.as_mut()),
    }
    // A client may never read what is left for it, or never agree to the end.
    tokio::select! {
        _ = connection => {}
        () = activity.quiet(LINGER) => {}
    }
}

/// What happens on a connection: requests that are being handled, and a count of everything that moves.
#[derive(Default)]
struct Activity {
    handled: AtomicU32,
    events: AtomicU64,
    /// Bodies that wait for more from an upstream, as far as they were asked.
    waiting: AtomicU32,
}

struct UnderWay(Arc<Activity>);

impl Activity {
    fn begin(self: &Arc<Self>) -> UnderWay {
        self.handled.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Ends when nothing was handled and nothing moved for `period`. HTTP/2 has no such limit of its own, and a client that opens no
    /// window for an answer would keep its connection for ever.
    async fn quiet(&self, period: Duration) {
        let (mut before, mut still) = (self.events.load(Ordering::Relaxed), Duration::ZERO);
        loop {
            sleep(period).await;
            let now = self.events.load(Ordering::Relaxed);
            still = if now == before { still + period } else { Duration::ZERO };
            before = now;
            // A body that was asked and had nothing waits for its upstream, which has a limit of its own; but one whose client opens no
            // window isn't asked again, and looks the same.
            let waits = self.waiting.load(Ordering::Relaxed) > 0 && still < UPSTREAM_PAUSE;
            if !still.is_zero() && !waits && self.handled.load(Ordering::Relaxed) == 0 {
                return;
            }
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
struct Watched {
    body: Body,
    activity: Arc<Activity>,
    waits: bool,
}

impl Watched {
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

impl Drop for Watched {
    fn drop(&mut self) {
        self.set_waits(false);
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.set_waits(frame.is_pending());
        if frame.is_ready() {
            self.activity.events.fetch_add(1, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
