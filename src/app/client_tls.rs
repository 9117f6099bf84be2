//! How servers that we speak to are verified.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::config::Service as Written;

/// The process-wide cryptography.
pub fn provider() -> Result<Arc<CryptoProvider>, String> {
    CryptoProvider::get_default().cloned().ok_or_else(|| "there is no cryptography".to_owned())
}

/// https is always verified: against the operator's roots, or the system's.
pub fn client_tls(
    written: &Written,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, String> {
    let config = client_config("upstream_ca", written.upstream_ca.as_deref(), provider);
    let mut config = ClientConfig::clone(
        &*config.map_err(|what| format!("service `{}`: {what}", written.name))?,
    );
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// How servers are verified: against the roots in the file that `key` names, or the system's.
pub fn client_config(
    key: &str,
    ca: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let fault = |what: String| format!("`{key}`: {}: {what}", path.display());
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
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
