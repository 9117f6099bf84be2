use serde_json::json;

use super::*;
use crate::order::Bind;
use crate::order::schema::Schema;

fn form(takes: Takes, schema: Value) -> Form {
    let schema = Some(Schema::compile(schema).unwrap());
    Form::of(&Rules { takes, needs_object: false, schema })
}

fn of(schema: Value) -> Form {
    form(Takes::Json("application/json".into(), Bind::Json), schema)
}

fn fields_of(schema: Value) -> (Vec<Field>, Vec<String>) {
    match of(schema) {
        Form::Fields { fields, left_out } => (fields, left_out),
        other => panic!("{other:?}"),
    }
}

/// Why there are no fields.
fn why_not(schema: Value) -> String {
    match of(schema) {
        Form::Whole { is_json: true, why } => why,
        other => panic!("{other:?}"),
    }
}

fn one(schema: Value) -> Value {
    json!({"type": "object", "required": ["a"], "properties": {"a": schema}})
}

#[test]
fn an_sms_has_a_number_and_a_text() {
    let (fields, left_out) = fields_of(json!({
        "type": "object", "required": ["phone_number", "message"], "properties": {
            "message": {"type": "string", "title": "Text", "minLength": 1, "maxLength": 120},
            "phone_number": {"type": "string", "format": "e164", "description": "With a +."},
            "senderName": {"type": "string", "default": "us"},
        }
    }));
    let limits = Limits { least: Some(1), most: Some(120) };
    assert!(left_out.is_empty());
    let read: Vec<_> = fields.iter().map(|field| (&*field.pointer, &*field.label)).collect();
    let expected =
        [("phone_number", "Phone number"), ("message", "Text"), ("senderName", "Sender name")];
    assert_eq!(read, expected);
    assert_eq!(fields[1].control, Control::Lines { limits });
    assert_eq!(fields[0].help.as_deref(), Some("With a +."));
    assert!(matches!(fields[0].control, Control::Line { kind: "tel", .. }));
    assert_eq!((fields[2].is_required, fields[2].default_text().as_str()), (false, "us"));
}

#[test]
fn choices_numbers_and_constants() {
    let control = |schema| fields_of(one(schema)).0.remove(0).control;
    let options = |options: &[(&str, &str)]| Control::Choice {
        options: options.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
    };
    assert_eq!(
        control(json!({"enum": ["x", 1, null]})),
        options(&[("\"x\"", "x"), ("1", "1"), ("null", "null"),])
    );
    let titled = json!({"oneOf": [{"const": "de", "title": "German"}, {"const": "en"}]});
    assert_eq!(control(titled), options(&[("\"de\"", "German"), ("\"en\"", "en")]));
    assert_eq!(control(json!({"type": "integer"})), Control::Number { is_whole: true });
    assert_eq!(control(json!({"type": ["number", "null"]})), Control::Number { is_whole: false });
    assert_eq!(control(json!({"type": "boolean"})), Control::Check);
    assert_eq!(control(json!({"const": {"v": 2}})), Control::Fixed { value: "{\"v\":2}".into() });
    let optional = json!({"type": "object", "properties": {"a": {"type": "boolean"}}});
    assert_eq!(fields_of(optional).0[0].control, options(&[("true", "Yes"), ("false", "No")]));
}

#[test]
fn objects_in_objects_are_groups_and_references_are_followed() {
    let (fields, left_out) = fields_of(json!({
        "type": "object", "required": ["to"], "properties": {
            "to": {"$ref": "#/$defs/person"},
            "cc": {"type": "array", "items": {"type": "string"}},
            "a/b": {"type": "string"},
        },
        "$defs": {"person": {"type": "object", "title": "Whom", "required": ["name"], "properties":
            {"name": {"type": "string"}, "more": {"type": "object"}}}},
    }));
    let read: Vec<_> = fields.iter().map(|field| (&*field.pointer, &*field.group)).collect();
    assert_eq!(read, [("to/name", "Whom"), ("a~1b", "")]);
    assert_eq!(left_out, ["to/more", "cc"], "optional, and no field for them");
}

#[test]
fn what_can_not_be_a_form_says_why() {
    for (schema, words) in [
        (one(json!({"type": "array", "items": {"type": "string"}})), "`a` is a list"),
        (one(json!({"oneOf": [{"type": "string"}, {"type": "integer"}]})), "`a` depends on"),
        (one(json!({"allOf": [{"type": "string"}]})), "`a` depends on"),
        (one(json!({"type": ["string", "integer"]})), "`a` may be of several types"),
        (one(json!({})), "`a` may be of several types, or of any"),
        (one(json!({"type": "object"})), "`a` is an object too deep"),
        (json!({"type": "array"}), "no object"),
        (json!({"oneOf": [{"properties": {"a": {}}}]}), "no object"),
        (json!(true), "no object"),
        (json!({"type": "object", "properties": {}}), "names no members"),
        (json!({"required": ["b"], "properties": {"a": {"type": "string"}}}), "requires `b`"),
    ] {
        let why = why_not(schema.clone());
        assert!(why.contains(words), "{schema}: {why}");
    }
    let deep = (0..6).fold(json!({"type": "string"}), |inner, _| one(inner));
    assert!(why_not(deep).contains("too deep"));
    let turtles = json!({"$ref": "#/$defs/a", "$defs": {"a": one(json!({"$ref": "#/$defs/a"}))}});
    assert!(why_not(turtles).contains("too deep"));
    let itself = one(json!({"$ref": "#/properties/a"}));
    assert!(why_not(itself).contains("of any"));
    let many: serde_json::Map<String, Value> =
        (0..61).map(|n| (format!("f{n}"), json!({"type": "string"}))).collect();
    assert!(why_not(json!({"type": "object", "properties": many})).contains("more than 60"));
}

#[test]
fn other_bodies_have_other_forms() {
    let takes = |takes| Form::of(&Rules { takes, needs_object: false, schema: None });
    assert_eq!(takes(Takes::Nothing), Form::Nothing);
    assert_eq!(takes(Takes::Bytes("image/png".into())), Form::ByProgram);
    assert!(matches!(takes(Takes::Bytes("text/plain".into())), Form::Whole { is_json: false, .. }));
    let json = Takes::Json("application/json".into(), Bind::Json);
    assert!(matches!(takes(json), Form::Whole { is_json: true, .. }));
    let query = one(json!({"type": "string", "format": "e164"}));
    assert!(matches!(form(Takes::Query, query), Form::Fields { .. }));
    let list = one(json!({"type": "array"}));
    assert_eq!(form(Takes::Query, list), Form::ByProgram, "nobody types JSON into a query");
}
