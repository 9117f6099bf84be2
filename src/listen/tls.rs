//! The certificate that payers see, and how TLS is spoken with them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::tls::TlsError;

/// The files of a certificate and its key (PEM).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The chain, the certificate itself first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate that was read, with its key; they belong together.
pub struct Certificate {
    files: CertificateFiles,
    /// Names what the files held.
    text: [u8; 32],
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the files, and checks that they belong together.
    pub fn read(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let CertificateFiles { certificate, key } = files;
        let in_file = |key, path: &Path, what| TlsError::File { key, path: path.to_owned(), what };
        let in_certificate = |what| in_file("listen.certificate", certificate, what);
        let read = |path| std::fs::read(path).map_err(|error| error.to_string());
        let chain_text = read(certificate).map_err(in_certificate)?;
        let key_text = read(key).map_err(|what| in_file("listen.key", key, what))?;
        let key_text = Zeroizing::new(key_text);
        let chain = CertificateDer::pem_slice_iter(&chain_text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| in_certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(in_certificate("it holds no certificate".to_owned()));
        }
        let private = PrivateKeyDer::from_pem_slice(&key_text)
            .map_err(|error| in_file("listen.key", key, error.to_string()))?;
        let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| {
            let belongs = format!("(the key is {}; do the two belong together?)", key.display());
            in_certificate(format!("{error} {belongs}"))
        })?;
        let text = Sha256::new().chain_update(&chain_text).chain_update(&*key_text).finalize();
        let (text, key) = (text.into(), Arc::new(certified));
        Ok(Self { files: files.clone(), text, key })
    }

    /// Until when it is valid, in Unix seconds; `None` if that can't be read.
    pub fn expires(&self) -> Option<i64> {
        let (_, certificate) = x509_parser::parse_x509_certificate(self.key.cert.first()?).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }
}

/// The certificate of now, which a reload, or a change of its files, replaces.
pub struct CurrentCertificate {
    shown: ArcSwap<CertifiedKey>,
    read: Mutex<Certificate>,
}

impl fmt::Debug for CurrentCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentCertificate").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.load_full())
    }
}

impl CurrentCertificate {
    /// The one of the start.
    pub fn new(certificate: Certificate) -> Self {
        let shown = ArcSwap::new(Arc::clone(&certificate.key));
        Self { shown, read: Mutex::new(certificate) }
    }

    /// From here on new connections see this one.
    pub fn replace(&self, certificate: Certificate) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.shown.store(Arc::clone(&certificate.key));
        *read = certificate;
    }

    /// Reads the files again. `Ok(true)` if they hold another certificate, which is shown from here
    /// on; one that can't be used changes nothing.
    pub fn refresh(&self, provider: &CryptoProvider) -> Result<bool, TlsError> {
        let (files, text) = {
            let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            (read.files.clone(), read.text)
        };
        let certificate = Certificate::read(&files, provider)?;
        let is_new = certificate.text != text;
        if is_new {
            self.replace(certificate);
        }
        Ok(is_new)
    }

    /// Until when it is valid, in Unix seconds; `None` if that can't be read.
    pub fn expires(&self) -> Option<i64> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).expires()
    }
}

/// How TLS is spoken: 1.2 at least, HTTP/2 or HTTP/1.1.
pub fn server_config(
    certificate: Arc<dyn ResolvesServerCert>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Without tickets rustls remembers 256 sessions only.
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}
