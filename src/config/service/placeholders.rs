//! Values of a mapping: texts in which `{name}` stands for something of the message, or of the
//! operator's credentials.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::upstream::template::{Part, Text, Variable};

/// The operator's credentials by their names; `None` for one that may be left out, and is.
pub(super) type Credentials = BTreeMap<String, Option<Zeroizing<String>>>;

/// Reads a value. `Ok(None)` where it names a credential that is left out; `Err` is for people.
pub(super) fn read(given: &str, credentials: &Credentials) -> Result<Option<Text>, String> {
    read_with(given, credentials, str::to_owned)
}

/// The same, with each credential as `written` writes it.
pub(super) fn read_with(
    given: &str,
    credentials: &Credentials,
    written: impl Fn(&str) -> String,
) -> Result<Option<Text>, String> {
    let (mut parts, mut rest) = (Vec::new(), given);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        push(&mut parts, before);
        if let Some(after) = from.strip_prefix("{{") {
            push(&mut parts, "{");
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            push(&mut parts, "}");
            rest = after;
        } else {
            let inner = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (name, after) = inner.ok_or_else(|| {
                // Not the value itself, which may be a secret in the wrong place.
                "there is a brace without its other half; write it twice".to_owned()
            })?;
            rest = after;
            if let Some((_, variable)) = Variable::ALL.iter().find(|(word, _)| *word == name) {
                parts.push(Part::Of(*variable));
                continue;
            }
            match credentials.get(name) {
                Some(Some(value)) => parts.push(Part::Fixed(Zeroizing::new(written(value)))),
                Some(None) => return Ok(None),
                None => return Err(unknown(name, credentials)),
            }
        }
    }
    push(&mut parts, rest);
    Ok(Some(Text(parts)))
}

fn push(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Fixed(Zeroizing::new(text.to_owned())));
    }
}

fn unknown(name: &str, credentials: &Credentials) -> String {
    let known = Variable::ALL.iter().map(|(word, _)| *word);
    let known = known.chain(credentials.keys().map(String::as_str));
    let known: Vec<String> = known.map(|word| format!("{{{word}}}")).collect();
    format!("`{{{name}}}` is nothing that is known here; there is {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_ones_and_braces_are_written_twice() {
        let mut credentials = Credentials::new();
        credentials.insert("user".to_owned(), Some(Zeroizing::new("u".to_owned())));
        credentials.insert("from".to_owned(), None);
        let fixed = |text: &str| Part::Fixed(Zeroizing::new(text.to_owned()));
        let parts = |given: &str| read(given, &credentials).map(|text| text.map(|text| text.0));
        let whole = vec![fixed("a "), Part::Of(Variable::To), fixed("/"), fixed("u")];
        assert!(parts("a {to}/{user}") == Ok(Some(whole)));
        assert!(parts("{{to}}") == Ok(Some(vec![fixed("{"), fixed("to"), fixed("}")])));
        assert!(parts("x{from}") == Ok(None) && parts("") == Ok(Some(vec![])));
        for bad in ["{", "{to", "to}", "{nobody}", "{to}}"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
        assert!(parts("{too}").is_err_and(|said| said.contains("{to}, {to_digits}")));
    }
}
