//! Whether a credential is a paid ticket of ours for a service, with what was found before.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::cache::FifoCache;
use crate::keys::KeyRing;
use crate::l402::credential::{Credential, Proof};
use crate::l402::verify::{self, Paid, Refusal};
use crate::payment_hash::PaymentHash;
use crate::service::{Service, TicketKind};

/// Tickets that are remembered as verified; each takes less than 1 KiB.
const VERIFIED_MAX: usize = 20_000;

/// Names an exact credential for what a service of these names takes: a caveat more is another
/// text, and so another key, and so is a service that a reload has given other names, or another
/// kind of tickets.
type CacheKey = [u8; 32];

/// The keys, and the tickets that they were found to sign.
pub struct Verifier {
    ring: Arc<KeyRing>,
    verified: FifoCache<CacheKey, Paid>,
    on_paid: Box<dyn Fn(&PaymentHash) + Send + Sync>,
}

impl Verifier {
    /// `on_paid` is called for each ticket that is put among the verified ones.
    pub fn new(ring: Arc<KeyRing>, on_paid: impl Fn(&PaymentHash) + Send + Sync + 'static) -> Self {
        Self { ring, verified: FifoCache::new(VERIFIED_MAX), on_paid: Box::new(on_paid) }
    }

    /// The keys that tickets may be signed with.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Whether a credential is a paid ticket for a service, which sells `kind`.
    pub fn verify(
        &self,
        service: &Service,
        kind: TicketKind,
        credential: &Credential,
    ) -> Result<Paid, Refusal> {
        let sells_passes = kind != TicketKind::SingleUse;
        let key = cache_key(service, sells_passes, credential);
        if let Some(paid) = self.verified.get(&key) {
            return Ok(paid);
        }
        let paid = verify::ticket(&self.ring, service.names(), sells_passes, credential)?;
        self.verified.insert(key, paid, 1);
        (self.on_paid)(&paid.ticket().payment_hash);
        Ok(paid)
    }
}

fn cache_key(service: &Service, sells_passes: bool, credential: &Credential) -> CacheKey {
    let mut hash = Sha256::new();
    hash.update([u8::from(sells_passes)]);
    hash.update((service.formerly.len() as u64).to_be_bytes());
    let names = service.names();
    for part in names.all().map(str::as_bytes).chain([&*credential.macaroon]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    match &credential.proof {
        Proof::Preimage(preimage) => hash.update(preimage.as_bytes()),
        Proof::None => hash.update([0]),
        Proof::Unreadable => hash.update([1]),
    }
    hash.finalize().into()
}
