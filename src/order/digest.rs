//! The digest that binds a ticket to the request that it was bought for. Keyed: a bare hash of a
//! number and a short text could be guessed.

use crate::hmac::hmac_sha256;
use crate::request_digest::RequestDigest;

/// Names the framing; a change of it is a new version.
const VERSION: &[u8] = b"farebox/request/v1";

/// What is bound.
pub struct Bound<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// Request method.
    pub method: &'a str,
    /// Path with query, as the service matches it.
    pub path: &'a str,
    /// Media type of the body, empty if there is none.
    pub content_type: &'a str,
    /// The body as it is forwarded.
    pub body: &'a [u8],
}

/// HMAC-SHA256 over the parts, each with its length before it, so that no two sequences look the
/// same.
pub fn digest(key: &[u8; 32], bound: &Bound<'_>) -> RequestDigest {
    let parts = [
        VERSION,
        bound.service.as_bytes(),
        bound.method.as_bytes(),
        bound.path.as_bytes(),
        bound.content_type.as_bytes(),
        bound.body,
    ];
    let lengths = parts.map(|part| (part.len() as u64).to_be_bytes());
    let mut framed: [&[u8]; 12] = [&[]; 12];
    for (slots, (length, part)) in framed.chunks_exact_mut(2).zip(lengths.iter().zip(parts)) {
        if let [a, b] = slots {
            (*a, *b) = (length, part);
        }
    }
    RequestDigest::from_bytes(hmac_sha256(key, &framed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: &str, method: &str, path: &str, content_type: &str, body: &str) -> [u8; 32] {
        *digest(&[1; 32], &Bound { service, method, path, content_type, body: body.as_bytes() })
            .as_bytes()
    }

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let all = [
            of("a", "POST", "/p", "t", "body"),
            of("b", "POST", "/p", "t", "body"),
            of("a", "PUT", "/p", "t", "body"),
            of("a", "POST", "/q", "t", "body"),
            of("a", "POST", "/p", "u", "body"),
            of("a", "POST", "/p", "t", "bodx"),
            of("a", "POST", "/p", "tb", "ody"),
            of("a", "POS", "T/p", "t", "body"),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(of("a", "POST", "/p", "t", "body"), all[0]);
        let other_key = digest(
            &[2; 32],
            &Bound { service: "a", method: "POST", path: "/p", content_type: "t", body: b"body" },
        );
        assert_ne!(*other_key.as_bytes(), all[0]);
    }
}
