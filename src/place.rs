//! Names the place that a request was sent to.

use crate::hmac::hmac_sha256;

/// Keyed hash of everything by which an upstream is reached, and of where it takes our name for a
/// request. What one place says of a request, or throws away as a repeat, says nothing of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place([u8; 16]);

impl Place {
    /// The first half of HMAC-SHA256 over the parts, each with its length before it.
    pub fn of(key: &[u8; 32], parts: &[&[u8]]) -> Self {
        let mut framed = Vec::new();
        for part in parts {
            framed.extend_from_slice(&(part.len() as u64).to_be_bytes());
            framed.extend_from_slice(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(hmac_sha256(key, &[&framed]).split_at(16).0);
        Self(bytes)
    }

    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let of = |parts: &[&[u8]]| Place::of(&[1; 32], parts);
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"ab", b"d"]));
        assert_ne!(of(&[b"ab"]), Place::of(&[2; 32], &[b"ab"]));
    }
}
