//! A request that a service would sell, made up from its rules: for documents, and for programs
//! that try what they read.

use serde_json::{Map, Value, json};

use super::{Rules, Takes};

/// How deep a schema is followed.
const DEPTH_MAX: usize = 6;

/// `None` where the rules take nothing, or nothing that could be made up satisfies them.
pub fn of(rules: &Rules) -> Option<Value> {
    let candidate = match (&rules.takes, &rules.schema) {
        (Takes::Nothing, _) => return None,
        (Takes::Bytes(media), _) if media.starts_with("text/") => json!("Hello"),
        (Takes::Bytes(_), _) => return None,
        (Takes::Json(..) | Takes::Query, None) => json!({}),
        (Takes::Json(..) | Takes::Query, Some(schema)) => by_schema(schema.source(), DEPTH_MAX)?,
    };
    rules.order_of(&candidate).is_ok().then_some(candidate)
}

/// What a schema's own examples say, else the simplest that its keywords ask for.
fn by_schema(schema: &Value, depth: usize) -> Option<Value> {
    let own = ["const", "example", "default"].into_iter().find_map(|key| schema.get(key));
    let first = |key| schema.get(key).and_then(Value::as_array).and_then(|list| list.first());
    if let Some(own) = own.or_else(|| first("examples")).or_else(|| first("enum")) {
        return Some(own.clone());
    }
    let depth = depth.checked_sub(1)?;
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.iter().find_map(Value::as_str)?,
        _ if schema.get("properties").is_some() => "object",
        _ => "string",
    };
    match kind {
        "object" => object(schema, depth),
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
            let item = schema.get("items").and_then(|items| by_schema(items, depth));
            let count = usize::try_from(least).ok().filter(|count| *count <= 10)?;
            match item {
                Some(item) => Some(Value::Array(vec![item; count.max(1)])),
                None => (count == 0).then(|| json!([])),
            }
        }
        "string" => Some(text(schema).into()),
        "integer" | "number" => Some(number(schema)),
        "boolean" => Some(json!(true)),
        "null" => Some(Value::Null),
        _ => None,
    }
}

/// With the members that are required and, of the others, those that can be made up.
fn object(schema: &Value, depth: usize) -> Option<Value> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| {
        required.is_some_and(|names| names.iter().any(|required| required.as_str() == Some(name)))
    };
    let mut members = Map::new();
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        match by_schema(inner, depth) {
            Some(value) if is_required(name) => drop(members.insert(name.clone(), value)),
            None if is_required(name) => return None,
            _ => {}
        }
    }
    Some(Value::Object(members))
}

fn text(schema: &Value) -> String {
    let by_format = match schema.get("format").and_then(Value::as_str) {
        Some("e164") => "+1234567890",
        Some("email") => "someone@example.com",
        Some("uri") => "https://example.com/",
        Some("date") => "2026-01-31",
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("time") => "12:00:00Z",
        Some("uuid") => "123e4567-e89b-12d3-a456-426614174000",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("hostname") => "example.com",
        _ => "",
    };
    if !by_format.is_empty() {
        return by_format.to_owned();
    }
    let limit = |key| schema.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (least, most) = (limit("minLength").unwrap_or(0), limit("maxLength").unwrap_or(usize::MAX));
    let mut text: String = "Hello, this is a test!".chars().take(most).collect();
    // Longer than that nobody needs an example.
    for _ in text.chars().count()..least.min(1000) {
        text.push('.');
    }
    text
}

fn number(schema: &Value) -> Value {
    let of = |key| schema.get(key).and_then(Value::as_f64);
    let lowest = of("minimum").or_else(|| of("exclusiveMinimum").map(|least| least + 1.0));
    let highest = of("maximum").or_else(|| of("exclusiveMaximum").map(|most| most - 1.0));
    let chosen = lowest.unwrap_or_else(|| highest.unwrap_or(1.0).min(1.0));
    // Whole wherever it can be, since an integer may be asked for.
    if chosen.fract() == 0.0 && chosen.abs() < 1e15 { json!(chosen as i64) } else { json!(chosen) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Bind;
    use crate::order::schema::Schema;

    fn made_up(takes: Takes, schema: Value) -> Option<Value> {
        of(&Rules { takes, needs_object: false, schema: Some(Schema::compile(schema).unwrap()) })
    }

    fn json_body() -> Takes {
        Takes::Json("application/json".into(), Bind::Json)
    }

    #[test]
    fn an_example_satisfies_its_schema_or_there_is_none() {
        let sms = json!({"type": "object", "required": ["to", "text"], "properties": {
            "to": {"type": "string", "format": "e164"}, "text": {"type": "string", "maxLength": 5},
            "more": {"type": "string"},
        }});
        let example = made_up(json_body(), sms.clone());
        assert_eq!(example, Some(json!({"to": "+1234567890", "text": "Hello"})));
        assert_eq!(made_up(Takes::Query, sms), example);
        let odd = json!({"type": "object", "required": ["a", "b", "c"], "properties": {
            "a": {"type": "integer", "minimum": 7}, "b": {"type": "array", "minItems": 2, "items":
            {"enum": ["x", "y"]}}, "c": {"type": "object", "properties": {"d": {"const": 1}},
            "required": ["d"]},
        }});
        let expected = json!({"a": 7, "b": ["x", "x"], "c": {"d": 1}});
        assert_eq!(made_up(json_body(), odd), Some(expected));
        let pattern = json!({"type": "object", "required": ["a"], "properties":
            {"a": {"type": "string", "pattern": "^[0-9]{9}$"}}});
        assert_eq!(made_up(json_body(), pattern), None);
        let numbers = json!({"required": ["a"], "properties": {"a": {"type": "integer"}}});
        assert_eq!(made_up(Takes::Query, numbers), None, "a query has texts only");
    }

    #[test]
    fn a_schema_that_goes_on_for_ever_is_left() {
        let turtles = json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object",
            "required": ["b"], "properties": {"b": {"$ref": "#/$defs/a"}}}}});
        assert_eq!(made_up(json_body(), turtles), None);
    }
}
