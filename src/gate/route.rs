//! Which service a request is for. Default deny: method, host and path match exactly, or there is
//! no service.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Version};

use super::navigation::{is_navigation, is_read};
use super::own_paths::OwnPath;
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::service::{Catalogue, Service};

/// Whom a request is for.
pub(super) enum Route<'a> {
    /// One of the operator's services.
    Service(&'a Arc<Service>),
    /// One of them, at an address that it had before.
    Formerly(&'a Arc<Service>),
    /// Ourselves.
    Own(OwnPath),
    /// A browser, at a paid path that takes another method than it can ask by: the page of the
    /// service is shown.
    SeeService(&'a Arc<Service>),
    /// Somebody who looks whether a service lives, by a method that it doesn't take.
    Probe(&'a Arc<Service>),
    /// Nobody that is known: a file of the operator's, if there is one.
    Elsewhere,
    /// A browser that asks beforehand: the methods that the path takes.
    Preflight(HeaderValue),
}

/// Whom a request is for; `Err` if it is for nobody.
pub(super) fn route<'a, B>(
    catalogue: &'a Catalogue,
    request: &Request<B>,
) -> Result<Route<'a>, Problem> {
    let host = host(request).map_err(problems::bad_request)?;
    let path = request.uri().path();
    let is_here = |service: &&Arc<Service>| {
        service.path == path
            && service.host.as_deref().is_none_or(|named| Some(named) == host.as_deref())
    };
    let here = || catalogue.services.iter().filter(is_here);
    // A service that names the host goes before one that takes any.
    let of_method = |named: bool| {
        here().find(|service| service.method == request.method() && service.host.is_some() == named)
    };
    if let Some(service) = of_method(true).or_else(|| of_method(false)) {
        return Ok(Route::Service(service));
    }
    let former = |service: &&Arc<Service>| {
        let is_host = service.host.as_deref().is_none_or(|named| Some(named) == host.as_deref());
        let has_it = |(method, at): &(Method, String)| at == path && method == request.method();
        is_host && service.former_addresses.iter().any(has_it)
    };
    if let Some(service) = catalogue.services.iter().find(former) {
        return Ok(Route::Formerly(service));
    }
    let is_preflight = request.method() == Method::OPTIONS;
    let formerly = catalogue.services.iter().flat_map(|service| &service.former_addresses);
    let formerly = formerly.filter(|(_, at)| at == path).map(|(method, _)| method.as_str());
    let methods: Vec<&str> =
        here().map(|service| service.method.as_str()).chain(formerly).collect();
    // Ours yields to a service, whatever its method.
    if methods.is_empty() {
        return Ok(match OwnPath::at(path) {
            // Nothing is there, then.
            Some(OwnPath::Page(page)) if page.is_for_people() && !catalogue.pages.is_enabled => {
                Route::Elsewhere
            }
            Some(own) if is_preflight => Route::Preflight(own.allowed()),
            Some(own) => Route::Own(own),
            None => Route::Elsewhere,
        });
    }
    let methods = methods.join(", ");
    let allow = HeaderValue::from_str(&format!("{methods}, OPTIONS"))
        .unwrap_or(HeaderValue::from_static("OPTIONS"));
    if is_preflight {
        return Ok(Route::Preflight(allow));
    }
    show_what_is_sold(catalogue, host.as_deref(), request)
        .ok_or_else(|| problems::method_not_allowed(&methods, allow))
}

/// Whom a request is for by another method than a paid path takes: who looks at it is shown what is
/// sold there.
fn show_what_is_sold<'a, B>(
    catalogue: &'a Catalogue,
    host: Option<&str>,
    request: &Request<B>,
) -> Option<Route<'a>> {
    let path = request.uri().path();
    let sold = || {
        let all = catalogue.at_host(host);
        all.filter(|service| service.path == path && service.offer.is_some())
    };
    if catalogue.pages.is_enabled && is_navigation(request) {
        return sold().next().map(Route::SeeService);
    }
    let mut probed = sold().filter(|service| service.answers_probes);
    probed.next().filter(|_| is_read(request.method())).map(Route::Probe)
}

/// The host that is asked for, in lower case, without port and the dot of a fully qualified name.
/// Two that differ are refused (RFC 9112 section 3.2).
pub(super) fn host<B>(request: &Request<B>) -> Result<Option<Cow<'_, str>>, &'static str> {
    let mut lines = request.headers().get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err("A request has one Host header field.");
    }
    let in_header = match line {
        Some(value) => Some(
            value
                .to_str()
                .ok()
                .and_then(bare_host)
                .ok_or("The Host header field can't be read.")?,
        ),
        None => None,
    };
    let in_target = request
        .uri()
        .authority()
        .map(|authority| bare_host(authority.as_str()).ok_or("The host can't be read."))
        .transpose()?;
    match (in_target, in_header) {
        (Some(target), Some(header)) if target != header => {
            Err("The request names two different hosts.")
        }
        (None, None) if request.version() == Version::HTTP_11 => {
            Err("The Host header field is missing.")
        }
        (target, header) => Ok(target.or(header)),
    }
}

fn bare_host(authority: &str) -> Option<Cow<'_, str>> {
    // Nearly every host looks like this, and needs no copy.
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    let has_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    if !host.is_empty() && host.bytes().all(is_plain) && has_port {
        return Some(Cow::from(unrooted(host)));
    }
    let authority = authority.parse::<Authority>().ok()?;
    let host = || Cow::from(unrooted(authority.host()).to_ascii_lowercase());
    (!authority.as_str().contains('@')).then(host)
}

/// Without the dot at the end that says that a name is whole (RFC 1034 section 3.1).
fn unrooted(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str, hosts: &[&str]) -> Result<Option<String>, &'static str> {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let request = request.body(()).unwrap();
        host(&request).map(|host| host.map(Cow::into_owned))
    }

    #[test]
    fn one_host_and_only_one() {
        assert_eq!(of("/", &["Example.com:8080"]), Ok(Some("example.com".into())));
        assert_eq!(of("http://example.com/", &["example.com"]), Ok(Some("example.com".into())));
        for whole in ["example.com.", "example.com.:443", "EXAMPLE.com."] {
            assert_eq!(of("/", &[whole]), Ok(Some("example.com".into())), "{whole}");
        }
        assert_eq!(of("/", &["[::1]:80"]), Ok(Some("[::1]".into())));
        assert!(of("/", &[]).is_err());
        assert!(of("/", &["a", "b"]).is_err());
        assert!(of("/", &["a", "a"]).is_err());
        assert!(of("http://a/", &["b"]).is_err());
        assert!(of("/", &["a b"]).is_err());
        assert!(of("/", &["user@a"]).is_err());
    }
}
