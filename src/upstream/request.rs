//! What a request to an upstream looks like: what is stripped, what is set, what is pinned.

use bytes::Bytes;
use http_body_util::{Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    self, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Method, Request, Uri, Version};

use super::Upstream;
use super::body::RequestBody;

/// Fields about one connection only (RFC 9110 section 7.6.1), and older ones of that kind.
const HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Fields by which a client could pose as a proxy of ours, or hand a macaroon on.
const NEVER_FROM_CLIENTS: [&str; 8] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-real-ip",
    "macaroon",
    "grpc-metadata-macaroon",
];

/// A paid service's request: only what was priced, the listed headers and the operator's own.
pub fn paid(
    upstream: &Upstream,
    method: &Method,
    client: &HeaderMap,
    forward_headers: &[HeaderName],
    content_type: Option<&HeaderValue>,
    body: Bytes,
) -> Request<RequestBody> {
    let mut headers = HeaderMap::with_capacity(forward_headers.len() + upstream.headers.len() + 3);
    for name in forward_headers {
        for value in client.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    finish(upstream, method, upstream.uri.clone(), headers, RequestBody::Whole(Full::new(body)))
}

/// A free service's request: the client's own, without what belongs to its connection or to us.
pub fn free(
    upstream: &Upstream,
    request: Request<Incoming>,
    client: &HeaderValue,
    proto: &'static str,
    limit: usize,
) -> Request<RequestBody> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    strip_connection(&mut headers);
    for name in NEVER_FROM_CLIENTS {
        headers.remove(name);
    }
    strip_credentials(&mut headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert("x-forwarded-for", client.clone());
    headers.insert("x-forwarded-proto", HeaderValue::from_static(proto));
    // A query that hyper has read is one that it can write again.
    let uri = match parts.uri.query() {
        Some(query) if upstream.uri.query().is_none() => {
            format!("{}?{query}", upstream.uri.path()).parse().unwrap_or_else(|_| upstream.uri.clone())
        }
        _ => upstream.uri.clone(),
    };
    finish(upstream, &parts.method, uri, headers, RequestBody::Streamed(Limited::new(body, limit)))
}

fn finish(upstream: &Upstream, method: &Method, uri: Uri, mut headers: HeaderMap, body: RequestBody) -> Request<RequestBody> {
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

/// Removes what is about the connection, with every name in any `Connection` line.
pub fn strip_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Removes our own credentials and leaves another scheme's.
fn strip_credentials(headers: &mut HeaderMap) {
    let others: Vec<HeaderValue> =
        headers.get_all(AUTHORIZATION).iter().filter(|value| !crate::l402::credential::is_l402(value.as_bytes())).cloned().collect();
    headers.remove(AUTHORIZATION);
    for other in others {
        headers.append(AUTHORIZATION, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
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
        strip_connection(&mut headers);
        assert_eq!(headers, map(&[("x-three", "3")]));
    }

    #[test]
    fn only_our_own_credentials_are_removed() {
        let mut headers = map(&[("authorization", "L402 a:b"), ("authorization", "Bearer x"), ("authorization", "lsat a:b")]);
        strip_credentials(&mut headers);
        assert_eq!(headers, map(&[("authorization", "Bearer x")]));
    }
}
