//! Strict JSON: what two parsers could read differently is refused (I-JSON, RFC 7493), what is left
//! is written canonically (RFC 8785).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting that is read.
pub const DEPTH_MAX: u8 = 32;

/// Largest integer that every reader of JSON has as it was written: 2^53 - 1 (RFC 7493 section
/// 2.2).
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a text isn't the JSON that we take. The words hold nothing of the text.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// A byte order mark (RFC 8259 section 8.1).
    #[error("it starts with a byte order mark")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Not JSON, or not I-JSON.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
}

/// Reads one JSON value. Refused: duplicate keys (after unescaping), lone surrogates, numbers
/// beyond 2^53 - 1, more than 32 levels.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::ByteOrderMark);
    }
    let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { levels_left: DEPTH_MAX }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The one way to write a value (RFC 8785).
pub fn canonical(value: &Value) -> Result<Vec<u8>, JsonError> {
    Ok(serde_jcs::to_vec(value)?)
}

/// Whether U+0000 is in a text or a key.
pub fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => {
            members.iter().any(|(key, value)| key.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Every string in the value that isn't a key, and every number as text.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

struct Strict {
    levels_left: u8,
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        let levels_left = self.levels_left.checked_sub(1);
        let levels_left =
            levels_left.ok_or_else(|| E::custom(format_args!("more than {DEPTH_MAX} levels")))?;
        Ok(Self { levels_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > INTEGER_MAX { Err(too_large()) } else { Ok(value.into()) }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > INTEGER_MAX { Err(too_large()) } else { Ok(value.into()) }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // From here up there are only integers.
        if value.abs() > 9_007_199_254_740_991.0 {
            return Err(too_large());
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(too_large)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper()?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.deeper()?)?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice in one object"));
            }
        }
        Ok(Value::Object(object))
    }
}

fn too_large<E: serde::de::Error>() -> E {
    E::custom("a number is beyond 2^53 - 1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical_text(text: &str) -> String {
        String::from_utf8(canonical(&parse(text.as_bytes()).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn refuses_what_two_readers_could_take_differently() {
        let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
        for bad in [
            "",
            " ",
            "{",
            "{}x",
            "{} {}",
            "nul",
            "01",
            "+1",
            "1.",
            ".5",
            "NaN",
            "'a'",
            "{a:1}",
            "[1,]",
            "{\"a\":1,}",
            "\u{feff}{}",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"a":1,"a":1}}]"#,
            r#""\ud800""#,
            r#""\udc00x""#,
            r#""\ud800A""#,
            "\"a\nb\"",
            "9007199254740992",
            "-9007199254740992",
            "18446744073709551616",
            "1e16",
            "1e400",
            "-1e300",
            &deep,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse(b"\xef\xbb\xbf{}").is_err());
    }

    #[test]
    fn takes_the_limits() {
        let deep = format!("{}{}", "[".repeat(32), "]".repeat(32));
        for good in [
            "9007199254740991",
            "-9007199254740991",
            "1e15",
            "0.1",
            "null",
            "\"\\ud83d\\ude00\"",
            " [ ] ",
            &deep,
        ] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
    }

    /// RFC 8785 section 3.2.2 (numbers, escapes) and 3.2.3 (order by UTF-16 code units).
    #[test]
    fn agrees_with_the_rfc() {
        assert_eq!(
            canonical_text(
                &[
                    r#"{"numbers":[333333333.33333329,1E15,4.50,2e-3,"#,
                    r#"0.000000000000000000000000001,-0],"#,
                    r#""string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","#,
                    r#""literals":[null,true,false]}"#,
                ]
                .concat()
            ),
            [
                r#"{"literals":[null,true,false],"#,
                r#""numbers":[333333333.3333333,1000000000000000,4.5,0.002,1e-27,0],"#,
                r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#,
            ]
            .concat()
        );
        assert_eq!(
            canonical_text(
                "{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\
                 \"\\ud83d\\ude00\":5,\"\\u0080\":6,\"\\u00f6\":7}"
            ),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-(INTEGER_MAX as i64)..=INTEGER_MAX as i64).prop_map(Value::from),
            (-1e15..1e15).prop_map(Value::from),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point_and_keeps_the_value(value in values()) {
            let once = canonical(&value).unwrap();
            let again = parse(&once).unwrap();
            prop_assert_eq!(canonical(&again).unwrap(), once.clone());
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            prop_assert_eq!(canonical(&parse(&pretty).unwrap()).unwrap(), once);
        }

        #[test]
        fn no_input_panics(text in any::<Vec<u8>>()) {
            let _ = parse(&text);
        }
    }
}
