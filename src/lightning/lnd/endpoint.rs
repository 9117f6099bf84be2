//! The connection to LND, made from the operator's files and made again when these have changed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, ClientTlsConfig};

use super::settings::LndSettings;
use super::tls::Pinned;
use super::{ends, error};
use crate::lightning::AccessEnds;
use crate::lightning::error::NodeError;

/// One connection, which connects when it is used and again when it is lost.
pub(super) struct Endpoint {
    provider: Arc<CryptoProvider>,
    made: Mutex<Option<Made>>,
}

struct Made {
    certificate: Vec<u8>,
    macaroon: Vec<u8>,
    ends: AccessEnds,
    ready: AuthorizedChannel,
}

/// What a call needs.
#[derive(Clone)]
pub(super) struct AuthorizedChannel {
    channel: Channel,
    macaroon: AsciiMetadataValue,
}

impl AuthorizedChannel {
    /// Where calls go.
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A call that shows the macaroon.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("macaroon", self.macaroon.clone());
        request
    }
}

impl Endpoint {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, made: Mutex::default() }
    }

    /// The connection as it is, or a first one.
    pub(super) fn ready(&self, settings: &LndSettings) -> Result<AuthorizedChannel, NodeError> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.ready.clone());
        }
        drop(made);
        self.fresh(settings).map(|(ready, _)| ready)
    }

    /// When the files end that were read last.
    pub(super) fn ends(&self) -> AccessEnds {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.as_ref().map(|made| made.ends).unwrap_or_default()
    }

    /// Reads the files again. The second part says whether they have changed since the last time.
    pub(super) fn fresh(
        &self,
        settings: &LndSettings,
    ) -> Result<(AuthorizedChannel, bool), NodeError> {
        let certificate = read_file("lnd.certificate", &settings.certificate)?;
        let macaroon = read_file("lnd.macaroon", &settings.macaroon)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made
            && made.certificate == certificate
            && made.macaroon == macaroon
        {
            return Ok((made.ready.clone(), false));
        }
        let ready = AuthorizedChannel {
            channel: self.connect(settings, &certificate)?,
            macaroon: metadata(&macaroon)?,
        };
        let changed = made.is_some();
        let ends = ends::read(&certificate, &macaroon);
        *made = Some(Made { certificate, macaroon, ends, ready: ready.clone() });
        Ok((ready, changed))
    }

    fn connect(&self, settings: &LndSettings, certificate: &[u8]) -> Result<Channel, NodeError> {
        let pinned = Pinned::from_pem(certificate, Arc::clone(&self.provider)).map_err(|why| {
            error::file(format!(
                "`lnd.certificate`: {}: {why}; it should be LND's tls.cert",
                settings.certificate.display()
            ))
        })?;
        let endpoint =
            tonic::transport::Endpoint::from_shared(format!("https://{}", settings.address))
                // Without a limit of its own a handshake that nobody answers is waited for as long
                // as the process lives.
                .and_then(|endpoint| {
                    endpoint.tls_config_with_verifier(
                        ClientTlsConfig::new().timeout(settings.timeout),
                        Arc::new(pinned),
                    )
                })
                .map_err(|why| error::file(format!("`lnd.address`: {why}")))?;
        Ok(endpoint
            .connect_timeout(settings.timeout)
            // LND allows one ping in 5 s, and only while a stream is open.
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(false)
            .connect_lazy())
    }
}

fn read_file(key: &str, path: &Path) -> Result<Vec<u8>, NodeError> {
    std::fs::read(path).map_err(|why| error::file(format!("`{key}`: {}: {why}", path.display())))
}

fn metadata(macaroon: &[u8]) -> Result<AsciiMetadataValue, NodeError> {
    let mut value: AsciiMetadataValue = hex::encode(macaroon)
        .parse()
        .map_err(|_| error::file("`lnd.macaroon`: not a macaroon".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
