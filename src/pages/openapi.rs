//! `/openapi.json`: OpenAPI 3.1, with what programs that pay read in it.

use serde_json::{Map, Value, json};

use super::description::{Described, Description, ForSale};
use super::object::put;
use super::pricing;
use crate::code::Code;
use crate::ledger::messages::DeliveryState;
use crate::order::Takes;
use crate::service::{QUOTE_PATH, STATUS_PATH};

/// Codes that no operation which is there answers with.
const ELSEWHERE: [Code; 3] = [Code::NotFound, Code::Moved, Code::MethodNotAllowed];

/// The document.
pub(super) fn document(description: &Description<'_>) -> Value {
    let (base, settings) = (description.base, description.settings);
    let mut info = json!({
        "title": settings.title(),
        "version": env!("CARGO_PKG_VERSION"),
        "summary": description.about(),
        "description": guidance(description),
        "x-guidance": guidance(description),
        "x-l402-version": "1.0",
        "x-l402-provider": { "name": settings.title(), "uri": base },
    });
    if let Some(contact) = &settings.contact {
        put(
            &mut info,
            "contact",
            match contact.strip_prefix("mailto:") {
                Some(email) => {
                    // Without a subject and the like (RFC 6068).
                    let email = email.split('?').next().unwrap_or_default();
                    json!({ "name": settings.title(), "email": email })
                }
                None => json!({ "name": settings.title(), "url": contact }),
            },
        );
    }
    if let Some(terms) = &settings.terms {
        put(&mut info, "termsOfService", terms.as_str());
    }
    json!({
        "openapi": "3.1.0",
        "info": info,
        "servers": [{ "url": base }],
        "externalDocs": { "url": format!("{base}/llms.txt"), "description": "How to buy" },
        "x-service-info": { "categories": ["communication"], "docs": {
            "homepage": format!("{base}/"),
            "llms": format!("{base}/llms.txt"),
            "apiReference": format!("{base}/openapi.json"),
        }},
        "x-agentcash-guidance": { "llmsTxtUrl": format!("{base}/llms.txt") },
        "x-l402-quote-endpoint": format!("{}{QUOTE_PATH}", description.prefix()),
        "x-l402-caveats": caveats(description),
        "paths": paths(description),
        "components": components(description),
    })
}

/// What a program has to know before all else.
pub(super) fn guidance(description: &Description<'_>) -> String {
    let mut said = "Each paid request is bought by L402: send it, get 402 with a macaroon and a \
                    Lightning invoice, pay the invoice, send the identical request again with \
                    `Authorization: L402 <macaroon>:<preimage>`. It is served exactly once. Where \
                    that fails (5xx, 409, 429), send the same request with the same ticket again: \
                    you are never charged twice."
        .to_owned();
    if let Some(network) = description.test_network {
        said.push_str(&format!(" This gate takes {network} coins: test money, worth nothing."));
    }
    said
}

/// The caveats that its tickets may have.
pub(super) fn caveats(description: &Description<'_>) -> Value {
    let mut caveats = json!({ "services": {
        "type": "string", "attenuation": "the services that the ticket is for",
    }});
    for sold in description.for_sale() {
        let name = &sold.service.name;
        put(
            &mut caveats,
            format!("{name}_valid_until"),
            json!({ "type": "integer", "attenuation": "may only be set earlier, in Unix seconds" }),
        );
    }
    caveats
}

fn paths(description: &Description<'_>) -> Value {
    let mut paths = Map::new();
    for described in &description.services {
        let path = paths.entry(described.service.path.clone()).or_insert_with(|| json!({}));
        put(path, described.service.method.as_str().to_ascii_lowercase(), operation(described));
    }
    paths.insert(format!("{QUOTE_PATH}/{{service}}"), json!({ "post": quote(description) }));
    if description.detects_payments {
        paths.insert(STATUS_PATH.to_owned(), json!({ "get": status() }));
    }
    Value::Object(paths)
}

