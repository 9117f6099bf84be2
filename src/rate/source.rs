//! Who knows the rate: one question, one answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{ACCEPT, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::CryptoProvider;
use serde_json::Value;
use tokio::time::timeout;

use super::settings::RateSettings;
use crate::price::rate::Rate;
use crate::tls::{TlsError, client_config};

/// Longest time that an answer may take, and how long it may be.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// Some services answer nobody without a name.
const NAME: &str = concat!("farebox/", env!("CARGO_PKG_VERSION"));

pub(super) struct Source {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: Uri,
    pointer: String,
}

impl Source {
    pub(super) fn new(
        settings: &RateSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let tls = client_config("rate.url", None, provider)?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(connector.build());
        Ok(Self { client, url: settings.url.clone(), pointer: settings.pointer.clone() })
    }

    /// Why there is no answer is said without the address, which may hold a key of the operator's.
    pub(super) async fn ask(&self) -> Result<Rate, String> {
        let asked = timeout(ANSWER_TIME_MAX, self.answer()).await;
        let body = asked.map_err(|_| format!("no answer within {ANSWER_TIME_MAX:?}"))??;
        rate_in(&body, &self.pointer)
    }

    async fn answer(&self) -> Result<Bytes, String> {
        let request = Request::get(self.url.clone())
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, NAME)
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await.map_err(|error| chain(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("the answer has the status {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
        Ok(body.map_err(|error| error.to_string())?.to_bytes())
    }
}

/// An error with what it is by.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn rate_in(body: &[u8], pointer: &str) -> Result<Rate, String> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| "the answer isn't JSON".to_owned())?;
    let number = match body.pointer(pointer) {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.trim().to_owned(),
        _ => return Err(format!("the answer has no number at `{pointer}`")),
    };
    Rate::read(&number).map_err(|_| format!("the answer has no usable price at `{pointer}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_text_is_read_and_nothing_else() {
        let read = |body: &str, pointer: &str| rate_in(body.as_bytes(), pointer);
        let price = |body: &str, pointer: &str| read(body, pointer).unwrap().price().to_string();
        assert_eq!(price(r#"{"data":{"amount":"97123.45"}}"#, "/data/amount"), "97123.45");
        assert_eq!(price(r#"{"bitcoin":{"usd":97123}}"#, "/bitcoin/usd"), "97123");
        assert_eq!(price(r#"[{"p":97123.1}]"#, "/0/p"), "97123.1");
        for body in
            ["", "<html>", "{}", r#"{"p":null}"#, r#"{"p":0}"#, r#"{"p":-5}"#, r#"{"p":"x"}"#]
        {
            assert!(read(body, "/p").is_err(), "{body}");
        }
    }
}
