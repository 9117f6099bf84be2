//! Our own paths, a row each.

use std::fmt;

use hyper::Method;
use hyper::header::HeaderValue;

use crate::pages::Page;
use crate::reports::NewsAddress;
use crate::service::reports::{INBOUND_PATH, REPORT_PATH};
use crate::service::{QUOTE_PATH, STATUS_PATH};

/// Where the page has the picture of an invoice made.
const QR_PATH: &str = "/l402/qr";

/// What stands in an address that only a service's backend knows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SecretAddress {
    pub(super) service: String,
    pub(super) secret: String,
}

impl SecretAddress {
    fn read(rest: &str) -> Option<Self> {
        let (service, secret) = rest.split_once('/')?;
        Some(Self { service: service.to_owned(), secret: secret.to_owned() })
    }
}

/// Without the secret.
impl fmt::Debug for SecretAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretAddress({})", self.service)
    }
}

/// Who answers at one of our own paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum OwnPath {
    /// How a ticket stands.
    Status,
    /// What a request at this service would cost.
    Quote(String),
    /// The same, where the body names the service.
    QuoteDescribed,
    /// An invoice as a picture.
    Qr,
    /// A backend's news of one message.
    Report(SecretAddress),
    /// A backend's news of all messages.
    Inbound(SecretAddress),
    /// A page, a description, a file of ours.
    Page(Page),
}

impl OwnPath {
    /// Whose path it is.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            STATUS_PATH => Self::Status,
            QUOTE_PATH => Self::QuoteDescribed,
            QR_PATH => Self::Qr,
            _ => return Self::below(path),
        })
    }

    /// Whose path it is, of those with a name in them.
    fn below(path: &str) -> Option<Self> {
        let rest = |own| path.strip_prefix(own).and_then(|rest| rest.strip_prefix('/'));
        if let Some(name) = rest(QUOTE_PATH) {
            return Some(Self::Quote(name.to_owned()));
        }
        if let Some(rest) = rest(REPORT_PATH) {
            return Some(Self::Report(SecretAddress::read(rest)?));
        }
        if let Some(rest) = rest(INBOUND_PATH) {
            return Some(Self::Inbound(SecretAddress::read(rest)?));
        }
        Page::at(path).map(Self::Page)
    }

    /// Where a backend has news, if it is that.
    pub(super) fn news_address(&self) -> Option<NewsAddress<'_>> {
        match self {
            Self::Report(SecretAddress { service, secret }) => {
                Some(NewsAddress::Message { service, token: secret })
            }
            Self::Inbound(SecretAddress { service, secret }) => {
                Some(NewsAddress::Service { service, secret })
            }
            _ => None,
        }
    }

    /// The path for a log line: without what a stranger may have made up.
    pub(super) fn path(&self) -> &'static str {
        match self {
            Self::Status => STATUS_PATH,
            Self::Quote(_) | Self::QuoteDescribed => QUOTE_PATH,
            Self::Qr => QR_PATH,
            Self::Report(_) => REPORT_PATH,
            Self::Inbound(_) => INBOUND_PATH,
            Self::Page(page) => page.path(),
        }
    }

    /// The methods that it takes.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Status => "GET",
            Self::Quote(_) => "GET, HEAD, POST",
            Self::QuoteDescribed | Self::Qr => "POST",
            Self::Report(_) | Self::Inbound(_) => "GET, POST",
            Self::Page(_) => "GET, HEAD",
        }
    }

    /// The same, with what a browser asks beforehand.
    pub(super) fn allowed(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Status => "GET, OPTIONS",
            Self::Quote(_) => "GET, HEAD, POST, OPTIONS",
            Self::QuoteDescribed | Self::Qr => "POST, OPTIONS",
            Self::Report(_) | Self::Inbound(_) => "GET, POST, OPTIONS",
            Self::Page(_) => "GET, HEAD, OPTIONS",
        })
    }

    /// Whether it takes this one.
    pub(super) fn takes(&self, method: &Method) -> bool {
        self.methods().split(", ").any(|own| own == method.as_str())
    }
}

/// Every path of ours is one that no service can have, or yields to one that does.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_rows() {
        let page = |page| Some(OwnPath::Page(page));
        let address = SecretAddress { service: "send-sms".into(), secret: "ab".into() };
        let secret = |own: fn(SecretAddress) -> OwnPath| Some(own(address.clone()));
        for (path, expected) in [
            ("/", page(Page::Index)),
            ("/services/send-sms", page(Page::Service("send-sms".into()))),
            ("/assets/page.css", page(Page::Asset("page.css".into()))),
            ("/l402/status", Some(OwnPath::Status)),
            ("/l402/quote", Some(OwnPath::QuoteDescribed)),
            ("/l402/quote/send-sms", Some(OwnPath::Quote("send-sms".into()))),
            ("/l402/qr", Some(OwnPath::Qr)),
            ("/l402/report/send-sms/ab", secret(OwnPath::Report)),
            ("/l402/inbound/send-sms/ab", secret(OwnPath::Inbound)),
            ("/l402/report/send-sms", None),
            ("/l402/inbound", None),
            ("/l402/quotes", None),
            ("/l402/", None),
            ("/services", None),
            ("/api", None),
        ] {
            assert_eq!(OwnPath::at(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_allowed_is_what_is_taken() {
        for path in
            ["/", "/l402/status", "/l402/quote", "/l402/quote/x", "/l402/qr", "/l402/report/x/y"]
        {
            let own = OwnPath::at(path).unwrap();
            assert_eq!(own.allowed(), format!("{}, OPTIONS", own.methods()), "{path}");
        }
    }
}
