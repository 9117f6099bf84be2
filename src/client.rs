//! Who a request comes from, for limits and logs.

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// An address, also written out once for all that show it.
#[derive(Clone, Debug)]
pub struct Client {
    address: IpAddr,
    text: HeaderValue,
}

impl Client {
    /// With an IPv4 address that was mapped into IPv6 taken out of it.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        // Digits, dots, colons: always a header value.
        let text = HeaderValue::from_str(&address.to_string())
            .unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, text }
    }

    /// What counts as one client: an IPv4 address, or an IPv6 /64.
    pub fn key(&self) -> ClientKey {
        ClientKey(match self.address {
            IpAddr::V4(_) => self.address,
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }

    /// The address as a header value.
    pub fn header(&self) -> &HeaderValue {
        &self.text
    }

    /// The address for a log.
    pub fn text(&self) -> &str {
        self.text.to_str().unwrap_or_default()
    }
}

/// Names a client where clients are counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientKey(IpAddr);

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who it is.
    pub client: Client,
    /// Whether it speaks TLS with us.
    pub tls: bool,
}

/// The client: the peer, or who trusted proxies say it is, read from the right.
pub fn client(peer: &Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let mut address = peer.client.address;
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&address) {
        return peer.client.clone();
    }
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
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
    Client::of(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&'static str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        let peer = Client::of(peer.parse::<std::net::SocketAddr>().unwrap().ip());
        client(&Peer { client: peer, tls: false }, &headers, &trusted).text().to_owned()
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
        let key = |address: &str| Client::of(address.parse().unwrap()).key();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::1"));
        assert_ne!(key("2001:db8:1:3::1"), key("2001:db8:1:2::1"));
        assert_ne!(key("1.2.3.4"), key("1.2.3.5"));
    }
}
