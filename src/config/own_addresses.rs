//! Where Farebox itself listens: on two addresses, and never its own backend.

use std::net::{IpAddr, SocketAddr};

use super::error::{ConfigError, Reporter};
use super::listen::Listen;
use super::ops::OpsSettings;
use crate::service::ServiceSpec;

/// Refuses two listeners at one address, and an upstream that is one of them.
pub(super) fn check(
    report: &Reporter<'_>,
    listen: &Listen,
    ops: &OpsSettings,
    services: &[ServiceSpec],
) -> Result<(), ConfigError> {
    if overlap(listen.address, ops.address) {
        return Err(report.at_key(
            &["ops", "address"],
            format!(
                "`listen.address` {} and `ops.address` {} are one: give `ops.address` another port",
                listen.address, ops.address
            ),
        ));
    }
    if let Some(redirect) = listen.redirect {
        let others = [("listen.address", listen.address), ("ops.address", ops.address)];
        if let Some((key, other)) = others.into_iter().find(|(_, at)| overlap(redirect, *at)) {
            return Err(report.at_key(&["listen", "redirect"], format!(
                "`listen.redirect` {redirect} and `{key}` {other} are one: plain HTTP needs a port \
                 of its own, such as 80"
            )));
        }
    }
    for (index, service) in services.iter().enumerate() {
        let url = &service.backend.url;
        let own = [("listen.address", listen.address), ("ops.address", ops.address)];
        let own = own.into_iter().find(|(_, own)| {
            let host = url.host().unwrap_or_default();
            let https = url.scheme_str() == Some("https");
            let port = url.port_u16().unwrap_or(if https { 443 } else { 80 });
            port == own.port() && names_address(host, own.ip())
        });
        if let Some((key, _)) = own {
            return Err(report.at_key(&["service", &index.to_string(), "upstream"], format!(
                "service `{}`: its `upstream` is Farebox itself (`{key}`), which would ask itself \
                 for ever; it should be where your backend listens",
                service.name
            )));
        }
    }
    Ok(())
}

/// Whether both would bind the same port of the same interface.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (is_any || one.ip() == other.ip())
}

/// Whether a host is an address of this machine's that a listener at `own` takes: by what is
/// written, without asking for names.
fn names_address(host: &str, own: IpAddr) -> bool {
    let host = host.trim_matches(['[', ']']);
    let is_localhost = host.eq_ignore_ascii_case("localhost");
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let is_loopback = is_localhost || address.is_some_and(|address| address.is_loopback());
    if own.is_unspecified() {
        return is_loopback || address.is_some_and(|address| address.is_unspecified());
    }
    address == Some(own) || (is_localhost && own.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_this_machine() {
        let names = |host: &str, own: &str| names_address(host, own.parse().unwrap());
        for (host, own) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.9", "0.0.0.0"),
            ("localhost", "127.0.0.1"),
            ("LOCALHOST", "::"),
            ("[::1]", "::1"),
            ("0.0.0.0", "0.0.0.0"),
            ("10.0.0.7", "10.0.0.7"),
        ] {
            assert!(names(host, own), "{host} {own}");
        }
        for (host, own) in [
            ("127.0.0.2", "127.0.0.1"),
            ("10.0.0.7", "0.0.0.0"),
            ("backend", "127.0.0.1"),
            ("localhost", "10.0.0.7"),
        ] {
            assert!(!names(host, own), "{host} {own}");
        }
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(overlap(at("0.0.0.0:80"), at("127.0.0.1:80")));
        assert!(overlap(at("127.0.0.1:80"), at("127.0.0.1:80")));
        assert!(!overlap(at("127.0.0.1:80"), at("127.0.0.2:80")));
        assert!(!overlap(at("127.0.0.1:80"), at("127.0.0.1:81")));
        assert!(!overlap(at("127.0.0.1:0"), at("127.0.0.1:0")));
    }
}
