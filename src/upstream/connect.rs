//! A fresh connection to an upstream: TCP, TLS where the address says https, HTTP/1.1.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::Uri;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

use super::request_body::RequestBody;
use super::socket::{Socket, SocketWatch};
use super::wire::{Traffic, Wire};

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
    /// The same, as the connector reads it.
    pub address: Uri,
    /// What goes into the `Host` header.
    pub authority: HeaderValue,
    /// Whether it has ever said something that nobody asked for.
    pub says_unasked: Arc<AtomicBool>,
    /// How its certificate is verified; `None` for plain http.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Nothing was sent: there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("no connection: {0}")]
    Tcp(String),
    /// This machine or process has no file or port left for one: it says nothing of the upstream.
    #[error("this process can't open another connection: {0}")]
    Own(std::io::Error),
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

/// A connection with HTTP/1.1 on it.
pub(super) struct Connected {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) socket: SocketWatch,
    pub(super) exchange: Traffic,
}

impl ConnectError {
    /// Whether the upstream has to do with it.
    pub fn is_upstreams(&self) -> bool {
        !matches!(self, Self::Own(_))
    }

    /// Of the connector's error, whose words say less than those of the system's below it.
    fn of_tcp(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(one) = cause {
            if let Some(io) = one.downcast_ref::<std::io::Error>() {
                return match io.raw_os_error() {
                    Some(code) if is_own_limit(code) => {
                        Self::Own(std::io::Error::from_raw_os_error(code))
                    }
                    _ => Self::Tcp(io.to_string()),
                };
            }
            cause = one.source();
        }
        Self::Tcp(error.to_string())
    }
}

/// Files and memory for sockets are this machine's. That there is no address to connect from may be
/// the upstream's: of a family that this machine doesn't have.
fn is_own_limit(code: i32) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .contains(&Errno::from_raw_os_error(code))
}

impl Target {
    /// Whether there is a connection to be had within `limit`.
    pub async fn try_connect(&self, limit: Duration) -> Result<(), ConnectError> {
        self.connect(limit).await.map(drop)
    }

    /// Connects within `limit`.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Connected, ConnectError> {
        let limit = limit.min(CONNECT_MAX);
        timeout(limit, self.connect_within(limit)).await.unwrap_or(Err(ConnectError::Slow(limit)))
    }

    /// A name's addresses of both families are raced (RFC 8305); those of one share the time.
    async fn connect_within(&self, limit: Duration) -> Result<Connected, ConnectError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // A little less than all of it, so that the last one's own error is told.
        connector.set_connect_timeout(Some(limit.mul_f64(0.9)));
        let connected = connector.call(self.address.clone()).await;
        let stream = connected.map_err(|error| ConnectError::of_tcp(&error))?.into_inner();
        let socket = Socket::new(stream);
        match &self.tls {
            None => begin(socket.clone(), socket, &self.says_unasked).await,
            Some(config) => {
                let name =
                    ServerName::try_from(self.host.clone()).map_err(|_| ConnectError::Name)?;
                let stream = TlsConnector::from(Arc::clone(config))
                    .connect(name, socket.clone())
                    .await
                    .map_err(ConnectError::Tls)?;
                begin(stream, socket, &self.says_unasked).await
            }
        }
    }
}

/// Small boards and old gateways compare names of fields as they are usually written, and write
/// answers that are no HTTP to the letter.
async fn begin<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    socket: Socket,
    says_unasked: &Arc<AtomicBool>,
) -> Result<Connected, ConnectError> {
    let (wire, exchange) = Wire::new(stream, Arc::clone(says_unasked));
    let begun = http1::Builder::new()
        .max_buf_size(BUFFER_MAX_BYTES)
        // Nearly all requests are so short that a copy costs less.
        .writev(false)
        .title_case_headers(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .handshake(TokioIo::new(wire))
        .await;
    let (sender, connection) = begun.map_err(ConnectError::Http)?;
    // Its end shows in the sender.
    tokio::spawn(connection);
    Ok(Connected { sender, socket: socket.watch(), exchange })
}
