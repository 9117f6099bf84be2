//! Accepts connections, no more than the limit, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::connection::{Protocol, serve};
use super::not_tls;
use crate::client::Client;
use crate::gate::Gate;

/// Longest time for a TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// A listener and what it needs.
pub struct Accept {
    /// The bound socket.
    pub listener: TcpListener,
    /// `None` for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// Where requests go.
    pub gate: Arc<Gate>,
    /// Most connections at once.
    pub connections: usize,
}

impl Accept {
    /// Accepts until `stop`; the connections are tasks of `tracker`.
    pub async fn run(self, tracker: TaskTracker, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.connections));
        let acceptor = self.tls.map(TlsAcceptor::from);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                // A place first: beyond the limit connections wait in the kernel's queue.
                accepted = next(&self.listener, &places) => accepted,
            };
            let Some((socket, peer, place)) = accepted else { continue };
            let (acceptor, gate, stop) = (acceptor.clone(), Arc::clone(&self.gate), stop.clone());
            tracker.spawn(async move {
                let _place = place;
                connect(socket, peer, acceptor, gate, stop).await;
            });
        }
    }
}

async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, peer)) => Some((socket, peer, place)),
        Err(error) => {
            // Out of file descriptors, mostly: there is no use in trying at full speed.
            warn!(%error, "a connection could not be accepted");
            sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connect(
    socket: TcpStream,
    address: std::net::SocketAddr,
    acceptor: Option<TlsAcceptor>,
    gate: Arc<Gate>,
    stop: CancellationToken,
) {
    let _ = socket.set_nodelay(true);
    let peer = Client::of(address.ip(), acceptor.is_some());
    let Some(acceptor) = acceptor else {
        // Boxed, as is what follows: else each connection would have room for all that any could
        // need.
        return Box::pin(serve(socket, Protocol::Http1, peer, gate, stop)).await;
    };
    let handshake = async {
        if not_tls::begins_as_http(&socket).await {
            not_tls::answer(socket).await;
            return None;
        }
        acceptor.accept(socket).await.ok()
    };
    let Ok(Some(stream)) = Box::pin(timeout(HANDSHAKE_TIME_MAX, handshake)).await else { return };
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Box::pin(serve(stream, protocol, peer, gate, stop)).await;
}
