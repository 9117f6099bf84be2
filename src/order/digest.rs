//! The digest that binds a ticket to the request that it was bought for. Keyed: a bare hash of a
//! number and a short text could be guessed.

use super::Bind;
use crate::hmac::hmac_sha256;
use crate::request_digest::RequestDigest;

/// Names the framing; a change of it is a new version.
const VERSION: &[u8] = b"farebox/request/v2";

/// What is bound.
pub struct Bound<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// How the body was read.
    pub binding: Bind,
    /// The canonical query, empty if there is none.
    pub query: &'a str,
    /// The body as it is forwarded.
    pub body: &'a [u8],
}

/// HMAC-SHA256 over the parts, each with its length before it, so that no two sequences look the
/// same. Method, path, host and media type are not among them: a service has one of each, and one
/// that moves must not make paid tickets worthless.
pub fn digest(key: &[u8; 32], bound: &Bound<'_>) -> RequestDigest {
    let parts = [
        VERSION,
        bound.service.as_bytes(),
        bound.binding.word().as_bytes(),
        bound.query.as_bytes(),
        bound.body,
    ];
    let lengths = parts.map(|part| (part.len() as u64).to_be_bytes());
    let mut framed: [&[u8]; 10] = [&[]; 10];
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

    fn of(service: &str, binding: Bind, query: &str, body: &str) -> [u8; 32] {
        let bound = Bound { service, binding, query, body: body.as_bytes() };
        *digest(&[1; 32], &bound).as_bytes()
    }

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let all = [
            of("a", Bind::Json, "q", "body"),
            of("b", Bind::Json, "q", "body"),
            of("a", Bind::Exact, "q", "body"),
            of("a", Bind::Json, "r", "body"),
            of("a", Bind::Json, "q", "bodx"),
            of("a", Bind::Json, "qb", "ody"),
            of("a", Bind::Json, "", "qbody"),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(of("a", Bind::Json, "q", "body"), all[0]);
        let bound = Bound { service: "a", binding: Bind::Json, query: "q", body: b"body" };
        assert_ne!(*digest(&[2; 32], &bound).as_bytes(), all[0]);
    }
}
