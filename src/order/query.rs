//! A query as an object of texts (WHATWG URL standard, `application/x-www-form-urlencoded`), and
//! its one canonical form.

use std::collections::BTreeMap;

use serde_json::Value;

/// Parameters by name. No name stands twice: backends differ in which of the two they take.
pub type Parameters = BTreeMap<String, String>;

/// Reads a query. The words of the error hold nothing of it.
pub fn read(query: &str) -> Result<Parameters, &'static str> {
    let mut parameters = Parameters::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // The parser puts this in the place of what is not UTF-8.
        if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
            return Err("is not UTF-8");
        }
        if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err("names a parameter twice");
        }
    }
    Ok(parameters)
}

/// As the schema sees it.
pub fn as_json(parameters: &Parameters) -> Value {
    parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
}

/// Ordered by name, escaped in one way.
pub fn write(parameters: &Parameters) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// The parameters that an object of texts stands for; `None` if it is none.
pub fn from_json(value: &Value) -> Option<Parameters> {
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    value.as_object()?.iter().map(text).collect()
}
