//! Backends that are inside report on messages here, at the same secret addresses as at payers'
//! listener.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::Ops;
use super::response::{PLAIN, say, text};
use crate::reports::{NewsAddress, NotHeard};
use crate::service::BODY_DEFAULT;
use crate::service::reports::{INBOUND_PATH, News, REPORT_PATH};

/// Longest time for reading what a backend says: the places here are the operator's.
const BODY_TIME: Duration = Duration::from_secs(5);

impl Ops {
    /// Whether a path is one of these addresses.
    pub(super) fn is_of_news(path: &str) -> bool {
        address(path).is_some()
    }

    /// Answers a backend that has news of messages. Of others nothing is read.
    pub(super) async fn hear(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let catalogue = self.catalogue.load();
        let at = address(head.uri.path());
        let at = at.filter(|at| self.reports.expects(&catalogue, *at).is_ok());
        let Some(at) = at else {
            return closing(say(StatusCode::NOT_FOUND, "nothing reports here"));
        };
        if !matches!(head.method, Method::GET | Method::POST) {
            return closing(say(StatusCode::METHOD_NOT_ALLOWED, "GET or POST"));
        }
        let Ok(Ok(body)) = timeout(BODY_TIME, Limited::new(body, BODY_DEFAULT).collect()).await
        else {
            let what = "the body broke off, came too slowly, or is too long";
            return closing(say(StatusCode::BAD_REQUEST, what));
        };
        let body = body.to_bytes();
        let news = News::new(head.uri.query().unwrap_or_default(), &body);
        match self.reports.hear(&catalogue, at, &news).await {
            Ok(words) if words.is_empty() => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Ok(words) => text(StatusCode::OK, PLAIN, words),
            Err(NotHeard::NoSuchAddress) => say(StatusCode::NOT_FOUND, "nothing reports here"),
            Err(NotHeard::LedgerDown) => {
                let what = "this can't be written down now: say it again";
                say(StatusCode::SERVICE_UNAVAILABLE, what)
            }
        }
    }
}

/// Where a backend has news, if the path is such an address.
fn address(path: &str) -> Option<NewsAddress<'_>> {
    let below = |own: &str| path.strip_prefix(own)?.strip_prefix('/')?.split_once('/');
    let message =
        below(REPORT_PATH).map(|(service, token)| NewsAddress::Message { service, token });
    let of_service =
        || below(INBOUND_PATH).map(|(service, secret)| NewsAddress::Service { service, secret });
    message.or_else(of_service)
}

/// A body that isn't read would keep its connection's place.
fn closing(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
