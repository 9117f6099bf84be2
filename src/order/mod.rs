//! What a client asks to buy: the checked body, in the form in which it is priced, digested and forwarded. Pure.

pub mod digest;
pub mod json;
pub mod phone_number;
pub mod schema;

use bytes::Bytes;

use self::json::JsonError;
use self::schema::Schema;

/// How a request is digested and forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bind {
    /// As canonical JSON (RFC 8785): white space and key order don't matter.
    Json,
    /// Byte by byte.
    Exact,
}

/// What a service demands of a request.
pub struct Rules {
    /// How it is bound to a ticket.
    pub bind: Bind,
    /// Media type of the body, in lower case without parameters; `None` for a service without a body.
    pub content_type: Option<String>,
    /// What the JSON must look like; only with `Bind::Json` or a JSON media type.
    pub schema: Option<Schema>,
}

/// A request that satisfies its service's rules. It can only be made by checking one.
#[derive(Clone)]
pub struct Order {
    body: Bytes,
}

/// Why a request is not for sale.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The body isn't of the type that the service takes.
    #[error("this service takes {expected}; send it with the header `Content-Type: {expected}`")]
    ContentType {
        /// The media type that it takes.
        expected: String,
    },
    /// There is a body where none is taken.
    #[error("this service takes no body")]
    UnexpectedBody,
    /// The body isn't strict JSON.
    #[error("the body is not the JSON asked for: {0}")]
    Json(#[from] JsonError),
    /// The JSON isn't what the service's schema asks for.
    #[error("{}", .0.join("; "))]
    Schema(Vec<String>),
}

impl Rules {
    /// Checks content type and body, the same way with and without a ticket.
    pub fn check(&self, content_type: Option<&[u8]>, body: Bytes) -> Result<Order, Unfit> {
        let Some(expected) = &self.content_type else {
            return if body.is_empty() { Ok(Order { body }) } else { Err(Unfit::UnexpectedBody) };
        };
        if !content_type.is_some_and(|given| media_type_matches(given, expected)) {
            return Err(Unfit::ContentType { expected: expected.clone() });
        }
        if self.bind == Bind::Exact && self.schema.is_none() {
            return Ok(Order { body });
        }
        let value = json::parse(&body)?;
        if let Some(schema) = &self.schema {
            schema.check(&value).map_err(Unfit::Schema)?;
        }
        match self.bind {
            Bind::Exact => Ok(Order { body }),
            Bind::Json => Ok(Order { body: json::canonical(&value)?.into() }),
        }
    }
}

impl Order {
    /// What was priced, is digested, and goes upstream.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The texts in the order that must not come back in an error's words, longest first.
    pub fn private_texts(&self) -> Vec<String> {
        let mut texts = json::parse(&self.body).map(|value| json::texts(&value)).unwrap_or_default();
        texts.retain(|text| text.chars().count() >= 3);
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts
    }
}

/// Same type and subtype; the only parameter allowed is `charset=utf-8` (RFC 9110 section 8.3.1).
fn media_type_matches(given: &[u8], expected: &str) -> bool {
    let Ok(given) = std::str::from_utf8(given) else { return false };
    let mut parts = given.split(';').map(str::trim);
    parts.next().is_some_and(|media| media.eq_ignore_ascii_case(expected))
        && parts.filter(|parameter| !parameter.is_empty()).all(|parameter| {
            parameter
                .split_once('=')
                .is_some_and(|(name, value)| name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json;",
        ] {
            assert!(media_type_matches(good.as_bytes(), "application/json"), "{good}");
        }
        for bad in ["text/json", "application/json; charset=latin1", "application/json; boundary=x", "application/jsonx", ""] {
            assert!(!media_type_matches(bad.as_bytes(), "application/json"), "{bad}");
        }
    }

    #[test]
    fn white_space_and_key_order_do_not_matter_with_bind_json_and_do_with_exact() {
        let rules = |bind| Rules { bind, content_type: Some("application/json".into()), schema: None };
        let body = |bind, text: &'static str| rules(bind).check(Some(b"application/json"), text.into()).unwrap().body;
        let (a, b) = (r#"{ "b": 1.0, "a": "\u00e9" }"#, r#"{"a":"é","b":1}"#);
        assert_eq!(body(Bind::Json, a), body(Bind::Json, b));
        assert_eq!(body(Bind::Json, a), b);
        assert_eq!(body(Bind::Exact, a), a);
    }

    #[test]
    fn a_service_without_a_body_takes_none() {
        let rules = Rules { bind: Bind::Exact, content_type: None, schema: None };
        assert!(rules.check(None, Bytes::new()).is_ok());
        assert!(matches!(rules.check(None, "x".into()), Err(Unfit::UnexpectedBody)));
    }
}
