//! One order: account, proofs, certificate.

use std::error::Error as StdError;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use tracing::warn;

use super::client::AuthorityClient;
use super::{Acme, AcmeError};

/// How long an authority may take to look, and then to issue.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).timeout(Duration::from_secs(120));

impl Acme {
    /// A new certificate's chain and its key (PEM).
    pub(super) async fn order(&self) -> Result<String, AcmeError> {
        let account = self.account().await?;
        let names: Vec<_> = self.settings.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let ordered = self.fulfil(&mut order).await;
        self.challenges.clear();
        ordered
    }

    async fn account(&self) -> Result<Account, AcmeError> {
        let builder =
            || Account::builder_with_http(Box::new(AuthorityClient::new(self.tls.clone())));
        match self.cache.account() {
            Ok(Some(account)) => return Ok(builder().from_credentials(account).await?),
            Ok(None) => {}
            Err(error) => warn!("listen.acme: {error}; another account is made"),
        }
        let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
        let terms = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = self.settings.directory.clone();
        let (account, credentials) = builder().create(&terms, directory, None).await?;
        if let Err(error) = self.cache.keep_account(&credentials) {
            warn!("listen.acme: {error}; the next start has to make another account");
        }
        Ok(account)
    }

    async fn fulfil(&self, order: &mut Order) -> Result<String, AcmeError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            self.prove(authorization?).await?;
        }
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => {}
            Ok(_) | Err(Error::Api(_)) => return Err(refusal(order).await),
            Err(error) => return Err(error.into()),
        }
        let key = KeyPair::generate().map_err(own)?;
        let names = CertificateParams::new(self.settings.domains.clone()).map_err(own)?;
        let request = names.serialize_request(&key).map_err(own)?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        Ok(format!("{chain}\n{}", key.serialize_pem()))
    }

    /// Has the authority look whether a name is ours.
    async fn prove(&self, mut authorization: AuthorizationHandle<'_>) -> Result<(), AcmeError> {
        let domain = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Valid => return Ok(()),
            AuthorizationStatus::Pending => {}
            _ => {
                let why = "the authority had refused it before".to_owned();
                return Err(AcmeError::Refused { domain, why });
            }
        }
        let kind = match self.settings.has_plain_http {
            true => ChallengeType::Http01,
            false => ChallengeType::TlsAlpn01,
        };
        let Some(mut challenge) = authorization.challenge(kind) else {
            let why = match self.settings.has_plain_http {
                true => {
                    "the authority does not ask by plain HTTP (http-01): try without `redirect`"
                }
                false => {
                    "the authority does not ask by TLS (tls-alpn-01): set `redirect` to an address \
                     at port 80, where it can ask by plain HTTP"
                }
            };
            return Err(AcmeError::Refused { domain, why: why.to_owned() });
        };
        let proof = challenge.key_authorization();
        if self.settings.has_plain_http {
            self.challenges.show_text(&challenge.token, proof.as_str());
        } else {
            let certificate = self.proving(&domain, proof.digest().as_ref())?;
            self.challenges.show_certificate(&domain, certificate);
        }
        Ok(challenge.set_ready().await?)
    }

    /// The certificate that proves over TLS that a name is ours (RFC 8737 section 3).
    fn proving(&self, domain: &str, digest: &[u8]) -> Result<CertifiedKey, AcmeError> {
        let key = KeyPair::generate().map_err(own)?;
        let mut params = CertificateParams::new(vec![domain.to_owned()]).map_err(own)?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = params.self_signed(&key).map_err(own)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(own)?;
        let key = self.provider.key_provider.load_private_key(private).map_err(own)?;
        // Not `from_der`: it refuses what only authorities understand, the proof itself.
        Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
    }
}

/// What the authority found when it looked.
async fn refusal(order: &mut Order) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let fault = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(fault) = fault {
            let domain = authorization.identifier().to_string();
            return AcmeError::Refused { domain, why: fault.to_string() };
        }
    }
    AcmeError::Own("the authority has refused the order, and doesn't say why".to_owned())
}

fn own(error: impl ToString) -> AcmeError {
    AcmeError::Own(error.to_string())
}

/// What an error says, with what lies below it: a failed connection's reason is there.
pub(super) fn with_causes(error: &instant_acme::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