fn operation(described: &Described<'_>) -> Value {
    let service = described.service;
    let mut operation = json!({
        "operationId": &*service.name,
        "summary": service.title,
        "security": [],
    });
    if let Some(about) = &service.about {
        put(&mut operation, "description", about.as_str());
    }
    let Some(sold) = described.for_sale() else {
        put(
            &mut operation,
            "responses",
            json!({ "default": { "description": "The service's answer" } }),
        );
        return operation;
    };
    put_input(&mut operation, sold);
    put(&mut operation, "x-payment-info", pricing::payment_info(sold));
    put(&mut operation, "x-l402-service", &*service.name);
    put(&mut operation, "x-l402-pricing", pricing::model(sold));
    put(&mut operation, "x-l402-constraints", json!({}));
    put(&mut operation, "responses", responses());
    operation
}

/// Where the request says what it wants.
fn put_input(operation: &mut Value, sold: ForSale<'_>) {
    let example = sold.offer.example.as_ref();
    let body = |media: &str, schema: Value| {
        let mut content = json!({ "schema": schema });
        if let Some(example) = example {
            put(&mut content, "example", example.clone());
        }
        json!({ "required": true, "content": { media: content } })
    };
    let reference = || json!({ "$ref": format!("#/components/schemas/{}", sold.service.name) });
    match &sold.offer.rules.takes {
        Takes::Nothing => {}
        Takes::Json(media, _) => {
            let schema = if sold.schema().is_some() { reference() } else { json!({}) };
            put(operation, "requestBody", body(media, schema));
        }
        Takes::Bytes(media) => {
            let schema = json!({ "type": "string", "contentMediaType": media });
            put(operation, "requestBody", body(media, schema));
        }
        Takes::Query => operation["parameters"] = parameters(sold).into(),
    }
}

fn parameters(sold: ForSale<'_>) -> Vec<Value> {
    let Some(schema) = sold.schema() else { return Vec::new() };
    let required = schema.get("required").and_then(Value::as_array);
    let members = schema.get("properties").and_then(Value::as_object);
    let parameter = |(name, inner): (&String, &Value)| {
        let is_required =
            required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
        let mut schema = followed(schema, inner);
        move_references(&mut schema, &sold.service.name);
        let mut parameter =
            json!({ "name": name, "in": "query", "required": is_required, "schema": schema });
        if let Some(example) = sold.offer.example.as_ref().and_then(|all| all.get(name)) {
            put(&mut parameter, "example", example.clone());
        }
        parameter
    };
    members.into_iter().flatten().map(parameter).collect()
}

/// A parameter's schema by itself: what a reference inside the whole stands for.
fn followed(whole: &Value, schema: &Value) -> Value {
    let mut at = schema;
    // One that leads to itself has no end.
    for _ in 0..5 {
        let reference = at.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| reference.strip_prefix('#'));
        match target.and_then(|pointer| whole.pointer(pointer)) {
            Some(target) => at = target,
            None => return at.clone(),
        }
    }
    json!({ "type": "string" })
}

/// By status, with the codes that it may have.
fn responses() -> Value {
    let mut responses = json!({ "200": { "description": "The service's answer, or its status" } });
    for code in Code::ALL.iter().filter(|code| code.status().as_u16() >= 400) {
        if ELSEWHERE.contains(code) {
            continue;
        }
        let status = code.status();
        let key = status.as_u16().to_string();
        let line = format!("`{}`: {}", code.word(), code.meaning());
        let before = responses.get(&key).and_then(|one| one["description"].as_str());
        let words = match before {
            Some(before) => format!("{before}\n\n{line}"),
            None => line,
        };
        put(
            &mut responses,
            key,
            match status.as_u16() {
                402 => json!({
                    "description": words,
                    "headers": {
                        "WWW-Authenticate": { "$ref": "#/components/headers/WWW-Authenticate" },
                        "Link": { "$ref": "#/components/headers/Link" },
                    },
                    "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Challenge" },
                    }},
                }),
                _ => json!({
                    "description": words,
                    "content": { "application/problem+json": {
                        "schema": { "$ref": "#/components/schemas/Problem" },
                    }},
                }),
            },
        );
    }
    responses
}

