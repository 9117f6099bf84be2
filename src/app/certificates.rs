//! The certificate that payers see: from files, or by ACME.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;

use super::error::StartError;
use crate::config::{AcmeOrder, CertificateSource, Config};
use crate::listen::acme::challenges::{ACME_TLS, AcmeResolver, Challenges};
use crate::listen::acme::{Acme, AcmeSettings};
use crate::listen::tls::{Certificate, CertificateFiles, CurrentCertificate, server_config};
use crate::tls::{TlsError, client_config};

/// Where the certificate comes from, and the one of now.
pub(super) struct Certificates {
    pub(super) shown: Arc<CurrentCertificate>,
    /// What authorities are shown while they look.
    pub(super) challenges: Arc<Challenges>,
    /// `None` where the certificate lies in files.
    pub(super) acme: Option<Arc<Acme>>,
}

impl Certificates {
    /// `None` for plain HTTP.
    pub(super) fn open(
        config: &Config,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, StartError> {
        let Some(source) = &config.listen.tls else { return Ok(None) };
        let (shown, challenges) = (Arc::<CurrentCertificate>::default(), Arc::default());
        let acme = match source {
            CertificateSource::Files { .. } => {
                if let Some(certificate) = read(config, provider)? {
                    shown.replace(certificate);
                }
                None
            }
            CertificateSource::Acme(order) => {
                let has_plain_http = config.listen.redirect.is_some();
                let settings = settings(order, has_plain_http);
                let ca = order.directory_ca.as_deref();
                let tls = client_config("listen.acme.directory_ca", ca, provider)?;
                let (provider, shown) = (Arc::clone(provider), Arc::clone(&shown));
                let challenges = Arc::clone(&challenges);
                Some(Arc::new(Acme::new(settings, tls, provider, challenges, shown)))
            }
        };
        Ok(Some(Self { shown, challenges, acme }))
    }

    /// How TLS is spoken.
    pub(super) fn tls(&self, provider: Arc<CryptoProvider>) -> Result<Arc<ServerConfig>, TlsError> {
        let shown = Arc::clone(&self.shown);
        match &self.acme {
            None => server_config(shown, None, provider),
            Some(_) => {
                let challenges = Arc::clone(&self.challenges);
                let resolver = Arc::new(AcmeResolver { challenges, shown });
                server_config(resolver, Some(ACME_TLS), provider)
            }
        }
    }
}

/// The certificate in the files that a config names, if it names any.
pub(super) fn read(
    config: &Config,
    provider: &CryptoProvider,
) -> Result<Option<Certificate>, TlsError> {
    let Some(CertificateSource::Files { certificate, key }) = config.listen.tls.clone() else {
        return Ok(None);
    };
    Certificate::read(&CertificateFiles { certificate, key }, provider).map(Some)
}

fn settings(order: &AcmeOrder, has_plain_http: bool) -> AcmeSettings {
    AcmeSettings {
        domains: order.domains.clone(),
        contact: order.contact.clone(),
        directory: order.directory.clone(),
        cache: order.cache.clone(),
        has_plain_http,
    }
}
