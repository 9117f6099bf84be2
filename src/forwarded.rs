//! What proxies say of those who speak through them: `X-Forwarded-For`, `X-Forwarded-Proto`, and
//! `Forwarded` (RFC 7239) where those are missing. Who may be believed is decided elsewhere. All is
//! read from the right: a proxy appends its word to whatever its client has sent, so nothing on the
//! left may change how that word is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

/// Addresses, the client's first.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `https` or `http`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Those that were spoken for, the last one first; `None` for one that isn't an address.
pub fn from_the_right(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    if headers.contains_key(X_FORWARDED_FOR) {
        let elements = lines(headers, &X_FORWARDED_FOR).flat_map(|line| line.rsplit(','));
        return elements.map(|element| node(element.trim())).collect();
    }
    let named = |element: &str| parameter(element, "for").and_then(node);
    lines(headers, &FORWARDED).flat_map(|line| parts(line, b',')).map(named).collect()
}

/// Whether the last proxy was spoken to over TLS, if it says so. One that speaks by the older
/// fields is likely to let its client's `Forwarded` pass.
pub fn is_https(headers: &HeaderMap) -> Option<bool> {
    let speaks_older = headers.contains_key(X_FORWARDED_FOR);
    let scheme = match lines(headers, &X_FORWARDED_PROTO).next() {
        Some(line) => line.rsplit(',').next()?.trim(),
        None if speaks_older => return None,
        None => parameter(parts(lines(headers, &FORWARDED).next()?, b',').first()?, "proto")?,
    };
    let is = |word: &str| scheme.eq_ignore_ascii_case(word);
    (is("https") || is("http")).then(|| is("https"))
}

/// A field's lines, the last one first.
fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().map(|line| line.to_str().unwrap_or_default())
}

/// What stands between separators outside quotes (RFC 9110 section 5.6.4), from the right.
fn parts(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut end, mut quoted) = (Vec::new(), text.len(), false);
    for (at, byte) in text.bytes().enumerate().rev() {
        if byte == b'"' && !is_escaped(text, at) {
            quoted = !quoted;
        } else if byte == separator && !quoted {
            parts.push(text.get(at + 1..end).unwrap_or_default().trim());
            end = at;
        }
    }
    parts.push(text.get(..end).unwrap_or_default().trim());
    parts
}

fn is_escaped(text: &str, at: usize) -> bool {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// A parameter of an element (RFC 7239 section 4), without the quotes.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    parts(element, b';').into_iter().find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value =
            value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The address of a node, without brackets and port (RFC 7239 section 6; in `X-Forwarded-For` an
/// IPv6 address also comes without brackets).
fn node(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']')?;
        let is_good = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().ok().filter(|_| is_good).map(IpAddr::V6);
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = text.split_once(':')?;
    address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

/// Digits, or a name that a proxy uses in their place, which begins with `_`.
fn is_port(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number || (text.len() > 1 && text.starts_with('_') && text.bytes().all(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn said(fields: &[(&'static str, &str)]) -> Vec<String> {
        let word = |named: Option<IpAddr>| named.map_or("-".to_owned(), |ip| ip.to_string());
        from_the_right(&of(fields)).into_iter().map(word).collect()
    }

    #[test]
    fn nodes() {
        let list = "192.0.2.1, 192.0.2.2:4711, 2001:db8::1, [2001:db8::2], [2001:db8::3]:443";
        let all = ["2001:db8::3", "2001:db8::2", "2001:db8::1", "192.0.2.2", "192.0.2.1"];
        assert_eq!(said(&[("x-forwarded-for", list)]), all);
        let bad = "unknown, , [192.0.2.1], [::1]x, 192.0.2.1.5:1, _hidden, 192.0.2.1:, 192.0.2.1:x";
        assert_eq!(said(&[("x-forwarded-for", bad)]), ["-"; 8]);
        let two = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2")];
        assert_eq!(said(&two), ["192.0.2.2", "192.0.2.1"]);
    }

    #[test]
    fn the_standard_s_field_counts_where_the_older_is_missing() {
        let list = r#"For="[2001:db8:cafe::17]:4711";proto=http, proto=https;for=192.0.2.60:_x"#;
        assert_eq!(said(&[("forwarded", list)]), ["192.0.2.60", "2001:db8:cafe::17"]);
        assert_eq!(is_https(&of(&[("forwarded", list)])), Some(true));
        let both = [("forwarded", list), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(said(&both), ["192.0.2.1"]);
    }

    /// A proxy may quote what its client sent, as `host`.
    #[test]
    fn what_is_quoted_is_no_element() {
        let list =
            r#"for=192.0.2.1;host="a\",for=6.6.6.6;b=\"", for=192.0.2.2;host="b,for=6.6.6.6""#;
        assert_eq!(said(&[("forwarded", list)]), ["192.0.2.2", "192.0.2.1"]);
    }

    /// What stands on the left is what the client sent.
    #[test]
    fn no_client_can_swallow_what_its_proxy_appends() {
        for sent in
            ["6.6.6.6:\"", "\"", "[2001:db8::1]:\"", "a\\\"", "\\", "6.6.6.6;\"", "=\"\\", ",", ";"]
        {
            let list = format!("{sent}, 192.0.2.1");
            assert_eq!(said(&[("x-forwarded-for", &list)])[0], "192.0.2.1", "{list}");
            let list = format!("for={sent}, for=\"192.0.2.1:80\";proto=http");
            assert_eq!(said(&[("forwarded", &list)])[0], "192.0.2.1", "{list}");
            assert_eq!(is_https(&of(&[("forwarded", &list)])), Some(false), "{list}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_last_word_is_the_proxy_s(sent in "[ -~]{0,40}") {
            let list = format!("{sent},192.0.2.1");
            assert_eq!(said(&[("x-forwarded-for", &list)])[0], "192.0.2.1");
            let list = format!("{sent}, for=192.0.2.1");
            assert_eq!(said(&[("forwarded", &list)])[0], "192.0.2.1");
        }
    }

    #[test]
    fn the_last_proxy_s_word_on_the_scheme_counts() {
        assert_eq!(is_https(&of(&[])), None);
        assert_eq!(is_https(&of(&[("x-forwarded-proto", "https")])), Some(true));
        assert_eq!(is_https(&of(&[("x-forwarded-proto", "https, http")])), Some(false));
        assert_eq!(is_https(&of(&[("x-forwarded-proto", "")])), None);
        assert_eq!(is_https(&of(&[("forwarded", "for=192.0.2.1")])), None);
        let passed = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "proto=https")];
        assert_eq!(is_https(&of(&passed)), None);
    }
}
