//! One member of an order's body, or one parameter of its query.

use bytes::Bytes;
use serde_json::Value;

use super::{Order, json, query};

impl Order {
    /// What it says in a member of its body, or as a parameter of its query; `None` where it says
    /// nothing there.
    pub fn member(&self, name: &str) -> Option<Value> {
        match &self.query {
            Some(query) => query::read(query).ok()?.remove(name).map(Value::from),
            None => json::parse(&self.body).ok()?.as_object_mut()?.remove(name),
        }
    }

    /// The same with another text there.
    pub fn with_member(&self, name: &str, text: String) -> Self {
        let mut other = self.clone();
        match &self.query {
            Some(query) => {
                let mut parameters = query::read(query).unwrap_or_default();
                parameters.insert(name.to_owned(), text);
                other.query = Some(query::write(&parameters));
            }
            None => {
                let changed = json::parse(&self.body).ok().and_then(|mut value| {
                    value.as_object_mut()?.insert(name.to_owned(), Value::from(text));
                    json::canonical(&value).ok()
                });
                other.body = changed.map_or_else(|| self.body.clone(), Bytes::from);
            }
        }
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Bind, Rules, Takes};

    #[test]
    fn a_member_is_read_and_put_in_body_and_query() {
        let rules = |takes| Rules { takes, needs_object: false, schema: None };
        let json = rules(Takes::Json("application/json".into(), Bind::Json));
        let body = json.check(Some(b"application/json"), None, "{\"b\":\"x\",\"a\":1}".into());
        let query = rules(Takes::Query).check(None, Some("b=x&a=1"), Bytes::new());
        for order in [body.unwrap(), query.unwrap()] {
            assert_eq!(order.member("b"), Some("x".into()));
            assert_eq!(order.member("c"), None);
            let other = order.with_member("b", "x & y".to_owned());
            assert_eq!((other.member("b"), other.bind()), (Some("x & y".into()), order.bind()));
            assert_eq!(other.member("a"), order.member("a"));
        }
    }
}
