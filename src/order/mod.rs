//! What a client asks to buy: the checked body, in the form in which it is priced, digested and
//! forwarded. Pure.

pub mod digest;
pub mod example;
pub mod json;
pub mod keywords;
mod member;
pub mod phone_number;
pub mod query;
pub mod schema;
mod unfit;

use bytes::Bytes;
use serde_json::Value;

use self::schema::Schema;
pub use self::unfit::Unfit;

/// Longest canonical query, in bytes.
const QUERY_MAX_BYTES: usize = 16 * 1024;

/// How a JSON body is digested and forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bind {
    /// As canonical JSON (RFC 8785): white space and key order don't matter.
    Json,
    /// Byte by byte.
    Exact,
}

impl Bind {
    /// The word that config files and ledgers have for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Exact => "exact",
        }
    }
}

/// Where a request says what it wants. Media types are in lower case, without parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Takes {
    /// By its method and path alone.
    Nothing,
    /// In a JSON body of this media type.
    Json(String, Bind),
    /// In a body of this media type that we don't look into.
    Bytes(String),
    /// In the query, as an object of texts.
    Query,
}

/// What a service demands of a request.
pub struct Rules {
    /// Where a request says what it wants.
    pub takes: Takes,
    /// Whether the JSON has to be an object, since our name for the request goes into it.
    pub needs_object: bool,
    /// What the JSON, or the query as an object, must look like.
    pub schema: Option<Schema>,
}

/// What is asked for, in the form in which it is digested and forwarded: of a request that
/// satisfies its service's rules, or of one that was sold before and so satisfied them.
#[derive(Clone)]
pub struct Order {
    bind: Bind,
    body: Bytes,
    query: Option<String>,
}

impl Rules {
    /// Checks what a request says, the same way with and without a ticket.
    pub fn check(
        &self,
        content_type: Option<&[u8]>,
        query: Option<&str>,
        body: Bytes,
    ) -> Result<Order, Unfit> {
        if query.is_some() && self.takes != Takes::Query {
            return Err(Unfit::UnexpectedQuery);
        }
        let expected = match &self.takes {
            Takes::Json(media, _) | Takes::Bytes(media) => media,
            Takes::Nothing | Takes::Query if !body.is_empty() => return Err(Unfit::UnexpectedBody),
            Takes::Nothing => return Ok(Order::exact(body, None)),
            Takes::Query => {
                let parameters = query::read(query.unwrap_or_default()).map_err(Unfit::Query)?;
                let value = query::as_json(&parameters);
                self.check_query(&value, query.unwrap_or_default())?;
                let canonical = query::write(&parameters);
                // Written canonically it may be three times as long, and a URL ends somewhere.
                if canonical.len() > QUERY_MAX_BYTES {
                    return Err(Unfit::Query("is too long"));
                }
                return Ok(Order::exact(body, Some(canonical)));
            }
        };
        if !content_type.is_some_and(|given| media_type_matches(given, expected)) {
            return Err(Unfit::ContentType { expected: expected.clone() });
        }
        let Takes::Json(_, bind) = self.takes else { return Ok(Order::exact(body, None)) };
        let value = json::parse(&body)?;
        if self.needs_object && !value.is_object() {
            return Err(Unfit::NoObject);
        }
        self.check_value(&value)?;
        match bind {
            Bind::Exact => Ok(Order::exact(body, None)),
            Bind::Json => Ok(Order { bind, body: json::canonical(&value)?.into(), query: None }),
        }
    }

    /// The order that asks for `wanted`: JSON for a JSON body, an object of texts for a query, a
    /// text for another body, null where a service takes nothing.
    pub fn order_of(&self, wanted: &Value) -> Result<Order, Unfit> {
        let content_type = Some(self.content_type().as_bytes());
        match (&self.takes, wanted) {
            (Takes::Nothing, Value::Null) => self.check(None, None, Bytes::new()),
            (Takes::Nothing, _) => Err(Unfit::Form("left out: this service takes nothing")),
            (Takes::Json(..), wanted) => self.check(content_type, None, wanted.to_string().into()),
            (Takes::Bytes(_), Value::String(text)) => {
                self.check(content_type, None, text.clone().into())
            }
            (Takes::Bytes(_), _) => Err(Unfit::Form("a text, which is this service's body")),
            (Takes::Query, wanted) => {
                let pairs = query::from_json(wanted);
                let pairs = pairs.ok_or(Unfit::Form("an object of texts, for the query"))?;
                self.check(None, Some(&query::write(&pairs)), Bytes::new())
            }
        }
    }

