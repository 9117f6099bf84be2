//! What was asked for with a ticket, kept sealed until it is known what became of it, so that the
//! operator can be shown what a parked ticket was for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName};
use serde_json::{Map, Value, json};

use crate::keys::{KeyRing, Keys};
use crate::order::Order;
use crate::payment_hash::PaymentHash;
use crate::seal;

/// Longest text that is sealed, in bytes.
const TEXT_MAX: usize = 4096;

/// `None` if it is too long, or the system has no randomness.
pub(super) fn seal(
    keys: &Keys,
    hash: &PaymentHash,
    service: &str,
    order: &Order,
    client: &HeaderMap,
    forwarded: &[HeaderName],
) -> Option<Vec<u8>> {
    let header = |name: &HeaderName| {
        let value = client.get(name)?.to_str().ok()?;
        Some((name.to_string(), Value::from(value)))
    };
    let headers: Map<String, Value> = forwarded.iter().filter_map(header).collect();
    let text = json!({
        "service": service,
        "query": order.query(),
        "body": body(order.body()),
        "headers": headers,
    });
    let text = text.to_string();
    if text.len() > TEXT_MAX {
        return None;
    }
    seal::seal(keys.seal_key(), keys.fingerprint(), hash.as_bytes(), text.as_bytes())
}

/// The order again, as JSON. `None` if it was changed, or its secret is gone.
pub fn open(ring: &KeyRing, hash: &PaymentHash, sealed: &[u8]) -> Option<Value> {
    let keys = ring.of(seal::sealed_with(sealed)?)?;
    let text = seal::open(keys.seal_key(), hash.as_bytes(), sealed)?;
    serde_json::from_slice(&text).ok()
}

/// JSON as it is, other text as text, anything else in base64.
fn body(bytes: &[u8]) -> Value {
    if let Ok(json) = serde_json::from_slice(bytes) {
        return json;
    }
    match std::str::from_utf8(bytes) {
        Ok("") => Value::Null,
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}
