//! Backends that are inside report on messages here, at the same secret addresses as at payers'
//! listener.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::Ops;
use super::response::{PLAIN, say, text};
use crate::reports::NotHeard;
use crate::service::BODY_DEFAULT;
use crate::service::reports::{INBOUND_PATH, News, REPORT_PATH};

/// Which of the two, the service's name, and the secret.
fn address(path: &str) -> Option<(&'static str, &str, &str)> {
    let below = |own: &'static str| {
        let (service, secret) = path.strip_prefix(own)?.strip_prefix('/')?.split_once('/')?;
        Some((own, service, secret))
    };
    below(REPORT_PATH).or_else(|| below(INBOUND_PATH))
}

impl Ops {
    /// Whether a path is one of these addresses.
    pub(super) fn is_of_news(path: &str) -> bool {
        address(path).is_some()
    }

    /// Answers a backend that has news of messages.
    pub(super) async fn hear(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::POST) {
            return say(StatusCode::METHOD_NOT_ALLOWED, "GET or POST");
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_DEFAULT).collect().await else {
            return say(StatusCode::BAD_REQUEST, "the body broke off, or is too long");
        };
        let body = body.to_bytes();
        let news = News::new(head.uri.query().unwrap_or_default(), &body);
        let catalogue = self.catalogue.load();
        let heard = match address(head.uri.path()) {
            Some((REPORT_PATH, service, token)) => {
                self.reports.of_message(&catalogue, service, token, &news).await
            }
            Some((_, service, secret)) => {
                self.reports.of_service(&catalogue, service, secret, &news).await
            }
            None => Err(NotHeard::NoSuchAddress),
        };
        match heard {
            Ok(words) if words.is_empty() => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Ok(words) => text(StatusCode::OK, PLAIN, words),
            Err(NotHeard::NoSuchAddress) => say(StatusCode::NOT_FOUND, "nothing reports here"),
            Err(NotHeard::LedgerDown) => {
                say(StatusCode::SERVICE_UNAVAILABLE, "this can't be written down now: say it again")
            }
        }
    }
}
