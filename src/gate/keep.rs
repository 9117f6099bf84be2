//! What is read of an upstream's answer: to keep it for repeats, or for the words of a refusal.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Limited};
use hyper::Response;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};

use super::site::Service;
use crate::redemption::kept::Kept;
use crate::upstream::body::ResponseBody;
use crate::upstream::outcome::clean;
use crate::upstream::request::strip_connection;

/// Most bytes of header fields that are kept with an answer.
const MAX_KEPT_HEADERS: usize = 8 * 1024;

/// Most bytes that are read of a refusal's body, for its words.
const MAX_REFUSAL: usize = 16 * 1024;

/// The rest of an answer that is too long to keep: for the first asker only.
pub(super) type Rest = (Bytes, ResponseBody);

/// Reads an answer, up to what is kept. What goes beyond is left to the first asker; what breaks off is kept without its body.
pub(super) async fn keep(response: Response<ResponseBody>, limit: usize, deadline: Instant) -> (Kept, Option<Rest>) {
    let (parts, mut body) = response.into_parts();
    let mut kept = Kept { status: parts.status.as_u16(), headers: kept_headers(parts.headers), body: None };
    let mut read = BytesMut::new();
    loop {
        match timeout_at(deadline, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                read.extend_from_slice(&data);
                if read.len() > limit {
                    return (kept, Some((read.freeze(), body)));
                }
            }
            Ok(Some(Err(_))) | Err(_) => return (kept, None),
        }
    }
    kept.body = Some(read.freeze());
    (kept, None)
}

/// The fields that belong to the answer, without those about the connection, about us, or about accounts.
fn kept_headers(mut headers: HeaderMap) -> Vec<(String, String)> {
    const NOT_KEPT: [&str; 8] = [
        "www-authenticate",
        "authentication-info",
        "set-cookie",
        "alt-svc",
        "strict-transport-security",
        "date",
        "cache-control",
        "access-control-allow-origin",
    ];
    strip_connection(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let mut weight = 0;
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = value.to_str().ok()?.to_owned();
        (!NOT_KEPT.contains(&name.as_str())).then(|| (name.as_str().to_owned(), value))
    };
    let fits = |(name, value): &(String, String)| {
        weight += name.len() + value.len();
        weight <= MAX_KEPT_HEADERS
    };
    headers.iter().filter_map(text).filter(fits).collect()
}

/// What an upstream said when it refused.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) words: Option<String>,
}

/// A refusal's status and cleaned words. Neither the operator's secrets nor the buyer's own texts are among them.
pub(super) async fn read_refusal(
    service: &Service,
    response: Response<ResponseBody>,
    deadline: Instant,
    private_texts: Box<dyn FnOnce() -> Vec<String> + Send>,
) -> Refusal {
    let status = response.status().as_u16();
    let media = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let readable = media.starts_with("text/plain") || media.contains("json");
    let limited = Limited::new(response.into_body(), MAX_REFUSAL).collect();
    let words = match timeout_at(deadline, limited).await {
        Ok(Ok(body)) if readable => {
            let mut secrets = private_texts();
            secrets.extend(service.upstream.secrets.iter().cloned());
            clean(&body.to_bytes(), &secrets)
        }
        _ => None,
    };
    Refusal { status, words }
}
