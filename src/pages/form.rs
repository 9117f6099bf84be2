//! A form made from the JSON Schema of what a service takes. What has no form is written as JSON,
//! or sent by a program.

use serde_json::Value;

use crate::order::{Rules, Takes};

/// How deep objects in objects become groups of fields.
const DEPTH_MAX: usize = 3;

/// Most fields of a form.
const FIELDS_MAX: usize = 60;

/// From this length on a text gets several lines.
const SEVERAL_LINES: u64 = 100;

/// How a person says what is wanted.
#[derive(PartialEq, Debug)]
pub(super) enum Form {
    /// There is nothing to say.
    Nothing,
    /// A field for each thing. `left_out` are members that are optional and have no field.
    Fields { fields: Vec<Field>, left_out: Vec<String> },
    /// One text: the whole body, as JSON where that is `is_json`. `why` says why there are no
    /// fields.
    Whole { is_json: bool, why: String },
    /// A program has to send it: bytes that nobody types.
    ByProgram,
}

/// One thing that is asked for.
#[derive(PartialEq, Debug)]
pub(super) struct Field {
    /// Where it goes: a JSON pointer without its first slash.
    pub(super) pointer: String,
    /// What it is called.
    pub(super) label: String,
    /// The group that it stands in; empty for none.
    pub(super) group: String,
    /// What it is, in more words.
    pub(super) help: Option<String>,
    /// How it is given.
    pub(super) control: Control,
    /// Whether it has to be given.
    pub(super) is_required: bool,
    /// What stands in it at first.
    pub(super) default: Option<Value>,
}

impl Field {
    /// The same as a text; empty for nothing.
    pub(super) fn default_text(&self) -> String {
        match &self.default {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }

    /// Whether it is the one of this JSON text.
    pub(super) fn is_default(&self, value: &str) -> bool {
        self.default.is_some() && serde_json::from_str(value).ok() == self.default
    }
}

/// How a thing is given.
#[derive(PartialEq, Debug)]
pub(super) enum Control {
    /// A text of one line. `kind` and `hint` are HTML's `type` and `autocomplete`.
    Line { kind: &'static str, hint: &'static str, limits: Limits },
    /// A text of several lines.
    Lines { limits: Limits },
    /// A number.
    Number { is_whole: bool },
    /// Yes or no.
    Check,
    /// One of these: JSON texts, and what people read.
    Choice { options: Vec<(String, String)> },
    /// This one value, a JSON text.
    Fixed { value: String },
}

/// How many characters a text has.
#[derive(PartialEq, Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

impl Form {
    /// The form of a request.
    pub(super) fn of(rules: &Rules) -> Self {
        let schema = rules.schema.as_ref().map(|schema| schema.source());
        match (&rules.takes, schema) {
            (Takes::Nothing, _) => Self::Nothing,
            (Takes::Bytes(media), _) if media.starts_with("text/") => {
                Self::Whole { is_json: false, why: format!("The service takes {media}.") }
            }
            (Takes::Bytes(_), _) => Self::ByProgram,
            (Takes::Query, None) => Self::Nothing,
            (Takes::Json(..), None) => {
                Self::whole("The service takes JSON, and doesn't say of what form.")
            }
            (Takes::Query | Takes::Json(..), Some(schema)) => match fields(schema) {
                Ok((fields, left_out)) => Self::Fields { fields, left_out },
                // A query has no JSON that could be typed.
                Err(_) if rules.takes == Takes::Query => Self::ByProgram,
                Err(why) => Self::whole(&why),
            },
        }
    }

    fn whole(why: &str) -> Self {
        Self::Whole { is_json: true, why: why.to_owned() }
    }
}

type Fields = (Vec<Field>, Vec<String>);

/// `Err` says why there is no form.
fn fields(schema: &Value) -> Result<Fields, String> {
    let mut made = (Vec::new(), Vec::new());
    let whole = Place { root: schema, pointer: "", group: "", is_required: true, depth: DEPTH_MAX };
    whole.object(schema, &mut made)?;
    if made.0.len() > FIELDS_MAX {
        return Err(format!("It has more than {FIELDS_MAX} fields."));
    }
    if made.0.is_empty() {
        return Err("Its schema names no members.".to_owned());
    }
    Ok(made)
}

/// Where in the schema a part stands.
struct Place<'a> {
    root: &'a Value,
    pointer: &'a str,
    group: &'a str,
    is_required: bool,
    depth: usize,
}

