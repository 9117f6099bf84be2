//! Macaroon bytes: the only file that names the `macaroon` crate. Binary V2, first-party caveats,
//! no location.
//!
//! That crate writes whole macaroons to the `log` facade at debug level: Farebox must never install
//! a bridge from `log`.

use macaroon::{Caveat, Macaroon};
use subtle::ConstantTimeEq;

use super::identifier::Identifier;
use crate::hmac::hmac_sha256;

/// Longest macaroon that is looked at, in bytes. Ours have about 300; holders may add caveats.
pub const LENGTH_MAX_BYTES: usize = 4096;

/// Most caveats that are looked at, so that one request can't buy many HMACs.
pub const CAVEATS_MAX: usize = 64;

/// What makes a root key a signing key: the text, filled up with zeros.
const KEY_GENERATOR: [u8; 32] = *b"macaroons-key-generator\0\0\0\0\0\0\0\0\0";

/// Macaroon bytes of anybody's, read but not verified.
pub struct Unverified {
    /// What it is about, in its maker's form.
    pub identifier: Vec<u8>,
    /// The caveats in their order.
    pub caveats: Vec<Vec<u8>>,
    /// A hint, which no signature covers.
    pub location: Option<String>,
    signature: [u8; 32],
}

/// A macaroon with an identifier of ours, read but not verified.
pub struct Ours {
    /// What it is about.
    pub identifier: Identifier,
    /// The rest of it.
    pub unverified: Unverified,
}

/// Reads what we could have minted. `None` for another identifier, or a location, which no
/// signature would cover.
pub fn read(bytes: &[u8]) -> Option<Ours> {
    let unverified = read_any(bytes)?;
    let identifier = Identifier::from_bytes(&unverified.identifier)?;
    unverified.location.is_none().then_some(Ours { identifier, unverified })
}

/// Reads binary V2. `None` for another format, too much of it, third-party caveats, bytes after the
/// end, or a longer way to write the same.
pub fn read_any(bytes: &[u8]) -> Option<Unverified> {
    if bytes.len() > LENGTH_MAX_BYTES || bytes.first() != Some(&2) {
        return None;
    }
    let read = Macaroon::deserialize_binary(bytes).ok()?;
    let unverified = Unverified::of(&read)?;
    (unverified.caveats.len() <= CAVEATS_MAX && unverified.write() == bytes).then_some(unverified)
}

impl Unverified {
    /// `None` if somebody else's word is asked for in it (a third-party caveat).
    fn of(read: &Macaroon) -> Option<Self> {
        let predicate = |caveat| match caveat {
            Caveat::FirstParty(first) => Some(first.predicate().0),
            Caveat::ThirdParty(_) => None,
        };
        let caveats = read.caveats().into_iter().map(predicate).collect::<Option<Vec<_>>>()?;
        let signature = read.signature();
        let signature: &[u8; 32] = signature.as_ref();
        Some(Self {
            identifier: read.identifier().0,
            caveats,
            location: read.location(),
            signature: *signature,
        })
    }

    /// Whether the signature is the one that `root_key` gives over this identifier and these
    /// caveats. In constant time.
    pub fn is_signed_by(&self, root_key: &[u8; 32]) -> bool {
        bool::from(sign(root_key, &self.identifier, &self.caveats).ct_eq(&self.signature))
    }

    /// The macaroon as it is without some of its caveats, signed again by the holder of the root
    /// key.
    pub fn without(mut self, root_key: &[u8; 32], unwanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        self.caveats.retain(|caveat| !unwanted(caveat));
        self.signature = sign(root_key, &self.identifier, &self.caveats);
        self.write()
    }

    /// Binary V2 (libmacaroons, doc/format.txt): fields of type, length and content, sections that
    /// end with a zero.
    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(
            128 + self.identifier.len()
                + self.caveats.iter().map(|caveat| caveat.len() + 4).sum::<usize>(),
        );
        bytes.push(2);
        if let Some(location) = &self.location {
            field(&mut bytes, 1, location.as_bytes());
        }
        field(&mut bytes, 2, &self.identifier);
        bytes.push(0);
        for caveat in &self.caveats {
            field(&mut bytes, 2, caveat);
            bytes.push(0);
        }
        bytes.push(0);
        field(&mut bytes, 6, &self.signature);
        bytes
    }
}

