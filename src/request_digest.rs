//! What binds a ticket to the request that it was bought for.

use std::fmt;

/// Keyed digest of a request (HMAC-SHA256, see `order::digest`). Not a bare hash, by which a number
/// and a short text could be guessed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest([u8; 32]);

impl RequestDigest {
    /// Stands in the rows of uses of passes, which are bound to no request.
    pub const NONE: Self = Self([0; 32]);

    /// From its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
