//! From the master secret to the keys that sign tickets. Nothing is stored per challenge: a
//! macaroon's root key is HMAC-SHA256 of its identifier under a sub-key, so whoever has the master
//! secret can verify it again.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::hmac::hmac_sha256;
use crate::number_hash::NumberHash;
use crate::payment_hash::PaymentHash;

/// 32 random bytes from which every key is derived. Whoever has them can forge tickets.
#[derive(Clone)]
pub struct MasterSecret(Zeroizing<[u8; 32]>);

/// Names a master secret in the ledger without telling it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl MasterSecret {
    /// Takes the bytes over.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// One line of a master secret file: 64 hex digits.
    pub fn from_hex(line: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(line, bytes.as_mut_slice()).ok()?;
        Some(Self(bytes))
    }

    fn derive<const N: usize>(&self, label: &str) -> [u8; N] {
        let mut key = [0_u8; N];
        // Fails only for outputs over 255 hashes long (RFC 5869 section 2.3); ours are one or two.
        if Hkdf::<Sha256>::new(None, self.0.as_slice()).expand(label.as_bytes(), &mut key).is_err()
        {
            unreachable!("an HKDF output of {N} bytes");
        }
        key
    }
}

/// Which request of a ticket's: the upstream would take one for a repeat of the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhichRequest {
    /// The one that it was bought for.
    Bought,
    /// The one that took its place once it was refused.
    Rebound,
}

/// The sub-keys of one master secret, for one network.
pub struct Keys {
    root: Zeroizing<[u8; 32]>,
    digest: Zeroizing<[u8; 32]>,
    idempotency: Zeroizing<[u8; 32]>,
    reference: Zeroizing<[u8; 32]>,
    place: Zeroizing<[u8; 32]>,
    number: Zeroizing<[u8; 32]>,
    report: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    fingerprint: Fingerprint,
}

impl Keys {
    /// `network` is part of the root label, so that a ticket bought with regtest money is a
    /// stranger on mainnet.
    pub fn derive(secret: &MasterSecret, network: &str) -> Self {
        Self {
            root: Zeroizing::new(secret.derive(&format!("root/v1/{network}"))),
            digest: Zeroizing::new(secret.derive("digest")),
            idempotency: Zeroizing::new(secret.derive("idempotency")),
            reference: Zeroizing::new(secret.derive("reference")),
            place: Zeroizing::new(secret.derive("place")),
            number: Zeroizing::new(secret.derive("number")),
            report: Zeroizing::new(secret.derive("report")),
            seal: Zeroizing::new(secret.derive("seal")),
            fingerprint: Fingerprint(secret.derive("fingerprint")),
        }
    }

    /// The root key of the macaroon with these bytes as its identifier.
    pub fn root_key(&self, identifier: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(hmac_sha256(&self.root, &[identifier]))
    }

