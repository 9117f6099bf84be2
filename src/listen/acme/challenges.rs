//! What an authority asks to see before it believes that a name is ours: a text by plain HTTP
//! (RFC 8555 section 8.3), or a certificate made for the purpose (RFC 8737).

use std::fmt;
use std::sync::Arc;

use dashmap::DashMap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::listen::tls::CurrentCertificate;

/// The protocol by which an authority asks over TLS (RFC 8737 section 3).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// Below which an authority asks by plain HTTP.
pub const PATH: &str = "/.well-known/acme-challenge/";

/// What is shown while an order is under way.
#[derive(Default)]
pub struct Challenges {
    texts: DashMap<String, String>,
    certificates: DashMap<String, Arc<CertifiedKey>>,
}

impl Challenges {
    /// What is answered at a path of plain HTTP, if an authority asks there.
    pub fn text_at(&self, path: &str) -> Option<String> {
        Some(self.texts.get(path.strip_prefix(PATH)?)?.clone())
    }

    pub(super) fn show_text(&self, token: &str, text: &str) {
        self.texts.insert(token.to_owned(), text.to_owned());
    }

    pub(super) fn show_certificate(&self, domain: &str, certificate: CertifiedKey) {
        self.certificates.insert(domain.to_owned(), Arc::new(certificate));
    }

    /// Nothing is asked any more.
    pub(super) fn clear(&self) {
        self.texts.clear();
        self.certificates.clear();
    }
}

/// Shows authorities what they ask for, and everybody else the certificate.
pub struct AcmeResolver {
    /// What authorities are shown.
    pub challenges: Arc<Challenges>,
    /// What everybody else is.
    pub shown: Arc<CurrentCertificate>,
}

impl fmt::Debug for AcmeResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmeResolver").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for AcmeResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello.alpn().is_some_and(|mut protocols| {
            protocols.next() == Some(ACME_TLS) && protocols.next().is_none()
        });
        if !asks {
            return self.shown.resolve(hello);
        }
        Some(Arc::clone(&*self.challenges.certificates.get(hello.server_name()?)?))
    }
}
