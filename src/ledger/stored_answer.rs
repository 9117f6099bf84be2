//! The upstream's answer as the ledger keeps it, for a client that asks again.

use bytes::Bytes;

/// An answer that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status, always a 2xx.
    pub status: u16,
    /// Header fields that belong to the answer (names in lower case).
    pub headers: Vec<(String, String)>,
    /// `None` if it was too long to keep or cut short.
    pub body: Option<Bytes>,
}

impl StoredAnswer {
    /// Roughly what it takes in memory, in bytes.
    pub fn weight(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        headers + self.body.as_ref().map_or(0, Bytes::len) + 128
    }
}