    /// Keys the digest that binds a ticket to a request.
    pub fn digest_key(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The key by which an upstream throws repeats of this ticket's request away: 32 hex digits
    /// that tell nothing of the ticket.
    pub fn idempotency_key(&self, payment_hash: &PaymentHash, request: WhichRequest) -> String {
        let which: &[u8] = match request {
            WhichRequest::Bought => b"",
            WhichRequest::Rebound => b"rebound",
        };
        name(&self.idempotency, &[payment_hash.as_bytes(), which])
    }

    /// The name by which payer, operator and upstream can speak of this ticket's request: 32 hex
    /// digits that tell nothing of the ticket, and no key against repeats.
    pub fn reference(&self, payment_hash: &PaymentHash) -> String {
        name(&self.reference, &[payment_hash.as_bytes()])
    }

    /// Keys the hashes of the places that requests are sent to.
    pub fn place_key(&self) -> &[u8; 32] {
        &self.place
    }

    /// Names a telephone number to which a service sends, without telling it. The length keeps one
    /// from running into the other.
    pub fn number_hash(&self, service: &str, number: &str) -> NumberHash {
        let length = (service.len() as u64).to_be_bytes();
        let parts: [&[u8]; 3] = [&length, service.as_bytes(), number.as_bytes()];
        let hash = hmac_sha256(&self.number, &parts);
        NumberHash::from_bytes(hash.first_chunk().copied().unwrap_or_default())
    }

    /// By which the ledger knows a message that is reported on at an address of its own: 32 hex
    /// digits.
    pub fn report_name(&self, payment_hash: &PaymentHash, request: WhichRequest) -> String {
        let which: &[u8] = match request {
            WhichRequest::Bought => b"bought",
            WhichRequest::Rebound => b"rebound",
        };
        self.report_proof(&[which, payment_hash.as_bytes()])
    }

    /// What that address has in it: the name, and what nobody else can add to it. 64 hex digits.
    pub fn report_token(&self, name: &str) -> String {
        format!("{name}{}", self.report_proof(&[b"message", name.as_bytes()]))
    }

    /// The name in such a token; `None` if these keys didn't make it.
    pub fn name_in_token<'t>(&self, token: &'t str) -> Option<&'t str> {
        let (name, proof) = token.split_at_checked(32)?;
        let own = self.report_proof(&[b"message", name.as_bytes()]);
        bool::from(own.as_bytes().ct_eq(proof.as_bytes())).then_some(name)
    }

    /// What the address has in it at which a service's backend reports on all messages: 32 hex
    /// digits.
    pub fn inbound_secret(&self, service: &str) -> String {
        self.report_proof(&[b"service", service.as_bytes()])
    }

    /// Whether it is that.
    pub fn is_inbound_secret(&self, service: &str, given: &str) -> bool {
        self.inbound_secret(service).as_bytes().ct_eq(given.as_bytes()).into()
    }

    fn report_proof(&self, parts: &[&[u8]]) -> String {
        name(&self.report, parts)
    }

    /// Seals what only the operator may read.
    pub fn seal_key(&self) -> &[u8; 32] {
        &self.seal
    }

    /// Names the master secret behind these keys.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

fn name(key: &[u8; 32], parts: &[&[u8]]) -> String {
    let mut text = hex::encode(hmac_sha256(key, parts));
    text.truncate(32);
    text
}

/// Which key of a ring it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyIndex(usize);

impl KeyIndex {
    /// How many keys stand before it in the ring; the first one mints.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// All keys in force: the first mints, every one verifies. Rotation is two steps: add a secret
/// below on every instance, then move it up.
pub struct KeyRing {
    minting: Keys,
    older: Vec<Keys>,
}

impl KeyRing {
    /// `None` for an empty list of secrets.
    pub fn new(secrets: &[MasterSecret], network: &str) -> Option<Self> {
        let mut keys = secrets.iter().map(|secret| Keys::derive(secret, network));
        Some(Self { minting: keys.next()?, older: keys.collect() })
    }

    /// Whether these secrets make this very ring.
    pub fn is_of(&self, secrets: &[MasterSecret]) -> bool {
        let fingerprints = secrets.iter().map(|secret| Keys::derive(secret, "").fingerprint());
        self.all().map(Keys::fingerprint).eq(fingerprints)
    }

    /// The keys that sign new tickets.
    pub fn minting(&self) -> &Keys {
        &self.minting
    }

    /// The key at an index.
    pub fn get(&self, index: KeyIndex) -> Option<&Keys> {
        self.all().nth(index.0)
    }

    /// The keys of a master secret, by its name.
    pub fn of(&self, secret: Fingerprint) -> Option<&Keys> {
        self.all().find(|keys| keys.fingerprint() == secret)
    }

    /// The first key that satisfies a condition.
    pub fn find(&self, is_it: impl FnMut(&Keys) -> bool) -> Option<KeyIndex> {
        self.all().position(is_it).map(KeyIndex)
    }

    /// Every key that a ticket may be signed with.
    pub fn all(&self) -> impl Iterator<Item = &Keys> {
        std::iter::once(&self.minting).chain(&self.older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_labels_separate_keys() {
        let secret = MasterSecret::new([1; 32]);
        let id = [2; 66];
        let (main, regtest) = (Keys::derive(&secret, "mainnet"), Keys::derive(&secret, "regtest"));
        assert_ne!(*main.root_key(&id), *regtest.root_key(&id));
        assert_ne!(main.digest_key(), main.place_key());
        assert_eq!(main.fingerprint(), regtest.fingerprint());
    }
}
