//! HTTP to the authority, which is verified like every server that we speak to.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Limited;
use hyper::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use tokio::time::timeout;

/// Longest time that an answer may take, and how long it may be.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

type Https = Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>;

pub(super) struct AuthorityClient(Https);

impl AuthorityClient {
    pub(super) fn new(tls: ClientConfig) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        Self(Client::builder(TokioExecutor::new()).build(connector.enable_http1().build()))
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for AuthorityClient {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answering {
        let answer = self.0.request(request);
        Box::pin(async move {
            let silent = |_| Error::Other("it does not answer in time".into());
            let answer = timeout(ANSWER_TIME_MAX, answer).await.map_err(silent)?;
            let answer = answer.map_err(|error| Error::Other(Box::new(error)))?;
            Ok(BytesResponse::from(answer.map(|body| Limited::new(body, ANSWER_MAX_BYTES))))
        })
    }
}
