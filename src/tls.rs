//! How servers that we speak to are verified, and what is wrong with certificates and keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why there is no TLS, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that the config names can't be used.
    #[error("`{key}`: {}: {what}", path.display())]
    File {
        /// The config's key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Anything else.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The process-wide cryptography, which is the default one unless another was installed.
pub fn provider() -> Arc<CryptoProvider> {
    let make = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    CryptoProvider::get_default().cloned().unwrap_or_else(make)
}

/// How servers are verified: against the roots in the file that `key` names, or the system's.
pub fn client_config(
    key: &'static str,
    ca: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let fault = |what: String| TlsError::File { key, path: path.to_owned(), what };
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let (added, _) = roots
                .add_parsable_certificates(certificates.map_err(|error| fault(error.to_string()))?);
            if added == 0 {
                return Err(fault("it holds no certificate".to_owned()));
            }
        }
        None => {
            let (added, _) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                tracing::warn!(
                    "the system has no root certificates: no TLS server can be verified; install \
                     ca-certificates, or set `{key}`"
                );
            }
        }
    }
    Ok(ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
