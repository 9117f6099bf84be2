//! A fresh connection to the server.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PostgresError;

/// Longest time for a connection, and for what is asked at its beginning.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection, and the task that drives it.
pub(super) async fn connect(
    config: &Config,
    tls: &Arc<ClientConfig>,
) -> Result<(Client, tokio::task::JoinHandle<()>), PostgresError> {
    let connecting = config.connect(MakeRustlsConnect::new((**tls).clone()));
    let (client, connection) = match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected?,
        Err(_) => return Err(PostgresError::silent(CONNECT_TIMEOUT)),
    };
    let driver = tokio::spawn(async move {
        // Its end shows in the ping.
        let _ = connection.await;
    });
    Ok((client, driver))
}