fn quote(description: &Description<'_>) -> Value {
    let names: Vec<&str> = description.for_sale().map(|sold| &*sold.service.name).collect();
    let example = description.for_sale().next();
    let example = example.and_then(|sold| sold.offer.example.clone()).unwrap_or(json!({}));
    json!({
        "operationId": "fareboxQuote",
        "summary": "What a request would cost, without an invoice",
        "description": "Takes what the service itself takes: its body, or its query. Answers the \
                        price, or the refusal that the sale would give.",
        "security": [],
        "parameters": [{
            "name": "service", "in": "path", "required": true, "schema": { "enum": names },
        }],
        "requestBody": { "required": false, "content": { "application/json": {
            "schema": {}, "example": example,
        }}},
        "responses": {
            "200": {
                "description": "The price",
                "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Quote" },
                }},
            },
            "default": {
                "description": "Not for sale, or not now",
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/Problem" },
                }},
            },
        },
    })
}

fn status() -> Value {
    json!({
        "operationId": "fareboxTicketStatus",
        "summary": "How a ticket stands, for who holds its macaroon",
        "description": "Send `Authorization: L402 <macaroon>:`. Once paid, the header field \
                        `L402-Preimage` has the preimage.",
        "security": [{ "l402": [] }],
        "parameters": [
            { "name": "wait", "in": "query", "description": "Seconds to wait for another state",
              "schema": { "type": "integer", "minimum": 1, "maximum": 60 } },
            { "name": "state", "in": "query", "description": "The state that is known",
              "schema": { "type": "string" } },
            { "name": "delivery", "in": "query",
              "description": "How far the message is known to have come",
              "schema": { "enum": DeliveryState::ALL.map(DeliveryState::word) } },
        ],
        "responses": {
            "200": {
                "description": "The state",
                "content": { "application/json": { "schema": {
                    "type": "object", "required": ["state", "paymentHash", "service"],
                    "properties": {
                        "state": { "type": "string" },
                        "delivery": {
                            "description": "How far a text message has come, where its backend \
                                            reports",
                            "type": "object", "required": ["state", "at"],
                            "properties": {
                                "state": { "enum": DeliveryState::ALL.map(DeliveryState::word) },
                                "at": { "type": "string", "format": "date-time" },
                            },
                        },
                        "paymentHash": { "type": "string" },
                        "service": { "type": "string" }, "reference": { "type": "string" },
                        "validUntil": { "type": "integer" },
                    },
                }}},
            },
            "default": {
                "description": "No ticket of this gate's, or nobody can tell now",
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/Problem" },
                }},
            },
        },
    })
}

fn components(description: &Description<'_>) -> Value {
    let mut schemas = super::openapi_schemas::shared();
    for sold in description.for_sale() {
        // What a query takes stands in its parameters, unless these refer to it.
        let is_elsewhere =
            sold.offer.rules.takes == Takes::Query && !parameters(sold).iter().any(has_reference);
        if let Some(schema) = sold.schema().filter(|_| !is_elsewhere) {
            let mut schema = schema.clone();
            if let Value::Object(members) = &mut schema {
                // References would start at the one, and the other may be of another draft.
                members.remove("$id");
                members.remove("$schema");
            }
            move_references(&mut schema, &sold.service.name);
            put(&mut schemas, &*sold.service.name, schema);
        }
    }
    json!({
        "securitySchemes": { "l402": {
            "type": "apiKey", "in": "header", "name": "Authorization", "x-l402-scheme": "L402",
            "description": "`L402 <macaroon>:<preimage>`, from a 402 and its payment",
        }},
        "headers": {
            "WWW-Authenticate": {
                "description": "`L402 macaroon=\"..\", invoice=\"..\"`: what to pay",
                "schema": { "type": "string" },
            },
            "Link": {
                "description": "Where this document and the manifest are",
                "schema": { "type": "string" },
            },
        },
        "schemas": schemas,
    })
}

fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.contains_key("$ref") || members.values().any(has_reference)
        }
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// References inside an operator's schema begin at its own root, which is a component here.
fn move_references(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(members) => {
            for (key, inner) in members {
                match inner {
                    // An anchor, or another document, is left as it is.
                    Value::String(reference)
                        if key == "$ref" && (reference == "#" || reference.starts_with("#/")) =>
                    {
                        let pointer = reference.trim_start_matches('#');
                        *reference = format!("#/components/schemas/{name}{pointer}");
                    }
                    inner => move_references(inner, name),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, name)),
        _ => {}
    }
}
