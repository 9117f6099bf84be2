//! Sockets that listen: those that systemd has opened for us (`sd_listen_fds(3)`), or our own.

use std::net::{SocketAddr, TcpListener as StdListener};

use listenfd::ListenFd;
use tokio::net::TcpListener;
use tracing::warn;

use super::bind::{bind, local};
use super::error::StartError;

/// Sockets that were open when this process began. What connects to them while no process accepts
/// waits in the kernel's queue, so that a restart loses nobody.
pub(super) struct Inherited(Vec<StdListener>);

/// A socket that listens.
pub(super) struct Socket {
    pub(super) listener: TcpListener,
    /// Whether it stays open when this process ends.
    pub(super) is_inherited: bool,
}

impl Inherited {
    /// Those that systemd passed, if it passed any.
    pub(super) fn take() -> Self {
        let mut passed = ListenFd::from_env();
        let sockets = (0..passed.len()).filter_map(|index| match passed.take_tcp_listener(index) {
            Ok(socket) => socket,
            Err(error) => {
                warn!(%error, index, "a socket that was passed is not one that listens for TCP");
                None
            }
        });
        Self(sockets.collect())
    }

    /// The one of this address's port, else a new one. `what` names it as the config does.
    pub(super) async fn socket(
        &mut self,
        what: &'static str,
        address: SocketAddr,
    ) -> Result<Socket, StartError> {
        let is_its = |socket: &StdListener| {
            socket.local_addr().is_ok_and(|own| own.port() == address.port())
        };
        let Some(at) = self.0.iter().position(is_its) else {
            return Ok(Socket { listener: bind(what, address).await?, is_inherited: false });
        };
        let fault = |source| StartError::System { what: "a passed socket can't be used", source };
        let socket = self.0.swap_remove(at);
        if let Ok(own) = socket.local_addr()
            && own.ip() != address.ip()
        {
            warn!("{what}: systemd's socket listens on {own}, and the config says {address}");
        }
        socket.set_nonblocking(true).map_err(fault)?;
        let listener = TcpListener::from_std(socket).map_err(fault)?;
        Ok(Socket { listener, is_inherited: true })
    }

    /// Says which of them are nobody's: whoever connects there would wait for ever.
    pub(super) fn warn_of_others(self) {
        for socket in self.0 {
            let listener = socket.local_addr().map(|address| address.to_string());
            let address = listener.unwrap_or_default();
            warn!(
                address,
                "systemd passes a socket that no key of the config names by its port, such as \
                 `listen.address`: it is closed"
            );
        }
    }
}

impl Socket {
    /// Where it listens.
    pub(super) fn address(&self) -> Result<SocketAddr, StartError> {
        local(&self.listener)
    }
}
