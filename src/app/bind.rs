//! Sockets that listen.

use std::net::SocketAddr;

/// Binds, or says which key of the config or option to change.
pub async fn bind(what: &str, address: SocketAddr) -> Result<tokio::net::TcpListener, String> {
    tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| format!("{what} can't listen on {address}: {error}"))
}
