//! Which ledger it is.

use std::fmt;

/// A random number that a ledger keeps for life. A master secret that was made with it names it, so
/// that neither is used without the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerId([u8; 8]);

impl LedgerId {
    /// A new one; `Err` if the system has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// From the number by which ledgers store it.
    pub const fn from_number(number: i64) -> Self {
        Self(number.to_be_bytes())
    }

    /// The number by which ledgers store it.
    pub const fn number(self) -> i64 {
        i64::from_be_bytes(self.0)
    }

    /// From 16 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
