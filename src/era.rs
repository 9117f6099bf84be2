//! Which life of a ledger a ticket was minted in.

/// A random number that a ledger gets when it is made, and again each time that it is put back from
/// a copy. Of a ticket of another era nobody knows whether it was spent meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Era([u8; 8]);

impl Era {
    /// From its 8 bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The 8 bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// From the number by which ledgers store it.
    pub const fn from_number(number: i64) -> Self {
        Self(number.to_be_bytes())
    }

    /// The number by which ledgers store it.
    pub const fn number(self) -> i64 {
        i64::from_be_bytes(self.0)
    }
}
