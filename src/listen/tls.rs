//! The certificate that payers see, and how TLS is spoken with them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
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

/// A certificate with its key; they belong together.
pub struct Certificate {
    /// Where it was read from, and what names what the files held.
    source: Option<(CertificateFiles, [u8; 32])>,
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the files, and checks that they belong together.
    pub fn read(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let CertificateFiles { certificate, key } = files;
        let in_file = |key, path: &Path, what| TlsError::File { key, path: path.to_owned(), what };
        let in_certificate = |what| in_file("listen.certificate", certificate, what);
        let in_key = |what| in_file("listen.key", key, what);
        let read = |path| std::fs::read(path).map_err(|error| error.to_string());
        let chain_text = read(certificate).map_err(in_certificate)?;
        let key_text = Zeroizing::new(read(key).map_err(in_key)?);
        let chain = chain(&chain_text).map_err(in_certificate)?;
        let private =
            PrivateKeyDer::from_pem_slice(&key_text).map_err(|error| in_key(error.to_string()))?;
        let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| {
            let belongs = format!("(the key is {}; do the two belong together?)", key.display());
            in_certificate(format!("{error} {belongs}"))
        })?;
        let held = Sha256::new().chain_update(&chain_text).chain_update(&*key_text).finalize();
        Ok(Self { source: Some((files.clone(), held.into())), key: Arc::new(certified) })
    }

    /// From texts in PEM. `Err` says what is wrong with them.
    pub(super) fn of_pem(
        chain_text: &[u8],
        key_text: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, String> {
        let private = PrivateKeyDer::from_pem_slice(key_text).map_err(|error| error.to_string())?;
        let certified = CertifiedKey::from_der(chain(chain_text)?, private, provider);
        Ok(Self { source: None, key: Arc::new(certified.map_err(|error| error.to_string())?) })
    }

    /// From and until when it is valid, in Unix seconds; `None` if that can't be read.
    pub fn validity(&self) -> Option<(i64, i64)> {
        let (_, certificate) = x509_parser::parse_x509_certificate(self.key.cert.first()?).ok()?;
        let validity = certificate.validity();
        Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
    }

    /// Whether it is for these very names.
    pub(super) fn is_for(&self, domains: &[String]) -> bool {
        let parsed = self.key.cert.first().map(|der| x509_parser::parse_x509_certificate(der));
        let Some(Ok((_, certificate))) = parsed else { return false };
        let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
        let names = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        });
        names.collect::<BTreeSet<_>>() == domains.iter().map(String::as_str).collect()
    }
}

fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| error.to_string())?;
    if chain.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(chain) }
}

/// The certificate of now, which a reload, a change of its files or a renewal replaces. There may
/// be none yet: then nobody can connect.
#[derive(Default)]
pub struct CurrentCertificate(ArcSwapOption<Certificate>);

impl fmt::Debug for CurrentCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentCertificate").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|certificate| Arc::clone(&certificate.key))
    }
}

impl CurrentCertificate {
    /// From here on new connections see this one.
    pub fn replace(&self, certificate: Certificate) {
        self.0.store(Some(Arc::new(certificate)));
    }

    /// The one of now.
    pub(super) fn load(&self) -> Option<Arc<Certificate>> {
        self.0.load_full()
    }

    /// Reads its files again, if it has any. `Ok(true)` if they hold another certificate, which is
    /// shown from here on; one that can't be used changes nothing.
    pub fn refresh(&self, provider: &CryptoProvider) -> Result<bool, TlsError> {
        let now = self.0.load_full();
        let Some((files, held)) = now.as_ref().and_then(|now| now.source.as_ref()) else {
            return Ok(false);
        };
        let read = Certificate::read(files, provider)?;
        let is_new = read.source.as_ref().is_some_and(|(_, now)| now != held);
        if is_new {
            // Unless a reload has named other files meanwhile.
            self.0.compare_and_swap(&now, Some(Arc::new(read)));
        }
        Ok(is_new)
    }

    /// From and until when it is valid, in Unix seconds; `None` if there is none, or that can't be
    /// read.
    pub fn validity(&self) -> Option<(i64, i64)> {
        self.0.load().as_ref()?.validity()
    }
}

/// How TLS is spoken: 1.2 at least, HTTP/2 or HTTP/1.1, and what `also` names.
pub fn server_config(
    certificate: Arc<dyn ResolvesServerCert>,
    also: Option<&[u8]>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    let http: [&[u8]; 2] = [b"h2", b"http/1.1"];
    config.alpn_protocols = http.into_iter().chain(also).map(<[u8]>::to_vec).collect();
    // Without tickets rustls remembers 256 sessions only.
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}