fn field(bytes: &mut Vec<u8>, kind: u8, content: &[u8]) {
    bytes.push(kind);
    let mut length = content.len();
    while length > 127 {
        bytes.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
}

/// The binary V2 form of a new macaroon.
pub fn create(
    root_key: &[u8; 32],
    location: Option<&str>,
    identifier: &[u8],
    caveats: &[String],
) -> Vec<u8> {
    let caveats: Vec<Vec<u8>> = caveats.iter().map(|caveat| caveat.clone().into_bytes()).collect();
    let signature = sign(root_key, identifier, &caveats);
    Unverified {
        identifier: identifier.to_vec(),
        caveats,
        location: location.map(str::to_owned),
        signature,
    }
    .write()
}

/// The chain of HMACs ("Macaroons", 2014, figures 1 and 2). Not the crate's: libsodium's SHA-256
/// below that knows nothing of the processor's, and took a tenth of a redemption and a quarter of a
/// challenge.
fn sign(root_key: &[u8; 32], identifier: &[u8], caveats: &[Vec<u8>]) -> [u8; 32] {
    let key = hmac_sha256(&KEY_GENERATOR, &[root_key]);
    caveats
        .iter()
        .fold(hmac_sha256(&key, &[identifier]), |signed, caveat| hmac_sha256(&signed, &[caveat]))
}

#[cfg(test)]
mod tests {
    use macaroon::{ByteString, Format, MacaroonKey};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::l402::credential::decode_base64;
    use crate::payment_hash::PaymentHash;

    fn write(macaroon: &Macaroon) -> Vec<u8> {
        Unverified::of(macaroon).unwrap().write()
    }

    proptest! {
        /// What the crate signs and writes is what we sign, verify and write, byte for byte.
        #[test]
        fn we_agree_with_the_crate(
            key in any::<[u8; 32]>(),
            identifier in vec(any::<u8>(), 1..300),
            caveats in vec(".{1,200}", 0..8),
            location in proptest::option::of("[a-z]{1,200}"),
        ) {
            let ours = create(&key, location.as_deref(), &identifier, &caveats);
            let root_key = MacaroonKey::generate(&key);
            let mut theirs = Macaroon::create(location, &root_key, ByteString(identifier)).unwrap();
            for caveat in caveats {
                theirs.add_first_party_caveat(ByteString(caveat.into_bytes()));
            }
            let written = theirs.serialize(Format::V2).unwrap();
            let written = decode_base64(written.as_bytes()).unwrap();
            let read = Unverified::of(&theirs).unwrap();
            prop_assert_eq!(&ours, &written);
            prop_assert_eq!(read.write(), written);
            prop_assert!(read.is_signed_by(&key));
        }
    }

    fn id() -> Identifier {
        Identifier {
            payment_hash: PaymentHash::from_bytes([5; 32]),
            token_id: crate::l402::identifier::TokenId::TEST,
        }
    }

    /// The vector of the facts: root key of 32 zero bytes, as go-macaroon, pymacaroons and the npm
    /// package sign it.
    #[test]
    fn root_step_and_layout_agree_with_other_libraries() {
        let key = MacaroonKey::generate(&[0; 32]);
        let mut m = Macaroon::create(None, &key, "example-id".into()).unwrap();
        m.add_first_party_caveat("account=12345".into());
        assert_eq!(
            hex::encode(write(&m)),
            "02020a6578616d706c652d69640002\
             0d6163636f756e743d3132333435000006\
             20c90d79274ec4f6c32a9ef2826ad46497374f47683e5f5e9e004f1d44f454e5eb"
        );
    }

    #[test]
    fn what_is_created_reads_back_and_verifies() {
        let bytes = create(&[1; 32], None, &id().to_bytes(), &["a=1".into(), "b=2".into()]);
        let read = read(&bytes).unwrap();
        assert_eq!(read.identifier, id());
        assert_eq!(read.unverified.caveats, vec![b"a=1".to_vec(), b"b=2".to_vec()]);
        assert!(read.unverified.is_signed_by(&[1; 32]));
        assert!(!read.unverified.is_signed_by(&[2; 32]));
    }

    #[test]
    fn bytes_after_the_end_a_location_and_other_formats_are_refused() {
        let mut bytes = create(&[1; 32], None, &id().to_bytes(), &[]);
        bytes.push(0);
        assert!(read(&bytes).is_none());
        assert!(read(b"").is_none());
        assert!(read(b"{}").is_none());
        let key = MacaroonKey::generate(&[1; 32]);
        let with_location =
            Macaroon::create(Some("here".into()), &key, ByteString(id().to_bytes().to_vec()))
                .unwrap();
        assert!(read(&write(&with_location)).is_none());
    }

    #[test]
    fn too_many_caveats_are_not_looked_at() {
        let many: Vec<String> = (0..=CAVEATS_MAX).map(|n| format!("a={n}")).collect();
        assert!(read(&create(&[1; 32], None, &id().to_bytes(), &many)).is_none());
    }
}
