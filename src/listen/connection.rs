//! One connection: HTTP/2 where ALPN agreed on it, else HTTP/1.1, with limits on every wait.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::patient::Patient;
use crate::gate::client::Peer;
use crate::gate::{Gate, handle};

/// Longest time for a request's head, and so also for a connection that is idle between two.
const HEAD_LIMIT: Duration = Duration::from_secs(20);

/// Longest time that a client may take to read something of its answer.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

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
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    let service = service_fn(move |request: Request<Incoming>| {
        let gate = Arc::clone(&gate);
        let under_way = UnderWay::begin(&counted);
        async move {
            let _under_way = under_way;
            Ok::<_, Infallible>(handle(gate, peer, request).await)
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
            until_stopped(connection, http1::Connection::graceful_shutdown, stop.cancelled()).await;
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
                    () = idle(&requests) => {}
                }
            };
            until_stopped(connection, http2::Connection::graceful_shutdown, ended).await;
        }
    }
}

async fn until_stopped<C: Future>(connection: C, shut_down: fn(Pin<&mut C>), stop: impl Future<Output = ()>) {
    let (mut connection, stop) = (pin!(connection), pin!(stop));
    tokio::select! {
        _ = &mut connection => return,
        () = stop => shut_down(connection.as_mut()),
    }
    let _ = connection.await;
}

/// Counts requests: the low half those under way, the high half those begun.
struct UnderWay(Arc<AtomicU64>);

const BEGUN: u64 = 1 << 32;

impl UnderWay {
    fn begin(requests: &Arc<AtomicU64>) -> Self {
        requests.fetch_add(BEGUN + 1, Ordering::Relaxed);
        Self(Arc::clone(requests))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends when nothing was asked for a while. HTTP/2 has no such limit of its own.
async fn idle(requests: &AtomicU64) {
    let mut before = u64::MAX;
    loop {
        sleep(HEAD_LIMIT).await;
        let now = requests.load(Ordering::Relaxed);
        if now == before && now.is_multiple_of(BEGUN) {
            return;
        }
        before = now;
    }
}
