//! What a request to an upstream looks like: what is stripped, what is set, what is pinned.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST,
    HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Method, Request, Uri, Version};

use super::Upstream;
use super::request_body::{BodyCopy, BodyLimit, RequestBody};
use crate::forwarded::{X_FORWARDED_FOR, X_FORWARDED_PROTO};
use crate::l402::authorization::without_l402;
use crate::trace::{TRACEPARENT, TRACESTATE};

/// Whether a field is about one connection only (RFC 9110 section 7.6.1), or an older one of that
/// kind.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "expect"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
    )
}

/// Whether a field is about the connection, or about where the body ends: what is sent by hyper
/// can't have another's.
pub fn is_framing(name: &HeaderName) -> bool {
    is_hop_by_hop(name.as_str()) || name == CONTENT_LENGTH
}

/// Whether by a field a client could pose as a proxy of ours, or hand a macaroon on; or whether it
/// is written by us.
fn is_never_from_clients(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "forwarded" | "x-real-ip" | "macaroon" | "grpc-metadata-macaroon" | "content-length"
        )
}

/// A name as backends over CGI or WSGI read it: `X_Token` is `X-Token` to them (RFC 3875 section
/// 4.1.18).
fn dashed(name: &HeaderName) -> Cow<'_, str> {
    let name = name.as_str();
    if name.contains('_') { name.replace('_', "-").into() } else { name.into() }
}

/// A paid service's request: only what was priced, the trace that it belongs to, the listed headers
/// and the operator's own.
pub fn paid(
    upstream: &Upstream,
    method: &Method,
    client: &HeaderMap,
    forward_headers: &[HeaderName],
    content_type: Option<&HeaderValue>,
    query: Option<&str>,
    body: Bytes,
) -> Option<Request<Bytes>> {
    let mut headers = HeaderMap::with_capacity(forward_headers.len() + upstream.headers.len() + 5);
    let of_trace = [TRACEPARENT, TRACESTATE];
    let listed = forward_headers.iter().filter(|name| !of_trace.contains(name));
    for name in of_trace.iter().chain(listed) {
        for value in client.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    join_cookies(&mut headers);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Some(finish(upstream, method, with_query(upstream, query)?, headers, body))
}

/// The same without the operator's query, for a question that has one of its own.
pub fn own_without_query(upstream: &Upstream, path: &str) -> Option<Request<Bytes>> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Some(finish(upstream, &Method::GET, path.parse().ok()?, headers, Bytes::new()))
}

/// Asks the upstream itself for something, with the operator's own query and headers.
pub fn own(upstream: &Upstream, path: &str) -> Option<Request<Bytes>> {
    let path = match upstream.uri.query().filter(|query| !query.is_empty()) {
        Some(query) => {
            let joint = if path.contains('?') { '&' } else { '?' };
            Cow::from(format!("{path}{joint}{query}"))
        }
        None => path.into(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Some(finish(upstream, &Method::GET, path.parse().ok()?, headers, Bytes::new()))
}

/// Where an upstream takes a key by which it throws repeats away.
pub enum IdempotencyKeyPlace {
    /// A header field.
    Header(HeaderName),
    /// A member of the JSON object in the body.
    Member(String),
    /// Wherever the mapping says, which is told by all of it: where that changes, nobody knows what
    /// the backend makes of a key that it was told before.
    Mapped(String),
}

impl IdempotencyKeyPlace {
    /// Names the place among others of one upstream.
    pub fn text(&self) -> String {
        match self {
            Self::Header(name) => format!("header {name}"),
            Self::Member(name) => format!("member {name}"),
            Self::Mapped(mapping) => format!("mapped {mapping}"),
        }
    }

    /// Puts the key there; `None` if the body is no JSON object.
    pub fn put(&self, request: &mut Request<Bytes>, key: &str) -> Option<()> {
        match self {
            Self::Header(name) => {
                request.headers_mut().insert(name.clone(), HeaderValue::from_str(key).ok()?);
            }
            Self::Member(name) => {
                let mut body: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_slice(request.body()).ok()?;
                body.insert(name.clone(), key.into());
                *request.body_mut() = serde_json::to_vec(&body).ok()?.into();
            }
            // It is there since the request was made.
            Self::Mapped(_) => {}
        }
        Some(())
    }
}

/// A free service's request: the client's own, without what belongs to its connection or to us;
/// with its body if there is a `limit` for that. `None` if its query is no URL.
pub fn free(
    upstream: &Upstream,
    request: Request<Incoming>,
    client: &HeaderValue,
    proto: &'static str,
    limit: Option<&BodyLimit>,
    copy: Option<&BodyCopy>,
) -> Option<Request<RequestBody>> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    strip(&mut headers, |name| {
        let name = dashed(name);
        is_never_from_clients(&name)
            || is_hop_by_hop(&name)
            || upstream.headers.iter().any(|(pinned, _)| dashed(pinned) == name)
    });
    strip_l402(&mut headers, AUTHORIZATION, |_| true);
    join_cookies(&mut headers);
    headers.insert(X_FORWARDED_FOR, client.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    let uri = with_query(upstream, parts.uri.query())?;
    let body = limit.map_or_else(RequestBody::none, |limit| {
        RequestBody::streamed(body, limit.clone(), copy.cloned(), upstream.timeout)
    });
    Some(finish(upstream, &parts.method, uri, headers, body))
}

/// The operator's fixed parameters, then the client's of other names: never two of one name. `None`
/// if that is no URL any more.
fn with_query(upstream: &Upstream, query: Option<&str>) -> Option<Uri> {
    let Some(query) = query else { return Some(upstream.uri.clone()) };
    let fixed = upstream.uri.query().filter(|fixed| !fixed.is_empty());
    let pairs: Vec<&str> = fixed.into_iter().chain(without(query, &upstream.fixed_names)).collect();
    let text = if pairs.is_empty() {
        upstream.uri.path().to_owned()
    } else {
        format!("{}?{}", upstream.uri.path(), pairs.join("&"))
    };
    text.parse().ok()
}

/// The pairs of `query` whose names are none of `fixed`, as they are written.
pub(super) fn without<'a>(query: &'a str, fixed: &[String]) -> Vec<&'a str> {
    let is_fixed = |pair: &str| {
        form_urlencoded::parse(pair.as_bytes())
            .next()
            .is_some_and(|(name, _)| fixed.iter().any(|f| *f == name))
    };
    query.split('&').filter(|pair| !pair.is_empty() && !is_fixed(pair)).collect()
}

