//! Sockets that listen.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::error::StartError;

/// Binds, or says which key of the config or option to change, as `what` names it.
pub async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| StartError::Listen { what, address, source })
}

/// Where a socket listens.
pub fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    let address = listener.local_addr();
    address.map_err(|source| StartError::System { what: "a socket has no address", source })
}
