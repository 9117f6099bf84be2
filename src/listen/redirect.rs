//! Plain HTTP at a port of its own: whoever asks there is sent to https, and certificate
//! authorities are shown what they ask for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::acme::challenges::Challenges;
use super::places::Places;
use crate::client::Client;
use crate::service::current::CurrentCatalogue;

/// How long one connection may take, and so a slow client.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// Most connections at once, in all and of one client.
const CONNECTIONS_MAX: usize = 500;
const CONNECTIONS_PER_CLIENT_MAX: usize = 20;

/// Longest head, in bytes.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Sends clients to https.
pub struct Redirect {
    /// The bound socket.
    pub listener: TcpListener,
    /// Where TLS is spoken.
    pub tls_port: u16,
    /// How payers reach us, if the operator said so.
    pub catalogue: Arc<CurrentCatalogue>,
    /// What authorities ask for.
    pub challenges: Arc<Challenges>,
}

impl Redirect {
    /// Answers until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let places = Places::new(CONNECTIONS_MAX, CONNECTIONS_PER_CLIENT_MAX, Vec::new());
        let redirect = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = redirect.listener.accept() => accepted,
            };
            let (socket, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a connection could not be accepted at `listen.redirect`");
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let Some((place, make_room)) = places.take(&Client::of(address.ip(), false)).await
            else {
                continue;
            };
            let redirect = Arc::clone(&redirect);
            tokio::spawn(async move {
                let _place = place;
                tokio::select! {
                    Ok(()) = make_room => {}
                    _ = timeout(CONNECTION_TIME_MAX, redirect.serve(socket)) => {}
                }
            });
        }
    }

    async fn serve(&self, socket: TcpStream) {
        let service =
            service_fn(|request| async move { Ok::<_, Infallible>(self.answer(&request)) });
        let mut http = http1::Builder::new();
        let http = http.keep_alive(false).max_buf_size(HEAD_MAX_BYTES).timer(TokioTimer::new());
        // What a client does to its own connection is no error of ours.
        let _ = http.serve_connection(TokioIo::new(socket), service).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if let Some(text) = self.challenges.text_at(request.uri().path()) {
            return plain(StatusCode::OK, text);
        }
        match self.location(request).and_then(|at| HeaderValue::from_str(&at).ok()) {
            Some(location) => {
                // With its method and its body (RFC 9110 section 15.4.9).
                let mut answer =
                    plain(StatusCode::PERMANENT_REDIRECT, "This is at https.\n".to_owned());
                answer.headers_mut().insert(LOCATION, location);
                answer
            }
            None => plain(StatusCode::BAD_REQUEST, "Begin the URL with https://.\n".to_owned()),
        }
    }

    /// The same at https: at the host that was asked for, or where payers are said to reach us.
    fn location<B>(&self, request: &Request<B>) -> Option<String> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let catalogue = self.catalogue.load();
        if let Some(base) = catalogue.public_url.as_deref().filter(|url| url.starts_with("https:"))
        {
            return Some(format!("{base}{target}"));
        }
        let asked = request.headers().get(HOST)?.to_str().ok()?.parse::<Authority>().ok()?;
        let host = Some(asked.host()).filter(|_| !asked.as_str().contains('@'))?;
        Some(match self.tls_port {
            443 => format!("https://{host}{target}"),
            port => format!("https://{host}:{port}{target}"),
        })
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
