//! A fresh connection to an upstream: TCP, TLS where the address says https, HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::request_body::RequestBody;

/// Longest that a connection may take, whatever the service's own limit is.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Most of an answer that is read ahead of the client, in bytes; also the longest head.
const BUFFER_MAX_BYTES: usize = 64 * 1024;

/// Where an upstream listens.
#[derive(Clone)]
pub struct Target {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What goes into the `Host` header.
    pub authority: HeaderValue,
    /// How its certificate is verified; `None` for plain http.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Nothing was sent: there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("no connection: {0}")]
    Tcp(std::io::Error),
    /// No TLS session; the certificate may be at fault.
    #[error("TLS failed: {0}")]
    Tls(std::io::Error),
    /// The host can't be named in TLS.
    #[error("TLS can't name this host")]
    Name,
    /// Not in time.
    #[error("no connection within {0:?}")]
    Slow(Duration),
    /// HTTP/1.1 could not begin.
    #[error("HTTP failed: {0}")]
    Http(hyper::Error),
}

impl Target {
    /// Connects within `limit`.
    pub async fn connect(&self, limit: Duration) -> Result<SendRequest<RequestBody>, ConnectError> {
        let limit = limit.min(CONNECT_MAX);
        timeout(limit, self.connect_unlimited()).await.unwrap_or(Err(ConnectError::Slow(limit)))
    }

    async fn connect_unlimited(&self) -> Result<SendRequest<RequestBody>, ConnectError> {
        let socket =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(ConnectError::Tcp)?;
        let _ = socket.set_nodelay(true);
        match &self.tls {
            None => begin(socket).await,
            Some(config) => {
                let name =
                    ServerName::try_from(self.host.clone()).map_err(|_| ConnectError::Name)?;
                let stream = TlsConnector::from(Arc::clone(config))
                    .connect(name, socket)
                    .await
                    .map_err(ConnectError::Tls)?;
                begin(stream).await
            }
        }
    }
}

async fn begin<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
) -> Result<SendRequest<RequestBody>, ConnectError> {
    let begun =
        http1::Builder::new().max_buf_size(BUFFER_MAX_BYTES).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = begun.map_err(ConnectError::Http)?;
    // Its end shows in the sender.
    tokio::spawn(connection);
    Ok(sender)
}
