//! The operator's JSON Schema for what a service takes. Its words on a refusal hold nothing that
//! the client wrote.

use std::collections::BTreeSet;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::phone_number::is_e164;

/// How many faults of one request are told.
const FAULTS_MAX: usize = 4;

/// Why a schema can't be compiled.
#[derive(Debug, thiserror::Error)]
#[error("not a valid JSON Schema: {0}")]
pub struct SchemaError(String);

/// A compiled schema.
pub struct Schema {
    validator: Validator,
    /// Property names that the schema declares: only these may stand in an error.
    names: BTreeSet<String>,
    source: Value,
}

impl Schema {
    /// Compiles it. Formats are checked, and one that we don't know is an error: otherwise it would
    /// let everything pass.
    pub fn compile(source: Value) -> Result<Self, SchemaError> {
        let validator = jsonschema::options()
            .with_format("e164", is_e164)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .build(&source)
            .map_err(|error| SchemaError(error.to_string()))?;
        let mut names = BTreeSet::new();
        declared_names(&source, &mut names);
        Ok(Self { validator, names, source })
    }

    /// The schema as the operator wrote it.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Whether it names a property.
    pub fn declares(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// `Err` has a sentence per fault.
    pub fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        let faults: Vec<String> =
            self.validator.iter_errors(value).take(FAULTS_MAX).map(|e| self.explain(&e)).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    fn explain(&self, error: &ValidationError<'_>) -> String {
        let place = self.place(error);
        match error.kind() {
            ValidationErrorKind::Required { property } => match property.as_str() {
                Some(name) => format!("{place} lacks `{name}`"),
                None => format!("{place} lacks a required member"),
            },
            ValidationErrorKind::AdditionalProperties { .. } => {
                let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
                format!(
                    "{place} has a member that this service does not take (it takes: {})",
                    known.join(", ")
                )
            }
            ValidationErrorKind::MaxLength { limit } => {
                format!("{place} is longer than {limit} characters")
            }
            ValidationErrorKind::MinLength { limit } => {
                format!("{place} is shorter than {limit} characters")
            }
            ValidationErrorKind::Format { format } if format == "e164" => {
                format!("{place} is not a telephone number in E.164 form, such as +1234567890")
            }
            ValidationErrorKind::Format { format } => {
                format!("{place} is not of the format `{format}`")
            }
            ValidationErrorKind::Type { .. } => format!("{place} is not of the type asked for"),
            _ => {
                let path = error.schema_path().as_str();
                format!("{place} breaks the rule `{}`", path.rsplit('/').next().unwrap_or(path))
            }
        }
    }

    /// Where in the body, as far as the names are the schema's own or indexes.
    fn place(&self, error: &ValidationError<'_>) -> String {
        let path = error.instance_path().as_str();
        if path.is_empty() {
            return "the body".to_owned();
        }
        let segments = path.split('/').skip(1).map(|segment| {
            let ours = self.names.contains(segment)
                || segment.bytes().all(|b| b.is_ascii_digit()) && segment.len() < 5;
            if ours { segment } else { "…" }
        });
        format!("`{}`", segments.collect::<Vec<_>>().join("/"))
    }
}

fn declared_names(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().cloned());
            }
            members.values().for_each(|inner| declared_names(inner, names));
        }
        Value::Array(items) => items.iter().for_each(|inner| declared_names(inner, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sms() -> Schema {
        Schema::compile(json!({
            "type": "object",
            "required": ["phone_number", "message"],
            "additionalProperties": false,
            "properties": {
                "phone_number": { "type": "string", "format": "e164" },
                "message": { "type": "string", "minLength": 1, "maxLength": 120 },
            },
        }))
        .unwrap()
    }

    fn faults(value: Value) -> String {
        sms().check(&value).unwrap_err().join("; ")
    }

    #[test]
    fn takes_an_sms() {
        assert!(
            sms()
                .check(&json!({"phone_number": "+1234567890", "message": "é".repeat(120)}))
                .is_ok()
        );
        assert!(
            sms()
                .check(&json!({"phone_number": "+1234567890", "message": "😀".repeat(120)}))
                .is_ok()
        );
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let good = "+1234567890";
        assert_eq!(faults(json!({"phone_number": good})), "the body lacks `message`");
        assert_eq!(
            faults(json!({"phone_number": good, "message": "x".repeat(121)})),
            "`message` is longer than 120 characters"
        );
        assert_eq!(
            faults(json!({"phone_number": good, "message": ""})),
            "`message` is shorter than 1 characters"
        );
        assert!(
            faults(json!({"phone_number": "12345", "message": "x"}))
                .contains("`phone_number` is not a telephone number in E.164")
        );
        assert!(
            faults(json!({"phone_number": 5, "message": "x"}))
                .contains("`phone_number` is not of the type")
        );
        assert_eq!(faults(json!([1])), "the body is not of the type asked for");
    }

    #[test]
    fn repeats_nothing_that_the_client_wrote() {
        let said =
            faults(json!({"phone_number": "+49secret", "message": 17171, "+4915112345": "hidden"}));
        for secret in ["secret", "17171", "4915112345", "hidden"] {
            assert!(!said.contains(secret), "{said}");
        }
        let open = Schema::compile(json!({"additionalProperties": {"type": "string"}})).unwrap();
        let said = open.check(&json!({"+4915112345": 5})).unwrap_err().join("");
        assert!(!said.contains("4915"), "{said}");
    }

    #[test]
    fn an_unknown_format_is_refused_at_load() {
        assert!(Schema::compile(json!({"type": "string", "format": "e146"})).is_err());
        assert!(Schema::compile(json!({"type": "nonsense"})).is_err());
    }
}
