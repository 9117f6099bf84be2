//! What 402s, problems and quotes look like, as JSON Schemas.

use serde_json::{Value, json};

use super::object::put;
use crate::code::{Code, Retry};

/// `Challenge`, `Problem`, `Quote`.
pub(super) fn shared() -> Value {
    json!({ "Challenge": challenge(), "Problem": problem(), "Quote": quote() })
}

fn problem() -> Value {
    let errors = Code::ALL.iter().filter(|code| code.status().as_u16() >= 400);
    let words: Vec<&str> = errors.map(|code| code.word()).collect();
    let mut properties = members(&words);
    put(&mut properties, "upstreamStatus", json!({ "type": "integer" }));
    put(&mut properties, "upstreamSays", json!({ "type": "string" }));
    put(
        &mut properties,
        "errors",
        json!({
            "type": "array",
            "description": "All that is wrong with the request",
            "items": { "type": "object", "required": ["field", "rule", "expected"], "properties": {
                "field": { "type": "string", "description": "JSON pointer, no first slash" },
                "rule": { "type": "string", "description": "The schema's keyword" },
                "expected": { "type": "string", "description": "What would be right" },
            }},
        }),
    );
    json!({
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "code", "detail", "charged", "retry"],
        "properties": properties,
    })
}

fn challenge() -> Value {
    let offers = Code::ALL.iter().filter(|code| code.status().as_u16() == 402);
    let mut properties = members(&offers.map(|code| code.word()).collect::<Vec<_>>());
    let texts = [
        ("macaroon", "To be sent with the preimage"),
        ("invoice", "BOLT 11: what to pay"),
        ("paymentHash", "Of the invoice, in hexadecimal digits"),
        ("service", "What is bought"),
        ("next", "The third step as a command; PREIMAGE stands for the preimage"),
        ("retryPolicy", "What a payer can rely on"),
        ("statusUrl", "Where the holder of the macaroon hears of the payment"),
        ("quoteUrl", "Where the price is asked for without an invoice"),
        ("docs", "How to buy"),
    ];
    for (name, words) in texts {
        put(&mut properties, name, json!({ "type": "string", "description": words }));
    }
    let numbers = [
        ("priceSats", "Satoshi, rounded up"),
        ("priceMsat", "Millisatoshi"),
        ("expiresAt", "Until when the invoice can be paid, in Unix seconds"),
        ("passUntil", "Of a pass: until when it is good, in Unix seconds"),
        ("passUses", "Of a pass: how many requests"),
    ];
    for (name, words) in numbers {
        put(&mut properties, name, json!({ "type": "integer", "description": words }));
    }
    let required = [
        "macaroon",
        "invoice",
        "paymentHash",
        "priceSats",
        "priceMsat",
        "expiresAt",
        "service",
        "next",
        "retryPolicy",
        "quoteUrl",
        "docs",
        "code",
        "detail",
        "charged",
        "retry",
    ];
    json!({ "type": "object", "required": required, "properties": properties })
}

/// What problems and the 402 have in common.
fn members(codes: &[&str]) -> Value {
    json!({
        "type": { "type": "string" },
        "title": { "type": "string" },
        "status": { "type": "integer" },
        "code": { "type": "string", "enum": codes },
        "detail": { "type": "string" },
        "charged": {
            "type": ["boolean", "null"],
            "description": "Whether the ticket is spent; null: nobody knows yet",
        },
        "retry": { "type": "string", "enum": Retry::ALL.map(Retry::word) },
    })
}

fn quote() -> Value {
    json!({
        "type": "object",
        "required": ["service", "price_sat", "price_msat"],
        "properties": {
            "service": { "type": "string" },
            "price_sat": { "type": "integer" },
            "price_msat": { "type": "integer" },
            "encoding": { "type": "string", "enum": ["gsm7", "ucs2"] },
            "characters": { "type": "integer" },
            "segments": { "type": "integer" },
            "max_segments": { "type": "integer" },
            "fiat": {
                "type": "object",
                "properties": { "currency": { "type": "string" }, "amount": { "type": "string" } },
            },
        },
    })
}
