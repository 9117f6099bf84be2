//! Accepts connections, no more than the limit, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::acme::challenges::ACME_TLS;
use super::connection::{Protocol, serve};
use super::not_tls;
use super::places::{MakeRoom, Place, Places};
use crate::client::Client;
use crate::gate::current::CurrentGate;

/// Longest time for a TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long connections are still accepted at a stop that came before it, and how long it is waited
/// for one of them.
const LAST_ACCEPTED_MAX: Duration = Duration::from_millis(200);
const LAST_PAUSE_MAX: Duration = Duration::from_millis(10);

/// How often it is said at most that connections can't be accepted.
const SAY_INTERVAL: Duration = Duration::from_secs(10);

/// A listener and what it needs.
pub struct Accept {
    /// The bound socket.
    pub listener: TcpListener,
    /// Whether the socket stays open when this process ends, so that who has connected and wasn't
    /// accepted waits for the next.
    pub is_inherited: bool,
    /// `None` for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// Where requests go.
    pub gate: Arc<CurrentGate>,
    /// For how many connections there is room.
    pub places: Arc<Places>,
}

/// A connection that was accepted, and its place.
type Accepted = (TcpStream, Client, Place, MakeRoom);

impl Accept {
    /// Accepts until `stop`; the connections are tasks of `tracker`.
    pub async fn run(self, tracker: TaskTracker, stop: CancellationToken) {
        let acceptor = self.tls.clone().map(TlsAcceptor::from);
        let mut trouble = AcceptErrors::default();
        loop {
            let next = self.next(acceptor.is_some(), &mut trouble);
            let accepted = tokio::select! {
                accepted = next => accepted,
                () = stop.cancelled() => break,
            };
            let Some(accepted) = accepted else { continue };
            self.serve(accepted, acceptor.as_ref(), &tracker, &stop);
        }
        if self.is_inherited {
            return;
        }
        // Whoever has connected already would be cut off as the socket closes.
        let last = Instant::now() + LAST_ACCEPTED_MAX;
        loop {
            let next = self.next(acceptor.is_some(), &mut trouble);
            let in_time = timeout_at(last.min(Instant::now() + LAST_PAUSE_MAX), next).await;
            let Ok(accepted) = in_time else { break };
            if let Some(accepted) = accepted {
                self.serve(accepted, acceptor.as_ref(), &tracker, &stop);
            }
        }
    }

    fn serve(
        &self,
        accepted: Accepted,
        acceptor: Option<&TlsAcceptor>,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let (socket, peer, place, make_room) = accepted;
        let (acceptor, gate, stop) = (acceptor.cloned(), Arc::clone(&self.gate), stop.clone());
        tracker.spawn(async move {
            tokio::select! {
                // A connection that has sent a whole head isn't asked any more.
                Ok(()) = make_room => {}
                () = connect(socket, peer, place, acceptor, gate, stop) => {}
            }
        });
    }

    /// The next connection and its place. Beyond the limit it waits, and others in the kernel's
    /// queue.
    async fn next(&self, has_tls: bool, trouble: &mut AcceptErrors) -> Option<Accepted> {
        match self.listener.accept().await {
            Ok((socket, address)) => {
                let peer = Client::of(address.ip(), has_tls);
                match self.places.take(&peer).await {
                    Some((place, make_room)) => Some((socket, peer, place, make_room)),
                    None => {
                        let what = "this client has its share of connections \
                                    (`limits.connections_per_client`); is it a proxy that belongs \
                                    into `limits.trusted_proxies`?";
                        trouble.say(&format!("{}: {what}", peer.text()));
                        None
                    }
                }
            }
            Err(error) => {
                // Out of files, mostly: there is no use in trying at full speed.
                trouble.say(&error);
                self.places.close_oldest_silent();
                sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }
}

/// What was said of connections that could not be accepted: not of each, which would fill the log.
#[derive(Default)]
struct AcceptErrors {
    said: Option<Instant>,
    unsaid: u64,
}

impl AcceptErrors {
    fn say(&mut self, error: &dyn std::fmt::Display) {
        self.unsaid += 1;
        if self.said.is_none_or(|said| said.elapsed() >= SAY_INTERVAL) {
            let times = std::mem::take(&mut self.unsaid);
            self.said = Some(Instant::now());
            warn!(%error, times, "a connection could not be accepted");
        }
    }
}

async fn connect(
    socket: TcpStream,
    peer: Client,
    place: Place,
    acceptor: Option<TlsAcceptor>,
    gate: Arc<CurrentGate>,
    stop: CancellationToken,
) {
    let _ = socket.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        // Boxed, as is what follows: else each connection would have room for all that any could
        // need.
        return Box::pin(serve(socket, Protocol::Http1, peer, place, gate, stop)).await;
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
        // An authority has seen by now what it wanted to see.
        Some(ACME_TLS) => return,
        _ => Protocol::Http1,
    };
    Box::pin(serve(stream, protocol, peer, place, gate, stop)).await;
}
