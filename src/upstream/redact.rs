//! Secrets out of an upstream's words.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Longest text of an upstream's that is passed on with an error, in characters.
const WORDS_MAX_CHARS: usize = 300;

/// Shorter texts are no secrets, and would take too much out of an upstream's words.
pub(super) const SECRET_MIN_BYTES: usize = 4;

/// An upstream's words on its refusal, without control characters and without any of `secrets` or
/// of the ways to write one. `None` if nothing is left.
pub fn redact(words: &[u8], secrets: &[String]) -> Option<String> {
    let text = String::from_utf8_lossy(words);
    // All in the words as they came: taking one out first could cut another in two, and leave a
    // part of it.
    let mut hidden: Vec<(usize, usize)> = secrets
        .iter()
        .flat_map(|secret| encodings(secret))
        .flat_map(|encoding| {
            text.match_indices(&encoding)
                .map(|(at, found)| (at, at + found.len()))
                .collect::<Vec<_>>()
        })
        .collect();
    hidden.sort_unstable();
    let (mut cleaned, mut done) = (String::new(), 0);
    for (from, to) in hidden {
        if from >= done {
            cleaned.push_str(text.get(done..from).unwrap_or_default());
            cleaned.push_str("[…]");
        }
        done = done.max(to);
    }
    cleaned.push_str(text.get(done..).unwrap_or_default());
    let cleaned: String = cleaned.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let cleaned = cleaned.trim();
    (!cleaned.is_empty()).then(|| cleaned.chars().take(WORDS_MAX_CHARS).collect())
}

/// The ways in which an upstream may repeat a text: as it is, a number without its plus, in JSON,
/// in a URL.
fn encodings(secret: &str) -> BTreeSet<String> {
    let in_json = Value::from(secret).to_string();
    let in_ascii_json: String = in_json
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect();
    let in_url: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = [in_json.replace('/', "\\/"), in_ascii_json, in_json].map(|quoted| {
        quoted
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or_default()
            .to_owned()
    });
    let plain = [
        secret.to_owned(),
        secret.trim_start_matches('+').to_owned(),
        in_url.replace('+', "%20"),
        in_url,
    ];
    json.into_iter().chain(plain).filter(|encoding| encoding.chars().count() >= 3).collect()
}

/// A header's value, and its parts: `Basic dXNlcjpwYXNz` is also `dXNlcjpwYXNz`, `user:pass` and
/// `pass`.
pub(super) fn secret_parts(value: &str) -> Vec<String> {
    let mut texts = vec![value.to_owned()];
    for part in value.split_whitespace().skip(1) {
        texts.push(part.to_owned());
        let decoded = STANDARD.decode(part).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(decoded) = decoded {
            texts.extend(decoded.split_once(':').map(|(_, password)| password.to_owned()));
            texts.insert(0, decoded);
        }
    }
    texts.retain(|text| text.len() >= SECRET_MIN_BYTES);
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_secrets_and_control_characters() {
        let secrets = ["+1234567890".to_owned(), "hunter2".to_owned(), String::new()];
        assert_eq!(
            redact(b"bad number +1234567890\r\nfor hunter2\x1b[31m", &secrets).as_deref(),
            Some("bad number […]  for […] [31m")
        );
        assert_eq!(redact(b" \n ", &secrets), None);
        // A buyer that guesses a part of the operator's secret must not learn the rest.
        let cut = ["sk_live".to_owned(), "sk_live_abcdef".to_owned(), "abcdef is".to_owned()];
        assert_eq!(redact(b"key sk_live_abcdef is bad", &cut).as_deref(), Some("key […] bad"));
        let text = ["a \"é/\"".to_owned(), "+1234567890".to_owned()];
        let said = [
            r#"1234567890 +1234567890 %2B1234567890 a \"é/\" a \"\u00e9/\" a \"é\/\""#,
            "a+%22%C3%A9%2F%22 a%20%22%C3%A9%2F%22",
        ]
        .join(" ");
        assert_eq!(
            redact(said.as_bytes(), &text)
                .unwrap()
                .replace("+[…]", "[…]")
                .replace("[…]", "")
                .replace("%2B", "")
                .trim(),
            ""
        );
        assert_eq!(
            redact("é".repeat(1000).as_bytes(), &[]).unwrap().chars().count(),
            WORDS_MAX_CHARS
        );
    }
}
