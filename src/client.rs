//! Who a request comes from, for limits and logs.

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::forwarded;

/// An address, also written out once for all that show it, and how it reaches us.
#[derive(Clone, Debug)]
pub struct Client {
    address: IpAddr,
    text: HeaderValue,
    is_https: bool,
}

impl Client {
    /// With an IPv4 address that was mapped into IPv6 taken out of it.
    pub fn of(address: IpAddr, is_https: bool) -> Self {
        let address = address.to_canonical();
        // Digits, dots, colons: always a header value.
        let text = HeaderValue::from_str(&address.to_string())
            .unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, text, is_https }
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

    /// What a client may have all addresses of: an IPv6 /48. An IPv4 address is a client by itself.
    pub fn site(&self) -> Option<SiteKey> {
        match self.address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                Some(SiteKey([a, b, c]))
            }
        }
    }

    /// The address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The address as a header value.
    pub fn header(&self) -> &HeaderValue {
        &self.text
    }

    /// The address for a log.
    pub fn text(&self) -> &str {
        self.text.to_str().unwrap_or_default()
    }

    /// The scheme of the URLs that it uses, `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}

/// Names a client where clients are counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientKey(IpAddr);

/// Names a site where many clients of it are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SiteKey([u16; 3]);

/// The client: the peer (the other end of the connection), or who trusted proxies say it is, read
/// from the right. How it reaches us is what the peer says, if that is trusted.
pub fn client(peer: &Client, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer.address;
    if !is_trusted(&address) {
        return peer.clone();
    }
    for named in forwarded::from_the_right(headers) {
        // What follows one that can't be read was written by somebody who can't be believed.
        let Some(named) = named else { break };
        address = named.to_canonical();
        if !is_trusted(&address) {
            break;
        }
    }
    Client::of(address, forwarded::is_https(headers).unwrap_or(peer.is_https))
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
        let peer = Client::of(peer.parse::<std::net::SocketAddr>().unwrap().ip(), false);
        client(&peer, &headers, &trusted).text().to_owned()
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

    /// As Azure's and IIS's proxies write it.
    #[test]
    fn a_port_is_no_part_of_the_address() {
        assert_eq!(seen("10.0.0.1:1", &["198.51.100.7:50001"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1:1", &["6.6.6.6, [2001:db8::7]:443, 10.0.0.2:9"]), "2001:db8::7");
    }

    #[test]
    fn only_a_trusted_proxy_says_how_its_client_came() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let scheme = |peer: &str, headers: &HeaderMap, is_https| {
            let peer = Client::of(peer.parse().unwrap(), is_https);
            client(&peer, headers, &trusted).scheme()
        };
        assert_eq!(scheme("10.0.0.1", &headers, false), "https");
        assert_eq!(scheme("9.9.9.9", &headers, false), "http");
        assert_eq!(scheme("10.0.0.1", &HeaderMap::new(), true), "https");
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        assert_eq!(scheme("10.0.0.1", &headers, true), "http");
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        let key = |address: &str| Client::of(address.parse().unwrap(), false).key();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::1"));
        assert_ne!(key("2001:db8:1:3::1"), key("2001:db8:1:2::1"));
        assert_ne!(key("1.2.3.4"), key("1.2.3.5"));
    }
}
