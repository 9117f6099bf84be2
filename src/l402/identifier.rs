//! The 66 bytes that name a ticket: version, payment hash, token id (L402 specification, "Macaroon
//! Identifier").

use crate::payment_hash::PaymentHash;

/// Length of a version 0 identifier in bytes.
pub const LENGTH: usize = 66;

/// The identifier of version 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identifier {
    /// The payment that this ticket was bought with.
    pub payment_hash: PaymentHash,
    /// Random, so that two macaroons over one payment hash would differ.
    pub token_id: [u8; 32],
}

impl Identifier {
    /// `u16` big-endian version 0, payment hash, token id.
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0_u8; LENGTH];
        let (_version, rest) = bytes.split_at_mut(2);
        let (hash, token) = rest.split_at_mut(32);
        hash.copy_from_slice(self.payment_hash.as_bytes());
        token.copy_from_slice(&self.token_id);
        bytes
    }

    /// `None` unless it has the length and the version of ours.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0, 0])?;
        let (hash, token) = rest.split_at_checked(32)?;
        Some(Self {
            payment_hash: PaymentHash::from_bytes(hash.try_into().ok()?),
            token_id: token.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let id = Identifier { payment_hash: PaymentHash::from_bytes([7; 32]), token_id: [9; 32] };
        let bytes = id.to_bytes();
        assert_eq!(&bytes[..2], &[0, 0]);
        assert_eq!(Identifier::from_bytes(&bytes), Some(id));
    }

    #[test]
    fn other_lengths_and_versions_are_not_ours() {
        assert_eq!(Identifier::from_bytes(&[0; 65]), None);
        assert_eq!(Identifier::from_bytes(&[0; 67]), None);
        assert_eq!(Identifier::from_bytes(&[1; 66]), None);
        assert_eq!(Identifier::from_bytes(&[]), None);
    }
}
