//! Which parts of an `Authorization` value are ours. HTTP has one credential in it (RFC 9110
//! section
//! 11.6.2), but `fetch` and some proxies join several lines by commas, and L402 has commas of its
//! own, between macaroons.

/// One credential of a value, with its scheme.
struct Part<'a> {
    text: &'a [u8],
    is_ours: bool,
}

/// What follows the scheme `L402`, or its older name `LSAT`, in each credential that is ours.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    parts(value).into_iter().filter(|part| part.is_ours).map(|part| after_scheme(part.text))
}

/// The value without our credentials; `None` if nothing is left of it.
pub fn without_l402(value: &[u8]) -> Option<Vec<u8>> {
    let others = parts(value).into_iter().filter(|part| !part.is_ours);
    let others: Vec<&[u8]> = others.map(|part| part.text).collect();
    (!others.is_empty()).then(|| others.join(b", ".as_slice()))
}

/// A comma and optional blanks before `L402 ` or `LSAT `, outside quotes, begins another
/// credential; one of ours ends before a comma that another scheme's token and a blank follow.
/// Other commas stand between macaroons, or between another scheme's parameters.
fn parts(value: &[u8]) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let (mut start, mut is_ours) = (0, is_l402(value));
    // Nearly every value has no comma, and isn't looked through byte by byte.
    let commas = value.contains(&b',').then(|| commas_outside_quotes(value));
    for comma in commas.into_iter().flatten() {
        let rest = value.get(comma + 1..).unwrap_or_default().trim_ascii_start();
        let begins_ours = is_l402(rest);
        if begins_ours || (is_ours && is_another_scheme(rest)) {
            push(&mut parts, value.get(start..comma), is_ours);
            (start, is_ours) = (comma + 1, begins_ours);
        }
    }
    push(&mut parts, value.get(start..), is_ours);
    parts
}

fn push<'a>(parts: &mut Vec<Part<'a>>, text: Option<&'a [u8]>, is_ours: bool) {
    let text = text.unwrap_or_default().trim_ascii();
    if !text.is_empty() {
        parts.push(Part { text, is_ours });
    }
}

/// In quotes a backslash takes its meaning from what follows it (RFC 9110 section 5.6.4).
fn commas_outside_quotes(value: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.iter().enumerate().filter_map(move |(at, byte)| {
        let is_plain = !std::mem::take(&mut is_escaped);
        match byte {
            b'"' if is_plain => is_quoted = !is_quoted,
            b'\\' if is_plain && is_quoted => is_escaped = true,
            _ => {}
        }
        (*byte == b',' && !is_quoted).then_some(at)
    })
}

fn after_scheme(text: &[u8]) -> &[u8] {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    text.get(end..).unwrap_or_default().trim_ascii()
}

fn is_l402(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let scheme = text.get(..end).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"L402") || scheme.eq_ignore_ascii_case(b"LSAT")
}

/// A token (RFC 9110 section 5.6.2), a blank, and more than the colon that a macaroon may have
/// before its preimage.
fn is_another_scheme(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(text.len());
    let rest = text.get(end..).unwrap_or_default();
    let more = rest.trim_ascii_start();
    end > 0 && rest.len() > more.len() && more.first().is_some_and(|byte| *byte != b':')
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Vec<&str> {
        tokens(value.as_bytes()).map(|token| std::str::from_utf8(token).unwrap()).collect()
    }

    fn left(value: &str) -> Option<String> {
        without_l402(value.as_bytes()).map(|left| String::from_utf8(left).unwrap())
    }

    #[test]
    fn ours_stand_wherever_they_stand() {
        for (value, ours, others) in [
            ("L402 m:p", vec!["m:p"], None),
            ("  lsat   m:p ", vec!["m:p"], None),
            ("L402", vec![""], None),
            ("Bearer x", vec![], Some("Bearer x")),
            ("L402 m:p, L402 n:q", vec!["m:p", "n:q"], None),
            ("L402 m:p,LSAT n:q", vec!["m:p", "n:q"], None),
            ("L402 m,n:p", vec!["m,n:p"], None),
            ("L402 m, n:p", vec!["m, n:p"], None),
            ("L402 m, n :p", vec!["m, n :p"], None),
            ("Basic x, L402 m:p", vec!["m:p"], Some("Basic x")),
            ("L402 m:p, Basic x", vec!["m:p"], Some("Basic x")),
            (
                "Digest user=\"a, L402 b\", realm=\"c\" , L402 m:p, Bearer y, L402 n:q",
                vec!["m:p", "n:q"],
                Some("Digest user=\"a, L402 b\", realm=\"c\", Bearer y"),
            ),
            (
                "Digest user=\"a\\\", L402 b\", L402 m:p",
                vec!["m:p"],
                Some("Digest user=\"a\\\", L402 b\""),
            ),
            ("Basic x, L4022 m:p", vec![], Some("Basic x, L4022 m:p")),
            (",,L402 m:p", vec!["m:p"], Some(",")),
            ("", vec![], None),
        ] {
            assert_eq!(of(value), ours, "{value}");
            assert_eq!(left(value).as_deref(), others, "{value}");
        }
    }
}