    /// How a request's body is read.
    pub fn bind(&self) -> Bind {
        match self.takes {
            Takes::Json(_, bind) => bind,
            Takes::Nothing | Takes::Bytes(_) | Takes::Query => Bind::Exact,
        }
    }

    /// The forms in which a request may have been sold before, the one of today first. None of them
    /// is judged: rules judge sales only.
    pub fn forms(&self, query: Option<&str>, body: &Bytes) -> impl Iterator<Item = Order> {
        let first = self.bind();
        let other = if first == Bind::Json { Bind::Exact } else { Bind::Json };
        let query =
            query.map(|query| query::read(query).map(|parameters| query::write(&parameters)));
        let form = move |bind| match &query {
            Some(Err(_)) => None,
            Some(Ok(query)) => Order::form(bind, body, Some(query.clone())),
            None => Order::form(bind, body, None),
        };
        [first, other].into_iter().filter_map(form)
    }

    /// The media type of the body; empty if there is none.
    pub fn content_type(&self) -> &str {
        match &self.takes {
            Takes::Json(media, _) | Takes::Bytes(media) => media,
            Takes::Nothing | Takes::Query => "",
        }
    }

    fn check_query(&self, value: &Value, written: &str) -> Result<(), Unfit> {
        self.check_value(value).map_err(|mut unfit| {
            if let Unfit::Schema(faults) = &mut unfit
                && let Some(first) = faults.first_mut()
                && written.contains('+')
            {
                first.sentence.push_str("; a + in a query stands for a blank, %2B for a +");
            }
            unfit
        })
    }

    fn check_value(&self, value: &Value) -> Result<(), Unfit> {
        if json::has_nul(value) {
            return Err(Unfit::Nul);
        }
        self.schema.as_ref().map_or(Ok(()), |schema| schema.check(value).map_err(Unfit::Schema))
    }
}

impl Order {
    fn exact(body: Bytes, query: Option<String>) -> Self {
        Self { bind: Bind::Exact, body, query }
    }

    /// `None` if the body can't be read so.
    fn form(bind: Bind, body: &Bytes, query: Option<String>) -> Option<Self> {
        let body = match bind {
            Bind::Exact => body.clone(),
            Bind::Json => json::canonical(&json::parse(body).ok()?).ok()?.into(),
        };
        Some(Self { bind, body, query })
    }

    /// How the body was read.
    pub fn bind(&self) -> Bind {
        self.bind
    }

    /// What was priced, is digested, and goes upstream.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The canonical query, if that is where the request says what it wants.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The texts in the order that must not come back in an error's words, longest first.
    pub fn private_texts(&self) -> Vec<String> {
        let mut texts =
            json::parse(&self.body).map(|value| json::texts(&value)).unwrap_or_default();
        texts.extend(
            query::read(self.query.as_deref().unwrap_or_default())
                .unwrap_or_default()
                .into_values(),
        );
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
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("charset")
                    && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
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
        for bad in [
            "text/json",
            "application/json; charset=latin1",
            "application/json; boundary=x",
            "application/jsonx",
            "",
        ] {
            assert!(!media_type_matches(bad.as_bytes(), "application/json"), "{bad}");
        }
    }

    fn rules(takes: Takes) -> Rules {
        Rules { takes, needs_object: false, schema: None }
    }

    fn json(bind: Bind) -> Rules {
        rules(Takes::Json("application/json".into(), bind))
    }

    #[test]
    fn white_space_and_key_order_do_not_matter_with_bind_json_and_do_with_exact() {
        let body = |bind, text: &'static str| {
            json(bind).check(Some(b"application/json"), None, text.into()).unwrap().body
        };
        let (a, b) = (r#"{ "b": 1.0, "a": "\u00e9" }"#, r#"{"a":"é","b":1}"#);
        assert_eq!(body(Bind::Json, a), body(Bind::Json, b));
        assert_eq!(body(Bind::Json, a), b);
        assert_eq!(body(Bind::Exact, a), a);
    }

