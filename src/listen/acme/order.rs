//! One order: account, proofs, certificate.

use std::error::Error as StdError;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
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
        if let Some(account) = self.account.lock().await.clone() {
            return Ok(account);
        }
        match self.cache.account() {
            Ok(Some(kept)) => {
                let account = builder().from_credentials(kept).await?;
                *self.account.lock().await = Some(account.clone());
                return Ok(account);
            }
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
        *self.account.lock().await = Some(account.clone());
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
        let request = signing_request(self.settings.domains.clone(), &key).map_err(own)?;
        order.finalize_csr(&request).await?;
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

/// For these names, and no other: an authority takes the name in a subject for one more.
fn signing_request(domains: Vec<String>, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
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

#[cfg(test)]
mod tests {
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::prelude::FromDer as _;

    use super::*;

    /// Pebble doesn't look, Boulder refuses it.
    #[test]
    fn what_is_to_be_signed_names_the_domains_and_nothing_else() {
        let key = KeyPair::generate().unwrap();
        let der = signing_request(vec!["sms.example.com".to_owned()], &key).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        assert_eq!(request.certification_request_info.subject.iter().count(), 0);
        let names = der.windows(15).filter(|bytes| *bytes == b"sms.example.com").count();
        assert_eq!(names, 1);
    }
}
