//! Macaroon bytes: the only file that names the `macaroon` crate. Binary V2, first-party caveats, no location.
//!
//! That crate writes whole macaroons to the `log` facade at debug level: Farebox must never install a bridge from `log`.

use macaroon::{ByteString, Caveat, Format, Macaroon, MacaroonKey};
use subtle::ConstantTimeEq;

use super::identifier::Identifier;

/// Longest macaroon that is looked at, in bytes. Ours have about 300; holders may add caveats.
pub const MAX_LENGTH: usize = 4096;

/// Most caveats that are looked at, so that one request can't buy many HMACs.
pub const MAX_CAVEATS: usize = 64;

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

/// Reads what we could have minted. `None` for another identifier, or a location, which no signature would cover.
pub fn read(bytes: &[u8]) -> Option<Ours> {
    let unverified = read_any(bytes)?;
    let identifier = Identifier::from_bytes(&unverified.identifier)?;
    unverified.location.is_none().then_some(Ours { identifier, unverified })
}

/// Reads binary V2. `None` for another format, too much of it, third-party caveats, bytes after the end, or a longer way to write the same.
pub fn read_any(bytes: &[u8]) -> Option<Unverified> {
    if bytes.len() > MAX_LENGTH || bytes.first() != Some(&2) {
        return None;
    }
    let read = Macaroon::deserialize_binary(bytes).ok()?;
    if write(&read)? != bytes {
        return None;
    }
    let caveats = read.caveats();
    if caveats.len() > MAX_CAVEATS {
        return None;
    }
    let caveats = caveats
        .into_iter()
        .map(|caveat| match caveat {
            Caveat::FirstParty(first) => Some(first.predicate().0),
            Caveat::ThirdParty(_) => None,
        })
        .collect::<Option<Vec<_>>>()?;
    let signature = read.signature();
    let signature: &[u8; 32] = signature.as_ref();
    Some(Unverified { identifier: read.identifier().0, caveats, location: read.location(), signature: *signature })
}

impl Unverified {
    /// Whether the signature is the one that `root_key` gives over this identifier and these caveats. In constant time.
    pub fn is_signed_by(&self, root_key: &[u8; 32]) -> bool {
        let Some(ours) = build(root_key, None, &self.identifier, self.caveats.iter().map(Vec::as_slice)) else { return false };
        let expected = ours.signature();
        let expected: &[u8; 32] = expected.as_ref();
        bool::from(expected.ct_eq(&self.signature))
    }
}

/// The binary V2 form of a new macaroon. `None` only if the crate can't write it, which it can for identifiers that aren't empty.
pub fn create(root_key: &[u8; 32], location: Option<&str>, identifier: &[u8], caveats: &[String]) -> Option<Vec<u8>> {
    write(&build(root_key, location, identifier, caveats.iter().map(String::as_bytes))?)
}

fn build<'a>(root_key: &[u8; 32], location: Option<&str>, identifier: &[u8], caveats: impl Iterator<Item = &'a [u8]>) -> Option<Macaroon> {
    // `generate` does the step "macaroons-key-generator"; `MacaroonKey::from` would leave it out.
    let key = MacaroonKey::generate(root_key);
    let mut built = Macaroon::create(location.map(str::to_owned), &key, ByteString(identifier.to_vec())).ok()?;
    for caveat in caveats {
        built.add_first_party_caveat(ByteString(caveat.to_vec()));
    }
    Some(built)
}

fn write(macaroon: &Macaroon) -> Option<Vec<u8>> {
    // The crate prints url-safe base64 only.
    super::credential::decode_base64(macaroon.serialize(Format::V2).ok()?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l402::identifier::PaymentHash;

    fn id() -> Identifier {
        Identifier { payment_hash: PaymentHash::from_bytes([5; 32]), token_id: [6; 32] }
    }

    /// The vector of the facts: root key of 32 zero bytes, as go-macaroon, pymacaroons and the npm package sign it.
    #[test]
    fn root_step_and_layout_agree_with_other_libraries() {
        let key = MacaroonKey::generate(&[0; 32]);
        let mut m = Macaroon::create(None, &key, "example-id".into()).unwrap();
        m.add_first_party_caveat("account=12345".into());
        assert_eq!(
            hex::encode(write(&m).unwrap()),
            "02020a6578616d706c652d69640002\
             0d6163636f756e743d3132333435000006\
             20c90d79274ec4f6c32a9ef2826ad46497374f47683e5f5e9e004f1d44f454e5eb"
        );
    }

    #[test]
    fn what_is_created_reads_back_and_verifies() {
        let bytes = create(&[1; 32], None, &id().to_bytes(), &["a=1".into(), "b=2".into()]).unwrap();
        let read = read(&bytes).unwrap();
        assert_eq!(read.identifier, id());
        assert_eq!(read.unverified.caveats, vec![b"a=1".to_vec(), b"b=2".to_vec()]);
        assert!(read.unverified.is_signed_by(&[1; 32]));
        assert!(!read.unverified.is_signed_by(&[2; 32]));
    }

    #[test]
    fn bytes_after_the_end_a_location_and_other_formats_are_refused() {
        let mut bytes = create(&[1; 32], None, &id().to_bytes(), &[]).unwrap();
        bytes.push(0);
        assert!(read(&bytes).is_none());
        assert!(read(b"").is_none());
        assert!(read(b"{}").is_none());
        let key = MacaroonKey::generate(&[1; 32]);
        let with_location = Macaroon::create(Some("here".into()), &key, ByteString(id().to_bytes().to_vec())).unwrap();
        assert!(read(&write(&with_location).unwrap()).is_none());
    }

    #[test]
    fn too_many_caveats_are_not_looked_at() {
        let many: Vec<String> = (0..=MAX_CAVEATS).map(|n| format!("a={n}")).collect();
        assert!(read(&create(&[1; 32], None, &id().to_bytes(), &many).unwrap()).is_none());
    }
}
