//! How payers reach this gate, for whatever names an address to them.

use hyper::header::{HOST, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Request, Uri, Version};

use crate::client::Client;

/// What of a request says how its client reached us.
#[derive(Clone, Copy)]
pub struct Reached<'a> {
    uri: &'a Uri,
    headers: &'a HeaderMap,
    version: Version,
    client: &'a Client,
}

impl<'a> Reached<'a> {
    /// From a request.
    pub fn by<B>(request: &'a Request<B>, client: &'a Client) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        Self { uri, headers, version: request.version(), client }
    }

    /// From a request's head.
    pub fn by_head(head: &'a Parts, client: &'a Client) -> Self {
        Self { uri: &head.uri, headers: &head.headers, version: head.version, client }
    }

    /// Scheme, host and, where the operator says so, a path; without a slash at the end: as the
    /// operator says, else as this client did.
    pub fn base_url(self, public_url: Option<&str>) -> String {
        if let Some(public) = public_url {
            return public.to_owned();
        }
        let host = self.headers.get(HOST).and_then(|host| host.to_str().ok());
        // Routing has read it as host and port; a text that isn't could not have got here.
        let named = match (self.uri.authority(), host) {
            (Some(authority), _) if self.version >= Version::HTTP_2 => authority.as_str(),
            (_, Some(host)) => host,
            (Some(authority), None) => authority.as_str(),
            (None, None) => "localhost",
        };
        format!("{}://{named}", self.client.scheme())
    }
}
