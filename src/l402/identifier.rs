//! The 66 bytes that name a ticket: version, payment hash, token id (L402 specification, "Macaroon
//! Identifier").

use crate::era::Era;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Length of a version 0 identifier in bytes.
pub const LENGTH: usize = 66;

/// The identifier of version 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identifier {
    /// The payment that this ticket was bought with.
    pub payment_hash: PaymentHash,
    /// Whose token it is.
    pub token_id: TokenId,
}

/// The 32 bytes by which two macaroons over one payment hash would differ: when it was minted, in
/// which life of the ledger, and random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenId {
    /// When it was minted: Unix milliseconds, big-endian.
    pub minted: UnixTime,
    /// The ledger's life that it was minted in.
    pub era: Era,
    /// Random.
    pub random: [u8; 16],
}

impl TokenId {
    /// One for tests.
    #[cfg(test)]
    pub const TEST: Self = Self {
        minted: UnixTime::from_seconds(1_700_000_000),
        era: Era::from_bytes([6; 8]),
        random: [6; 16],
    };

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0_u8; 32];
        let (minted, rest) = bytes.split_at_mut(8);
        let (era, random) = rest.split_at_mut(8);
        minted.copy_from_slice(&self.minted.millis().to_be_bytes());
        era.copy_from_slice(self.era.as_bytes());
        random.copy_from_slice(&self.random);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (minted, rest) = bytes.split_at_checked(8)?;
        let (era, random) = rest.split_at_checked(8)?;
        Some(Self {
            minted: UnixTime::from_millis(u64::from_be_bytes(minted.try_into().ok()?)),
            era: Era::from_bytes(era.try_into().ok()?),
            random: random.try_into().ok()?,
        })
    }
}

impl Identifier {
    /// `u16` big-endian version 0, payment hash, token id.
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0_u8; LENGTH];
        let (_version, rest) = bytes.split_at_mut(2);
        let (hash, token) = rest.split_at_mut(32);
        hash.copy_from_slice(self.payment_hash.as_bytes());
        token.copy_from_slice(&self.token_id.to_bytes());
        bytes
    }

    /// `None` unless it has the length and the version of ours.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0, 0])?;
        let (hash, token) = rest.split_at_checked(32)?;
        Some(Self {
            payment_hash: PaymentHash::from_bytes(hash.try_into().ok()?),
            token_id: TokenId::from_bytes(token)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let token_id = TokenId {
            minted: UnixTime::from_millis(0x0102_0304_0506_0708),
            era: Era::from_bytes([9; 8]),
            random: [10; 16],
        };
        let id = Identifier { payment_hash: PaymentHash::from_bytes([7; 32]), token_id };
        let bytes = id.to_bytes();
        assert_eq!(&bytes[..2], &[0, 0]);
        assert_eq!(&bytes[34..51], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9, 10]);
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