pub(super) fn finish<B>(
    upstream: &Upstream,
    method: &Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: B,
) -> Request<B> {
    headers.insert(HOST, upstream.target.authority.clone());
    for (name, value) in &upstream.headers {
        headers.insert(name.clone(), value.clone());
    }
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    // With the client's own version hyper would send the headers and drop the body.
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}

/// Removes what is about the connection, with every name in any `Connection` line, and what is
/// `unwanted`, which is asked of every name.
pub fn strip(headers: &mut HeaderMap, mut unwanted: impl FnMut(&HeaderName) -> bool) {
    let mut gone: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name) || is_hop_by_hop(name.as_str()))
        .cloned()
        .collect();
    if gone.contains(&CONNECTION) {
        for name in headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        {
            let name = name.trim_ascii();
            // Nearly always it is one of these, which name no field that isn't gone anyway.
            if !matches!(name, b"keep-alive" | b"close") {
                gone.extend(HeaderName::from_bytes(name));
            }
        }
    }
    for name in gone {
        headers.remove(name);
    }
}

/// HTTP/2 may cut cookies into several lines, which HTTP/1.1 has in one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice()))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Removes our own credentials (or challenges) from all lines of a field and leaves other schemes'
/// that are to be kept.
pub fn strip_l402(headers: &mut HeaderMap, name: HeaderName, keeps: impl Fn(&[u8]) -> bool) {
    if !headers.contains_key(&name) {
        return;
    }
    let others: Vec<HeaderValue> = headers
        .get_all(&name)
        .iter()
        .filter_map(|value| without_l402(value.as_bytes()))
        .filter_map(|other| HeaderValue::from_bytes(&other).ok().filter(|_| keeps(&other)))
        .collect();
    headers.remove(&name);
    for other in others {
        headers.append(name.clone(), other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn every_connection_line_counts() {
        let mut headers = map(&[
            ("connection", "x-one"),
            ("connection", "close, X-Two"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("te", "trailers"),
        ]);
        strip(&mut headers, |_| false);
        assert_eq!(headers, map(&[("x-three", "3")]));
    }

    #[test]
    fn only_our_own_credentials_are_removed() {
        let mut headers = map(&[
            ("authorization", "L402 a:b"),
            ("authorization", "Bearer x"),
            ("authorization", "lsat a:b"),
            ("authorization", "Basic y, L402 a:b, Bearer z"),
        ]);
        strip_l402(&mut headers, AUTHORIZATION, |_| true);
        let others = [("authorization", "Bearer x"), ("authorization", "Basic y, Bearer z")];
        assert_eq!(headers, map(&others));
    }

    #[test]
    fn fixed_parameters_are_taken_out_however_they_are_written() {
        let fixed = ["password".to_owned(), "user".to_owned()];
        assert_eq!(
            without("to=1&pass%77ord=x&text=a%20b&user&&password=y", &fixed),
            ["to=1", "text=a%20b"]
        );
    }
}
