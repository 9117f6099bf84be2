//! Addresses inside the operator's own network, out of an upstream's answer: a payer can't follow
//! them, and they are none of its business.

use std::net::IpAddr;

use hyper::Uri;
use hyper::header::{CONTENT_LOCATION, HeaderMap, HeaderValue, LOCATION};

use super::Upstream;
use super::request::without;

/// Ends of names that mean something inside a network only (RFC 6762, RFC 8375, ICANN, habit).
const INNER_SUFFIXES: [&str; 6] =
    [".local", ".home.arpa", ".internal", ".lan", ".intranet", ".corp"];

/// Makes an inner `Location` or `Content-Location` one of ours: where it names what was asked, that
/// is `public_path`; else its path is left, without host, and without the operator's parameters.
pub fn hide(headers: &mut HeaderMap, upstream: &Upstream, public_path: &str) {
    for name in [LOCATION, CONTENT_LOCATION] {
        let Some(value) = headers.get(&name) else { continue };
        let outer = value.to_str().ok().map(|place| outer(place, upstream, public_path));
        match outer {
            Some(Outer::Same) => {}
            Some(Outer::Place(place)) => {
                headers.insert(name, place);
            }
            Some(Outer::None) | None => {
                headers.remove(name);
            }
        }
    }
}

enum Outer {
    Same,
    Place(HeaderValue),
    None,
}

fn outer(place: &str, upstream: &Upstream, public_path: &str) -> Outer {
    if !place.contains("://") && !place.starts_with('/') {
        return Outer::Same;
    }
    let absolute = match place.strip_prefix("//") {
        Some(rest) => format!("http://{rest}"),
        None => place.to_owned(),
    };
    let Ok(uri) = absolute.parse::<Uri>() else {
        // A path that is written loosely names no host.
        let is_path = place.starts_with('/') && !place.starts_with("//");
        return if is_path { Outer::Same } else { Outer::None };
    };
    if uri.host().is_some_and(|host| !is_inner(host, upstream)) {
        return Outer::Same;
    }
    let path = if uri.path() == upstream.uri.path() { public_path } else { uri.path() };
    let mut relative = path.to_owned();
    let pairs = without(uri.query().unwrap_or_default(), &upstream.fixed_names);
    if !pairs.is_empty() {
        relative.push('?');
        relative.push_str(&pairs.join("&"));
    }
    if let Some((_, fragment)) = place.split_once('#') {
        relative.push('#');
        relative.push_str(fragment);
    }
    HeaderValue::from_str(&relative).map_or(Outer::None, Outer::Place)
}

/// The upstream's own host, an address that isn't public, or a name without a dot.
fn is_inner(host: &str, upstream: &Upstream) -> bool {
    let host = host.trim_matches(['[', ']']);
    if host.eq_ignore_ascii_case(&upstream.target.host) {
        return true;
    }
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let [first, second, ..] = address.octets();
            // Shared address space (RFC 6598): 100.64.0.0/10.
            let is_shared = first == 100 && second & 0xc0 == 64;
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || is_shared
        }
        Ok(IpAddr::V6(address)) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some()
        }
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            !name.contains('.') || INNER_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        }
    }
}
