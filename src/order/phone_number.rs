//! The format `e164`: a telephone number as ITU-T E.164 writes it with a plus. Nothing is
//! rewritten: what is priced is what is sent.

/// `+`, a digit from 1 to 9, then 6 to 14 digits. Shape only: whether the number exists is for the
/// price table and the backend to say.
pub fn is_e164(text: &str) -> bool {
    let Some([first, rest @ ..]) = text.strip_prefix('+').map(str::as_bytes) else { return false };
    matches!(first, b'1'..=b'9')
        && (6..=14).contains(&rest.len())
        && rest.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::is_e164;

    #[test]
    fn shapes() {
        for good in ["+1234567890", "+1234567", "+123456789012345"] {
            assert!(is_e164(good), "{good}");
        }
        for bad in [
            "",
            "+",
            "1234567890",
            "+0234567890",
            "+123456",
            "+1234567890123456",
            "+12345 67890",
            "+1234567890\n",
            "+12345６7890",
            "+1234567890,+1234567891",
            "+3367a829916",
        ] {
            assert!(!is_e164(bad), "{bad}");
        }
    }
}
