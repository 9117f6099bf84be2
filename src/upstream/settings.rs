//! What the operator says of a backend, checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use rustls::crypto::CryptoProvider;
use zeroize::Zeroizing;

use super::connect::Target;
use super::redact::{SECRET_MIN_BYTES, secret_parts};
use crate::tls::{TlsError, client_config};

/// How a backend is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// An absolute http or https URL.
    pub url: Uri,
    /// The operator's own query parameters, beside those in `url`.
    pub query: Vec<(String, Zeroizing<String>)>,
    /// Names of all parameters that the operator fixes.
    pub fixed_names: Vec<String>,
    /// The operator's own header fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Credentials that may stand anywhere in a request, each by itself.
    pub own: Vec<Zeroizing<String>>,
    /// PEM file with the roots that an https upstream is verified against; `None` for the system's.
    pub ca: Option<PathBuf>,
    /// Time limit of each request.
    pub timeout: Duration,
}

/// Why a backend can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Its address.
    #[error("`upstream`: {0}")]
    Address(&'static str),
    /// How it is verified.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl UpstreamSettings {
    /// Where it listens. https is always verified: against the operator's roots, or the system's.
    pub(super) fn target(&self, provider: &Arc<CryptoProvider>) -> Result<Target, UpstreamError> {
        let authority = self.url.authority().ok_or(UpstreamError::Address("names no host"))?;
        let is_tls = self.url.scheme_str() == Some("https");
        let tls = is_tls.then(|| {
            let mut config = client_config("upstream_ca", self.ca.as_deref(), provider)?;
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok::<_, UpstreamError>(Arc::new(config))
        });
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        // Always http here: TLS is laid over the connection afterwards.
        let address = Uri::builder()
            .scheme("http")
            .authority(format!("{}:{port}", authority.host()))
            .path_and_query("/")
            .build();
        Ok(Target {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port,
            address: address.map_err(|_| UpstreamError::Address("names no host"))?,
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|_| UpstreamError::Address("can't stand in a Host header field"))?,
            tls: tls.transpose()?,
            says_unasked: Arc::default(),
        })
    }

    /// What the file with its roots holds, if there is one.
    pub(super) fn ca_text(&self) -> Option<Vec<u8>> {
        std::fs::read(self.ca.as_ref()?).ok()
    }

    /// Path and fixed parameters, as they are asked for (RFC 9112 section 3.2.1).
    pub(super) fn origin_form(&self) -> Result<Uri, UpstreamError> {
        let mut path = self.url.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if !self.query.is_empty() {
            let pairs = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let more = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&more);
        }
        path.parse().map_err(|_| UpstreamError::Address("has a path that can't be asked for"))
    }

    /// Texts that must not get into an answer's words.
    pub(super) fn secrets(&self, uri: &Uri) -> Vec<String> {
        let headers = self.headers.iter().filter_map(|(_, value)| value.to_str().ok());
        let in_query = uri.query().into_iter().flat_map(|query| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.map(|(_, value)| value.to_owned())
        });
        let in_query = in_query.chain(self.query.iter().map(|(_, value)| value.to_string()));
        let in_query = in_query.filter(|value| value.len() >= SECRET_MIN_BYTES);
        let own = self.own.iter().filter(|value| value.len() >= SECRET_MIN_BYTES);
        let own = own.map(|value| value.to_string());
        headers.flat_map(secret_parts).chain(in_query).chain(own).collect()
    }
}