    #[test]
    fn what_was_sold_in_another_form_is_found_again() {
        let text = Bytes::from(r#"{ "a": 1 }"#);
        let sold = |bind| json(bind).check(Some(b"application/json"), None, text.clone()).unwrap();
        for (then, now) in [(Bind::Json, Bind::Exact), (Bind::Exact, Bind::Json)] {
            let forms: Vec<Order> = json(now).forms(None, &text).collect();
            assert_eq!(forms.iter().map(Order::bind).collect::<Vec<_>>(), [now, then]);
            assert_eq!(forms[1].body(), sold(then).body());
        }
        let forms: Vec<Order> = rules(Takes::Query).forms(Some("b=2&a=1"), &Bytes::new()).collect();
        assert_eq!(forms[0].query(), Some("a=1&b=2"));
        assert_eq!(rules(Takes::Query).forms(Some("a=1&a=2"), &Bytes::new()).count(), 0);
    }

    #[test]
    fn where_our_name_goes_into_the_body_it_is_an_object() {
        let rules = Rules { needs_object: true, ..json(Bind::Json) };
        let of = |text: &'static str| rules.check(Some(b"application/json"), None, text.into());
        assert!(of("{}").is_ok());
        for bad in ["[1]", "1", "null", "\"a\""] {
            assert!(matches!(of(bad), Err(Unfit::NoObject)), "{bad}");
        }
    }

    #[test]
    fn what_a_service_does_not_take_is_refused() {
        assert!(rules(Takes::Nothing).check(None, None, Bytes::new()).is_ok());
        assert!(matches!(
            rules(Takes::Nothing).check(None, None, "x".into()),
            Err(Unfit::UnexpectedBody)
        ));
        assert!(matches!(
            rules(Takes::Nothing).check(None, Some(""), Bytes::new()),
            Err(Unfit::UnexpectedQuery)
        ));
        assert!(matches!(
            rules(Takes::Query).check(None, Some("a=1"), "x".into()),
            Err(Unfit::UnexpectedBody)
        ));
        assert!(matches!(
            rules(Takes::Query).check(None, Some("a=1&a=2"), Bytes::new()),
            Err(Unfit::Query(_))
        ));
        assert!(matches!(
            json(Bind::Exact).check(Some(b"application/json"), Some("a=1"), "1".into()),
            Err(Unfit::UnexpectedQuery)
        ));
    }

    #[test]
    fn a_text_that_ends_early_at_many_backends_is_refused() {
        let body = |text: &str| {
            let text = Bytes::from(text.to_owned());
            json(Bind::Json).check(Some(b"application/json"), None, text)
        };
        for bad in [r#"{"a":"b\u0000c"}"#, r#"{"a\u0000":1}"#, r#"[{"a":["\u0000"]}]"#] {
            assert!(matches!(body(bad), Err(Unfit::Nul)), "{bad}");
        }
        assert!(body(r#"{"a":"\\u0000"}"#).is_ok());
        let query = |text| rules(Takes::Query).check(None, Some(text), Bytes::new());
        for bad in ["a=b%00c", "a%00=b"] {
            assert!(matches!(query(bad), Err(Unfit::Nul)), "{bad}");
        }
    }

    #[test]
    fn a_query_has_one_form_and_is_checked_by_the_schema() {
        let schema = serde_json::json!({"required": ["to"], "additionalProperties": false,
        "properties": {
            "to": {"type": "string", "format": "e164"}, "text": {"type": "string"}
        }});
        let rules = Rules { schema: Some(Schema::compile(schema).unwrap()), ..rules(Takes::Query) };
        let of = |query: &str| {
            rules.check(None, Some(query), Bytes::new()).map(|order| order.query.unwrap())
        };
        assert_eq!(
            of("text=a+b%20c%2B&to=%2B1234567890").unwrap(),
            of("to=%2b1234567890&text=a%20b+c%2b").unwrap()
        );
        assert_eq!(
            of("to=%2B1234567890&text=%C3%A9%26x").unwrap(),
            "text=%C3%A9%26x&to=%2B1234567890"
        );
        for bad in [
            "to=%2B1234567890+%2B1234567891",
            "to=+1234567890",
            "to=%2B1234567890&x=1",
            "text=a",
            "",
            "to=%2B1234567890&text=%ff",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        let said = of("to=+1234567890").unwrap_err().to_string();
        assert!(said.contains("%2B for a +"), "{said}");
        assert!(
            of(&format!("to=%2B1234567890&text={}", "/".repeat(6000))).is_err(),
            "three times as long when written"
        );
    }
}
