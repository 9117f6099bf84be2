//! What a service costs, as programs read it.

use serde_json::{Value, json};

use super::description::ForSale;
use super::object::put;
use crate::price::Msat;

/// How its price comes about, as the discovery draft says it; where it depends on the request, the
/// quote tells it.
pub(super) fn model(sold: ForSale<'_>) -> Value {
    match sold.offer.pricing.fixed() {
        Some(price) => json!({ "model": "fixed", "price_msat": price.get() }),
        None => json!({ "model": "dynamic" }),
    }
}

/// The same as `x-payment-info` has it.
pub(super) fn payment_info(sold: ForSale<'_>) -> Value {
    let mut offer = json!({
        "intent": "charge", "method": "lightning", "currency": "sat",
        "description": sold.buys(),
    });
    let mut price = json!({ "mode": "dynamic", "currency": "BTC" });
    if let Some(fixed) = sold.offer.pricing.fixed() {
        put(&mut offer, "amount", fixed.sat().to_string());
        price = json!({ "mode": "fixed", "currency": "BTC", "amount": bitcoin(fixed) });
    } else if let Some((low, high)) = sold.offer.price_range() {
        put(&mut price, "min", bitcoin(low));
        put(&mut price, "max", bitcoin(high));
    }
    json!({
        "offers": [offer],
        "price": price,
        "protocols": [{ "l402": { "method": "lightning", "currency": "sat" } }],
    })
}

fn bitcoin(price: Msat) -> String {
    format!("{}.{:08}", price.sat() / 100_000_000, price.sat() % 100_000_000)
}
