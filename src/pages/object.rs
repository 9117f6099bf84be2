//! Members of JSON objects that are made.

use serde_json::Value;

/// Puts a member into an object.
pub(super) fn put(object: &mut Value, name: impl Into<String>, value: impl Into<Value>) {
    if let Value::Object(members) = object {
        members.insert(name.into(), value.into());
    }
}
