//! The operator's JSON Schema for what a service takes. Its words on a refusal hold nothing that
//! the client wrote.

use std::collections::BTreeSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use serde::Serialize;
use serde_json::Value;

use super::phone_number::is_e164;

/// How many faults of one request are told.
const FAULTS_MAX: usize = 20;

/// One thing that is wrong with a request. Nothing in it was written by the client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fault {
    /// Where, as a JSON pointer without its first slash; empty for the whole.
    pub field: String,
    /// The schema's keyword.
    pub rule: String,
    /// What would be right, in words.
    pub expected: String,
    /// Both in a sentence.
    #[serde(skip)]
    pub sentence: String,
}

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

    /// `Err` has the faults, the first one first.
    pub fn check(&self, value: &Value) -> Result<(), Vec<Fault>> {
        let faults: Vec<Fault> =
            self.validator.iter_errors(value).take(FAULTS_MAX).map(|e| self.explain(&e)).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    fn explain(&self, error: &ValidationError<'_>) -> Fault {
        let known = || self.names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let mut field = self.field(error);
        let place = if field.is_empty() { "the body".to_owned() } else { format!("`{field}`") };
        let rule = error.kind().keyword().to_owned();
        let (sentence, expected) = match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str();
                let lacking = name.map_or("a required member".into(), |name| format!("`{name}`"));
                let slash = if field.is_empty() || name.is_none() { "" } else { "/" };
                field = format!("{field}{slash}{}", name.unwrap_or_default());
                (format!("{place} lacks {lacking}"), "a value".to_owned())
            }
            ValidationErrorKind::AdditionalProperties { .. } => (
                format!(
                    "{place} has a member that this service does not take (it takes: {})",
                    known()
                ),
                format!("only: {}", known()),
            ),
            ValidationErrorKind::MaxLength { limit } => (
                format!("{place} is longer than {limit} characters"),
                format!("at most {}", characters(*limit)),
            ),
            ValidationErrorKind::MinLength { limit } => (
                format!("{place} is shorter than {}", characters(*limit)),
                format!("at least {}", characters(*limit)),
            ),
            ValidationErrorKind::Format { format } => {
                let expected = expected_format(format);
                (format!("{place} is not {expected}"), expected)
            }
            kind => match expected(kind) {
                Some(expected) => (format!("{place} should be {expected}"), expected),
                None => (
                    format!("{place} breaks the rule `{rule}`"),
                    format!("what the schema's `{rule}` asks for"),
                ),
            },
        };
        Fault { field, rule, expected, sentence }
    }

    /// Where in the body, as a JSON pointer without its first slash, as far as the names are the
    /// schema's own or indexes.
    fn field(&self, error: &ValidationError<'_>) -> String {
        let segments = error.instance_path().as_str().split('/').skip(1).map(|segment| {
            let ours = self.names.contains(segment)
                || segment.bytes().all(|b| b.is_ascii_digit()) && segment.len() < 5;
            if ours { segment } else { "…" }
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

fn characters(limit: u64) -> String {
    if limit == 1 { "1 character".to_owned() } else { format!("{limit} characters") }
}

fn expected_format(format: &str) -> String {
    let words = match format {
        "e164" => "a telephone number in E.164 form, such as +12025550123",
        "email" => "an e-mail address",
        "uri" => "a URI, such as https://example.com/",
        "date" => "a date, such as 2026-01-31",
        "time" => "a time, such as 12:00:00Z",
        "date-time" => "a date and time, such as 2026-01-31T12:00:00Z",
        _ => return format!("of the format `{format}`"),
    };
    words.to_owned()
}

fn type_words(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a text",
    }
}

/// What would be right, by the schema's own words.
fn expected(kind: &ValidationErrorKind) -> Option<String> {
    Some(match kind {
        ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => type_words(*kind).to_owned(),
        ValidationErrorKind::Type { kind: TypeKind::Multiple(kinds) } => {
            kinds.iter().map(type_words).collect::<Vec<_>>().join(" or ")
        }
        ValidationErrorKind::Minimum { limit } => format!("at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("less than {limit}"),
        ValidationErrorKind::MultipleOf { multiple_of } => format!("a multiple of {multiple_of}"),
        ValidationErrorKind::MinItems { limit } => format!("a list of at least {limit}"),
        ValidationErrorKind::MaxItems { limit } => format!("a list of at most {limit}"),
        ValidationErrorKind::Constant { expected_value } => expected_value.to_string(),
        ValidationErrorKind::Pattern { pattern } => format!("a text that matches {pattern}"),
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array()?.iter().map(ToString::to_string);
            format!("one of {}", options.collect::<Vec<_>>().join(", "))
        }
        _ => return None,
    })
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

    fn sentences(faults: &[Fault]) -> String {
        faults.iter().map(|fault| fault.sentence.as_str()).collect::<Vec<_>>().join("; ")
    }

    fn faults(value: Value) -> String {
        sentences(&sms().check(&value).unwrap_err())
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
            "`message` is shorter than 1 character"
        );
        assert!(
            faults(json!({"phone_number": "12345", "message": "x"}))
                .contains("`phone_number` is not a telephone number in E.164")
        );
        assert!(
            faults(json!({"phone_number": 5, "message": "x"}))
                .contains("`phone_number` should be a text")
        );
        assert_eq!(faults(json!([1])), "the body should be an object");
    }

    #[test]
    fn all_faults_are_told_at_once_with_what_would_be_right() {
        let schema = json!({"type": "object", "required": ["a", "b"], "properties": {
            "a": {"type": "object", "required": ["c"], "properties": {"c": {"type": "integer"}}},
            "d": {"enum": ["x", 1]}, "e": {"type": ["string", "null"], "pattern": "^z"},
            "f": {"minimum": 3}, "g": {"type": "array", "items": {"maxLength": 1}}}});
        let schema = Schema::compile(schema).unwrap();
        let wrong = json!({"a": {}, "d": "secret", "e": "secret", "f": 1, "g": ["secret"]});
        let found = schema.check(&wrong).unwrap_err();
        let mut found: Vec<_> = found
            .iter()
            .map(|fault| (fault.field.as_str(), fault.rule.as_str(), fault.expected.as_str()))
            .collect();
        found.sort_unstable();
        let expected = [
            ("a/c", "required", "a value"),
            ("b", "required", "a value"),
            ("d", "enum", "one of \"x\", 1"),
            ("e", "pattern", "a text that matches ^z"),
            ("f", "minimum", "at least 3"),
            ("g/0", "maxLength", "at most 1 character"),
        ];
        assert_eq!(found, expected);
        let said = format!("{:?}", schema.check(&wrong).unwrap_err());
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn repeats_nothing_that_the_client_wrote() {
        let said =
            faults(json!({"phone_number": "+49secret", "message": 17171, "+4915112345": "hidden"}));
        for secret in ["secret", "17171", "4915112345", "hidden"] {
            assert!(!said.contains(secret), "{said}");
        }
        let open = Schema::compile(json!({"additionalProperties": {"type": "string"}})).unwrap();
        let said = open.check(&json!({"+4915112345": 5})).unwrap_err();
        assert!(!format!("{said:?}").contains("4915"), "{said:?}");
    }

    #[test]
    fn an_unknown_format_is_refused_at_load() {
        assert!(Schema::compile(json!({"type": "string", "format": "e146"})).is_err());
        assert!(Schema::compile(json!({"type": "nonsense"})).is_err());
    }
}
