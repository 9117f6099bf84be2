//! Seals what is kept for the operator's eyes only: AES-256-GCM.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::keys::Fingerprint;

/// Names the layout: this byte, the fingerprint of the secret that seals, the nonce, and what
/// AES-256-GCM makes of the text with its tag.
const VERSION: u8 = 1;

const HEAD: usize = 1 + 16 + NONCE_LEN;

/// Seals a text for `about`, which has to be named again to open it. `None` if the system has no
/// randomness.
pub fn seal(key: &[u8; 32], secret: Fingerprint, about: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).ok()?;
    let mut sealed = Vec::with_capacity(HEAD + text.len() + 16);
    sealed.push(VERSION);
    sealed.extend_from_slice(secret.as_bytes());
    sealed.extend_from_slice(&nonce);
    let mut hidden = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    self::key(key)?.seal_in_place_append_tag(nonce, Aad::from(about), &mut hidden).ok()?;
    sealed.extend_from_slice(&hidden);
    Some(sealed)
}

/// The secret that something was sealed with.
pub fn sealed_with(sealed: &[u8]) -> Option<Fingerprint> {
    let (head, _) = sealed.split_at_checked(HEAD)?;
    let fingerprint = head.strip_prefix(&[VERSION])?.get(..16)?;
    Some(Fingerprint::from_bytes(fingerprint.try_into().ok()?))
}

/// Opens what `seal` made. `None` for another key, another subject, or a bit that was changed.
pub fn open(key: &[u8; 32], about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (head, hidden) = sealed.split_at_checked(HEAD)?;
    let nonce = head.strip_prefix(&[VERSION])?.get(16..)?.try_into().ok()?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    let mut hidden = hidden.to_vec();
    let text = self::key(key)?.open_in_place(nonce, Aad::from(about), &mut hidden).ok()?;
    Some(text.to_vec())
}

fn key(bytes: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Fingerprint = Fingerprint::from_bytes([3; 16]);

    #[test]
    fn what_is_sealed_opens_for_its_subject_with_its_key_and_unchanged() {
        let sealed = seal(&[1; 32], SECRET, b"ticket", b"a message").unwrap();
        assert_eq!(open(&[1; 32], b"ticket", &sealed).unwrap(), b"a message");
        assert_eq!(sealed_with(&sealed), Some(SECRET));
        assert!(open(&[2; 32], b"ticket", &sealed).is_none());
        assert!(open(&[1; 32], b"another", &sealed).is_none());
        for at in [0, 20, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&[1; 32], b"ticket", &changed).is_none(), "{at}");
        }
        assert!(open(&[1; 32], b"ticket", &sealed[..10]).is_none());
        assert!(!sealed.windows(9).any(|part| part == b"a message"));
        assert_ne!(seal(&[1; 32], SECRET, b"ticket", b"a message").unwrap(), sealed);
    }
}
