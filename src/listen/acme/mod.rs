//! Certificates by ACME (RFC 8555): ordered, kept in a folder, and renewed in time.

mod cache;
pub mod challenges;
mod client;
mod order;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::Account;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use tokio::sync::Mutex;
use tokio::time::sleep;
use tracing::{info, warn};

use self::cache::Cache;
use self::challenges::Challenges;
use super::tls::{Certificate, CurrentCertificate};
use crate::time::UnixTime;

/// How soon a refused order is tried again at first, and at the latest: certificate authorities
/// count failures, and refuse whoever has too many in an hour.
const PAUSE_FIRST: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// How often it is looked whether the certificate has to be renewed, at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);

/// What is ordered, from whom.
pub struct AcmeSettings {
    /// The names that the certificate is for.
    pub domains: Vec<String>,
    /// Whom the authority writes to, as a `mailto:` address.
    pub contact: Option<String>,
    /// The authority's directory (RFC 8555 section 7.1.1).
    pub directory: String,
    /// Where accounts and certificates are kept.
    pub cache: PathBuf,
    /// Whether plain HTTP is answered at port 80, where the authority asks for proof (`http-01`);
    /// else it asks by TLS (`tls-alpn-01`, RFC 8737).
    pub has_plain_http: bool,
}

/// Why there is no new certificate, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority refused something, or can't be reached.
    #[error("{}", order::with_causes(.0))]
    Authority(#[from] instant_acme::Error),
    /// It can't prove that a name is ours.
    #[error("{domain}: {why}")]
    Refused {
        /// The name.
        domain: String,
        /// What the authority says.
        why: String,
    },
    /// What was made here can't be used.
    #[error("{0}")]
    Own(String),
}

/// Orders certificates.
pub struct Acme {
    settings: AcmeSettings,
    cache: Cache,
    tls: ClientConfig,
    provider: Arc<CryptoProvider>,
    challenges: Arc<Challenges>,
    shown: Arc<CurrentCertificate>,
    /// The account with the authority, once it is known.
    account: Mutex<Option<Account>>,
}

impl Acme {
    /// Shows at once what was kept, for as long as there is nothing better. The authority is
    /// verified as `tls` says.
    pub fn new(
        settings: AcmeSettings,
        tls: ClientConfig,
        provider: Arc<CryptoProvider>,
        challenges: Arc<Challenges>,
        shown: Arc<CurrentCertificate>,
    ) -> Self {
        let cache = Cache::new(&settings.cache, &settings.directory);
        let account = Mutex::default();
        let acme = Self { settings, cache, tls, provider, challenges, shown, account };
        match acme.cache.certificate(&acme.provider) {
            Ok(Some(kept)) => acme.shown.replace(kept),
            Ok(None) => {}
            Err(error) => warn!("listen.acme: {error}; another certificate is ordered"),
        }
        acme
    }

    /// Orders what is missing, and renews in time, for as long as it is polled.
    pub async fn run(&self) {
        let mut pause = PAUSE_FIRST;
        loop {
            if let Some(wait) = self.time_until_renewal() {
                sleep(wait).await;
                continue;
            }
            match self.renew().await {
                Ok(()) => {
                    pause = PAUSE_FIRST;
                    if self.time_until_renewal().is_none() {
                        warn!(
                            "listen.acme: by this machine's clock the new certificate has hardly \
                             any time left: is the time right?"
                        );
                        sleep(LOOK_INTERVAL).await;
                    }
                }
                Err(error) => {
                    warn!(
                        domains = self.settings.domains.join(", "),
                        directory = self.settings.directory,
                        again_in = ?pause,
                        "listen.acme: no new certificate: {error}"
                    );
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// `None` if one is to be ordered now: a third of its life is left, it is for other names, or
    /// there is none.
    fn time_until_renewal(&self) -> Option<Duration> {
        let shown = self.shown.load()?;
        let (begins, ends) = shown.validity().filter(|_| shown.is_for(&self.settings.domains))?;
        let renewal = ends - (ends - begins) / 3;
        let now = i64::try_from(UnixTime::now().seconds()).unwrap_or(i64::MAX);
        let left = u64::try_from(renewal - now).ok().filter(|left| *left > 0)?;
        Some(Duration::from_secs(left).min(LOOK_INTERVAL))
    }

    async fn renew(&self) -> Result<(), AcmeError> {
        let made = self.order().await?;
        let certificate = Certificate::of_pem(made.as_bytes(), made.as_bytes(), &self.provider);
        let certificate = certificate.map_err(AcmeError::Own)?;
        if !self.is_good(&certificate) {
            return Err(AcmeError::Own("it is not for these names, or has ended".to_owned()));
        }
        let until = certificate.validity().map(|(_, ends)| ends);
        self.shown.replace(certificate);
        info!(until, "listen.acme: a new certificate is in use");
        if let Err(error) = self.cache.keep_certificate(&made) {
            warn!("listen.acme: {error}; the next start has to order another one");
        }
        Ok(())
    }

    /// Whether it is for these very names, and not over.
    fn is_good(&self, certificate: &Certificate) -> bool {
        let now = i64::try_from(UnixTime::now().seconds()).unwrap_or(i64::MAX);
        certificate.validity().is_some_and(|(_, ends)| ends > now)
            && certificate.is_for(&self.settings.domains)
    }
}
