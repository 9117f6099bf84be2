//! Keywords in a JSON Schema that no JSON Schema has: a rule that is misspelt lets everything pass.

use serde_json::Value;

/// What JSON Schema has, from draft 4 to 2020-12, and OpenAPI's annotations.
const KEYWORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "example",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "id",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
];

/// How many letters may be wrong in a keyword that is taken for another one.
const MISTAKES_MAX: usize = 2;

/// A member of a schema that is no keyword.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownKeyword {
    /// Where it stands, as a JSON Pointer.
    pub pointer: String,
    /// The keyword that it nearly is.
    pub meant: Option<&'static str>,
}

/// All in a schema and those within it. Names that begin with `x-` are somebody's own.
pub fn unknown(schema: &Value) -> Vec<UnknownKeyword> {
    let mut found = Vec::new();
    look(schema, "", &mut found);
    found
}

fn look(schema: &Value, pointer: &str, found: &mut Vec<UnknownKeyword>) {
    let Value::Object(members) = schema else { return };
    for (name, value) in members {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        if !KEYWORDS.contains(&name.as_str()) && !name.starts_with("x-") {
            let meant = nearest(name);
            found.push(UnknownKeyword { pointer, meant });
            continue;
        }
        match (name.as_str(), value) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(schemas),
            ) => {
                for (name, schema) in schemas {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    look(schema, &format!("{pointer}/{name}"), found);
                }
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(schemas)) => {
                for (index, schema) in schemas.iter().enumerate() {
                    look(schema, &format!("{pointer}/{index}"), found);
                }
            }
            (
                "items"
                | "additionalItems"
                | "additionalProperties"
                | "contains"
                | "contentSchema"
                | "else"
                | "if"
                | "not"
                | "propertyNames"
                | "then"
                | "unevaluatedItems"
                | "unevaluatedProperties",
                schema,
            ) => look(schema, &pointer, found),
            _ => {}
        }
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    let distance = |keyword: &str| {
        let fold = |text: &str| text.to_ascii_lowercase().replace(['_', '-', '$'], "");
        strsim::damerau_levenshtein(&fold(name), &fold(keyword))
    };
    let nearest = KEYWORDS.iter().copied().min_by_key(|keyword| distance(keyword))?;
    let mistakes = distance(nearest);
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.to_ascii_lowercase().chars().collect();
        letters.sort_unstable();
        letters
    };
    // A wrong letter in a short word is another word, but for one that changed its place.
    let is_near = mistakes <= MISTAKES_MAX && mistakes * 5 <= name.len();
    (is_near || (mistakes == 1 && letters(name) == letters(nearest))).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn misspelt_keywords_are_found_wherever_schemas_stand() {
        for (schema, pointer, meant) in [
            (json!({"maxLenght": 1}), "/maxLenght", Some("maxLength")),
            (json!({"maxlength": 1}), "/maxlength", Some("maxLength")),
            (json!({"max_length": 1}), "/max_length", Some("maxLength")),
            (json!({"patern": "a"}), "/patern", Some("pattern")),
            (json!({"require": []}), "/require", Some("required")),
            (json!({"minimun": 1}), "/minimun", Some("minimum")),
            (json!({"ref": "a"}), "/ref", Some("$ref")),
            (json!({"properties": {"a": {"tpye": "a"}}}), "/properties/a/tpye", Some("type")),
            (json!({"note": "a"}), "/note", None),
            (json!({"name": "a"}), "/name", None),
            (json!({"items": {"formt": "a"}}), "/items/formt", Some("format")),
            (json!({"anyOf": [{}, {"not": {"enums": []}}]}), "/anyOf/1/not/enums", Some("enum")),
            (json!({"$defs": {"a/b": {"itmes": {}}}}), "/$defs/a~1b/itmes", Some("items")),
            (
                json!({"additionalProperties": {"titel": 1}}),
                "/additionalProperties/titel",
                Some("title"),
            ),
            (json!({"label": "a"}), "/label", None),
            (json!({"ui:order": []}), "/ui:order", None),
        ] {
            let found = unknown(&schema);
            assert_eq!(found, [UnknownKeyword { pointer: pointer.into(), meant }], "{schema}");
        }
    }

    #[test]
    fn what_is_no_schema_is_left_alone() {
        let schema = json!({
            "type": "object", "x-order": 1, "default": {"maxLenght": 1}, "const": {"typ": 1},
            "enum": [{"typ": 1}], "examples": [{"typ": 1}], "additionalProperties": false,
            "properties": {"maxLenght": {"type": "string"}, "typ": true},
            "dependentRequired": {"a": ["b"]},
        });
        assert_eq!(unknown(&schema), []);
    }
}
