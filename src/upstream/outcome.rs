//! What an upstream's answer means for the ticket. Pure.

use hyper::StatusCode;

use crate::redemption::state::Outcome;

/// By status alone: 2xx delivered; 4xx not sent, but for those that may come after the work was begun; all else nobody knows.
pub fn by_status(status: StatusCode) -> Outcome {
    match status.as_u16() {
        200..=299 => Outcome::Delivered,
        408 | 409 | 425 => Outcome::Unknown,
        400..=499 => Outcome::NotSent,
        _ => Outcome::Unknown,
    }
}

/// Longest text of an upstream's that is passed on with an error, in characters.
const MAX_WORDS: usize = 300;

/// An upstream's words on its refusal, without control characters and without any of `secrets`. `None` if nothing is left.
pub fn clean(words: &[u8], secrets: &[String]) -> Option<String> {
    let mut text = String::from_utf8_lossy(words).into_owned();
    for secret in secrets {
        if !secret.is_empty() {
            text = text.replace(secret.as_str(), "[…]");
        }
    }
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(MAX_WORDS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let of = |status| by_status(StatusCode::from_u16(status).unwrap());
        for delivered in [200, 201, 202, 204, 299] {
            assert_eq!(of(delivered), Outcome::Delivered, "{delivered}");
        }
        for not_sent in [400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 429, 451, 499] {
            assert_eq!(of(not_sent), Outcome::NotSent, "{not_sent}");
        }
        for unknown in [301, 302, 304, 307, 408, 409, 425, 500, 501, 502, 503, 504, 599, 600, 999] {
            assert_eq!(of(unknown), Outcome::Unknown, "{unknown}");
        }
    }

    #[test]
    fn words_lose_secrets_and_control_characters() {
        let secrets = ["+1234567890".to_owned(), "hunter2".to_owned(), String::new()];
        assert_eq!(clean(b"bad number +1234567890\r\nfor hunter2\x1b[31m", &secrets).as_deref(), Some("bad number […]  for […] [31m"));
        assert_eq!(clean(b" \n ", &secrets), None);
        assert_eq!(clean("é".repeat(1000).as_bytes(), &[]).unwrap().chars().count(), MAX_WORDS);
    }
}