impl Place<'_> {
    /// The fields of an object's members.
    fn object(&self, schema: &Value, made: &mut Fields) -> Result<(), String> {
        let schema = self.followed(schema);
        let members = schema.get("properties").and_then(Value::as_object);
        let Some(members) = members.filter(|_| kinds(schema).contains(&"object")) else {
            return Err(format!("{} is no object with named members.", self.name()));
        };
        let required = schema.get("required").and_then(Value::as_array);
        let needs = |name: &str| {
            required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)))
        };
        if let Some(unnamed) = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .find(|name| !members.contains_key(*name))
        {
            return Err(format!("It requires `{unnamed}`, and doesn't say what that is."));
        }
        // The required ones first, as they are listed: members have no order of their own here.
        let listed = required.into_iter().flatten().filter_map(Value::as_str);
        let others = members.keys().map(String::as_str).filter(|name| !needs(name));
        for name in listed.chain(others) {
            let Some(inner) = members.get(name) else { continue };
            let pointer = match self.pointer {
                "" => escaped(name),
                above => format!("{above}/{}", escaped(name)),
            };
            let is_required = self.is_required && needs(name);
            let place = Place { pointer: &pointer, is_required, ..*self };
            match place.field(name, inner, made) {
                Ok(()) => {}
                Err(why) if is_required => return Err(why),
                Err(_) => made.1.push(pointer),
            }
        }
        Ok(())
    }

    /// The field of one member, or the fields of what is in it.
    fn field(&self, name: &str, schema: &Value, made: &mut Fields) -> Result<(), String> {
        let schema = self.followed(schema);
        let label = text(schema, "title").unwrap_or_else(|| words(name));
        if schema.get("properties").is_some() && self.depth > 1 {
            let group = match self.group {
                "" => label,
                above => format!("{above}: {label}"),
            };
            let before = (made.0.len(), made.1.len());
            let inner = Place { group: &group, depth: self.depth - 1, ..*self };
            return inner.object(schema, made).inspect_err(|_| {
                made.0.truncate(before.0);
                made.1.truncate(before.1);
            });
        }
        let control = self.control(schema)?;
        made.0.push(Field {
            pointer: self.pointer.to_owned(),
            label,
            group: self.group.to_owned(),
            help: text(schema, "description"),
            control,
            is_required: self.is_required,
            default: schema.get("default").cloned(),
        });
        Ok(())
    }

    fn control(&self, schema: &Value) -> Result<Control, String> {
        if let Some(value) = schema.get("const") {
            return Ok(Control::Fixed { value: value.to_string() });
        }
        if let Some(options) = choices(schema) {
            return Ok(Control::Choice { options });
        }
        for keyword in ["oneOf", "anyOf", "allOf", "if", "not"] {
            if schema.get(keyword).is_some() {
                return Err(format!("{} depends on other things (`{keyword}`).", self.name()));
            }
        }
        let kinds = kinds(schema);
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| *kind != "null").collect();
        match kinds.as_slice() {
            ["string"] => Ok(text_control(schema)),
            ["integer"] => Ok(Control::Number { is_whole: true }),
            ["number"] | ["integer", "number"] | ["number", "integer"] => {
                Ok(Control::Number { is_whole: false })
            }
            // One that may be left out has three states.
            ["boolean"] if self.is_required => Ok(Control::Check),
            ["boolean"] => {
                let option = |value: &str, read: &str| (value.to_owned(), read.to_owned());
                Ok(Control::Choice { options: vec![option("true", "Yes"), option("false", "No")] })
            }
            ["array"] => Err(format!("{} is a list.", self.name())),
            ["object"] => Err(format!("{} is an object too deep for a form.", self.name())),
            _ => Err(format!("{} may be of several types, or of any.", self.name())),
        }
    }

    /// What a reference inside the document stands for; itself if there is none.
    fn followed<'b>(&'b self, schema: &'b Value) -> &'b Value {
        let mut at = schema;
        for _ in 0..DEPTH_MAX {
            let Some(reference) = at.get("$ref").and_then(Value::as_str) else { break };
            let Some(pointer) = reference.strip_prefix('#') else { break };
            let Some(target) = self.root.pointer(pointer) else { break };
            at = target;
        }
        at
    }

    fn name(&self) -> String {
        if self.pointer.is_empty() { "It".to_owned() } else { format!("`{}`", self.pointer) }
    }
}

fn text_control(schema: &Value) -> Control {
    let limit = |key| schema.get(key).and_then(Value::as_u64);
    let limits = Limits { least: limit("minLength"), most: limit("maxLength") };
    let (kind, hint) = match schema.get("format").and_then(Value::as_str) {
        Some("e164") => ("tel", "tel"),
        Some("email" | "idn-email") => ("email", "email"),
        Some("uri" | "iri") => ("url", "url"),
        Some("date") => ("date", "off"),
        Some(_) => ("text", "off"),
        None if limits.most.is_some_and(|most| most >= SEVERAL_LINES) => {
            return Control::Lines { limits };
        }
        None => ("text", "off"),
    };
    Control::Line { kind, hint, limits }
}

/// The values of an `enum`, or of a `oneOf` of constants with titles.
fn choices(schema: &Value) -> Option<Vec<(String, String)>> {
    let read = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) | Value::Null => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    };
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(|value| Some((value.to_string(), read(value)?))).collect();
    }
    let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let option = |alternative: &Value| {
        let value = alternative.get("const")?;
        Some((value.to_string(), text(alternative, "title").or_else(|| read(value))?))
    };
    alternatives.iter().map(option).collect()
}

/// The types that a schema allows.
fn kinds(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        // Said by what is asked of a text.
        _ if ["format", "pattern", "maxLength", "minLength"]
            .iter()
            .any(|key| schema.get(key).is_some()) =>
        {
            vec!["string"]
        }
        _ => Vec::new(),
    }
}

fn text(schema: &Value, key: &str) -> Option<String> {
    schema.get(key).and_then(Value::as_str).map(ToOwned::to_owned)
}

/// `phone_number` as people write it: "Phone number".
fn words(name: &str) -> String {
    let mut text = String::new();
    for (index, letter) in name.chars().enumerate() {
        match letter {
            '_' | '-' => text.push(' '),
            letter if index == 0 => text.extend(letter.to_uppercase()),
            letter if letter.is_uppercase() && text.ends_with(char::is_lowercase) => {
                text.push(' ');
                text.extend(letter.to_lowercase());
            }
            letter => text.push(letter),
        }
    }
    text
}

/// As a JSON pointer writes a name (RFC 6901 section 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
