//! Who a request comes from, for limits and logs.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::header::HeaderMap;
use ipnet::IpNet;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it speaks TLS with us.
    pub tls: bool,
}

/// The client's address: the peer's, or what trusted proxies say, read from the right.
pub fn address(peer: &Peer, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer.address.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&address) {
        return address;
    }
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        match entry.trim().parse::<IpAddr>() {
            Ok(named) => address = named.to_canonical(),
            // What follows was written by somebody who can't be believed.
            Err(_) => break,
        }
        if !is_trusted(&address) {
            break;
        }
    }
    address
}

/// What counts as one client: an IPv4 address, or an IPv6 /64.
pub fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&'static str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", hyper::header::HeaderValue::from_static(line));
        }
        address(&Peer { address: peer.parse().unwrap(), tls: false }, &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_name_the_client() {
        assert_eq!(seen("9.9.9.9:1", &["1.1.1.1"]), "9.9.9.9");
        assert_eq!(seen("10.0.0.1:1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1:1", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(seen("10.0.0.1:1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"]), "1.1.1.1");
        assert_eq!(seen("10.0.0.1:1", &["6.6.6.6", "1.1.1.1", "10.0.0.2"]), "1.1.1.1");
        assert_eq!(seen("10.0.0.1:1", &["6.6.6.6, nonsense, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(seen("[::1]:1", &["2001:db8::5"]), "2001:db8::5");
        assert_eq!(seen("[::ffff:10.0.0.1]:1", &["1.1.1.1"]), "1.1.1.1");
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        assert_eq!(key("2001:db8:1:2:3:4:5:6".parse().unwrap()), key("2001:db8:1:2::1".parse().unwrap()));
        assert_ne!(key("2001:db8:1:3::1".parse().unwrap()), key("2001:db8:1:2::1".parse().unwrap()));
        assert_ne!(key("1.2.3.4".parse().unwrap()), key("1.2.3.5".parse().unwrap()));
    }
}
