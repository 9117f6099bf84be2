//! What proxies say of those who speak through them: `X-Forwarded-For`, `X-Forwarded-Proto`, and
//! `Forwarded` (RFC 7239) where those are missing. Who may be believed is decided elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Those that were spoken for, the last one first; `None` for one that isn't an address.
pub fn from_the_right(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    if headers.contains_key(X_FORWARDED_FOR) {
        return elements(headers, &X_FORWARDED_FOR).iter().rev().map(|text| node(text)).collect();
    }
    let named = |element: &&str| parameter(element, "for").and_then(node);
    elements(headers, &FORWARDED).iter().rev().map(named).collect()
}

/// Whether the last proxy was spoken to over TLS, if it says so.
pub fn is_https(headers: &HeaderMap) -> Option<bool> {
    let simple = elements(headers, &X_FORWARDED_PROTO).last().copied();
    let last = || elements(headers, &FORWARDED).last().copied();
    let scheme = simple.or_else(|| last().and_then(|element| parameter(element, "proto")))?;
    Some(scheme.eq_ignore_ascii_case("https"))
}

/// The elements of a field's lists, in order (RFC 9110 section 5.6.1). A comma within quotes is
/// none of the list's, so that what a proxy quotes can't pose as an element of its own.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
    lines.flat_map(|line| parts(line, ',')).collect()
}

fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let is_text = escaped || (quoted && character != '"');
        escaped = quoted && !escaped && character == '\\';
        quoted ^= character == '"' && !is_text;
        !is_text && character == separator
    })
    .map(str::trim)
}

/// A parameter of an element (RFC 7239 section 4), without the quotes.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    parts(element, ';').find_map(|pair| {
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
        let (address, port) = bracketed.split_once(']')?;
        let is_good = port.is_empty() || port.starts_with(':');
        return address.parse::<Ipv6Addr>().ok().filter(|_| is_good).map(IpAddr::V6);
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, _port) = text.split_once(':')?;
    address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
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
        let bad = "unknown, , [192.0.2.1], [::1]x, 192.0.2.1.5:1, _hidden";
        assert_eq!(said(&[("x-forwarded-for", bad)]), ["-"; 6]);
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

    #[test]
    fn the_last_proxy_s_word_on_the_scheme_counts() {
        assert_eq!(is_https(&of(&[])), None);
        assert_eq!(is_https(&of(&[("x-forwarded-proto", "https")])), Some(true));
        assert_eq!(is_https(&of(&[("x-forwarded-proto", "https, http")])), Some(false));
        assert_eq!(is_https(&of(&[("forwarded", "for=192.0.2.1")])), None);
    }
}
