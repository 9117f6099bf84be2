//! One connection: HTTP/2 where ALPN agreed on it, else HTTP/1.1, with limits on every wait.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, TrackedBody};
use super::places::Place;
use super::write_timeout::WriteTimeout;
use crate::client::Client;
use crate::gate::current::CurrentGate;
use crate::gate::handle;
use crate::upstream::stall::BodyError;

/// Longest time for a request's head, and so also for a connection that is idle between two.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);

/// Longest time that a client may take to read something of its answer.
const WRITE_STALL_MAX: Duration = Duration::from_secs(30);

/// How long a connection that has nothing under way is kept at a stop.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// How long a connection that is to end may stand still before it is cut.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// Longest head, in bytes; a macaroon with many caveats fits.
pub(super) const HEAD_MAX_BYTES: usize = 32 * 1024;

/// Most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

/// How much of a body, and of each answer, waits in memory for whoever is to take it, in bytes.
const WINDOW_BYTES: u32 = 64 * 1024;

/// What ALPN agreed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What the requests of one connection share.
struct Handling {
    gate: Arc<CurrentGate>,
    peer: Client,
    activity: Arc<Activity>,
    place: Place,
    /// Whether a whole head came.
    was_heard: AtomicBool,
    /// Cancelled once the process is to stop.
    stop: CancellationToken,
}

impl Handling {
    /// A whole head came.
    fn heard(&self) {
        if !self.was_heard.load(Ordering::Relaxed) {
            self.was_heard.store(true, Ordering::Relaxed);
            self.place.heard();
        }
    }
}

/// Serves a connection until it ends, or until `stop` and then the end of what is under way.
pub async fn serve<S>(
    socket: S,
    protocol: Protocol,
    peer: Client,
    place: Place,
    gate: Arc<CurrentGate>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let activity = Arc::new(Activity::new(protocol == Protocol::Http1));
    let io = TokioIo::new(WriteTimeout::new(socket, WRITE_STALL_MAX, Arc::clone(&activity)));
    // Counted by this connection alone: all connections on all processors would pass the gate's own
    // count from one to the other.
    let was_heard = AtomicBool::new(false);
    let (of_requests, until) = (Arc::clone(&activity), stop.clone());
    let shared = Handling { gate, peer, activity: of_requests, place, was_heard, stop: until };
    let shared = Arc::new(shared);
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        shared.heard();
        shared.activity.send_end.begin();
        let under_way = shared.activity.begin();
        async move {
            let send_end = &shared.activity.send_end;
            let gate = shared.gate.load();
            let mut response = handle(&gate, &shared.peer, send_end, request).await;
            drop(under_way);
            // HTTP/2 has a frame of its own for it.
            if shared.stop.is_cancelled() && protocol == Protocol::Http1 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| {
                TrackedBody::new(body, Arc::clone(&shared.activity), protocol == Protocol::Http2)
            }))
        }
    });
    match protocol {
        Protocol::Http1 => serve_http1(io, service, &stop, &activity).await,
        Protocol::Http2 => Box::pin(serve_http2(io, service, &stop, &activity)).await,
    }
}

/// What a client does to its own connection is no error of ours.
async fn serve_http1<I, S>(io: I, service: S, stop: &CancellationToken, activity: &Activity)
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = TrackedBody>,
    S::Error: Into<BodyError>,
{
    let connection =
        http1::Builder::new().max_buf_size(HEAD_MAX_BYTES).serve_connection(io, service);
    let shut_down = http1::Connection::graceful_shutdown;
    let ended =
        until_stopped(connection, shut_down, farewell(stop, Protocol::Http1, activity), activity);
    // Instead of hyper's own limit, which takes a timer for each request.
    tokio::select! {
        () = ended => {}
        () = activity.idle(HEAD_TIME_MAX) => {}
    }
}

async fn serve_http2<I, S>(io: I, service: S, stop: &CancellationToken, activity: &Activity)
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = TrackedBody>,
    S::Future: Send + 'static,
    S::Error: Into<BodyError>,
{
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .max_send_buf_size(WINDOW_BYTES as usize)
        .max_header_list_size(HEAD_MAX_BYTES as u32)
        .keep_alive_interval(HEAD_TIME_MAX)
        .keep_alive_timeout(HEAD_TIME_MAX)
        .serve_connection(io, service);
    let ended = async {
        tokio::select! {
            () = farewell(stop, Protocol::Http2, activity) => {}
            () = activity.quiet(WRITE_STALL_MAX) => {}
            () = activity.take_back() => {}
        }
    };
    until_stopped(connection, http2::Connection::graceful_shutdown, ended, activity).await;
}

/// A moment after a stop, for a request that is on its way: cut off, its client couldn't know
/// whether it was served. Over HTTP/1 its answer ends the connection; over HTTP/2 the client is
/// told at once which of its requests still count, unless it has only just connected.
async fn farewell(stop: &CancellationToken, protocol: Protocol, activity: &Activity) {
    stop.cancelled().await;
    let until = Instant::now() + FAREWELL_TIME;
    while Instant::now() < until && !(protocol == Protocol::Http2 && activity.has_begun()) {
        sleep(FAREWELL_TIME / 20).await;
    }
}

async fn until_stopped<C: Future>(
    connection: C,
    shut_down: fn(Pin<&mut C>),
    stop: impl Future<Output = ()>,
    activity: &Activity,
) {
    let (mut connection, stop) = (pin!(connection), pin!(stop));
    tokio::select! {
        _ = &mut connection => return,
        () = stop => shut_down(connection.as_mut()),
    }
    // A client may never read what is left for it, or never agree to the end.
    tokio::select! {
        _ = connection => {}
        () = activity.quiet(LINGER_MAX) => {}
    }
}
