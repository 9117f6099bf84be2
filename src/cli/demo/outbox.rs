//! Plays the SMS backend: takes any POST, remembers it, answers `Okay`; `GET /outbox` lists what it
//! got.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cli::print::tell;

/// Most messages that are remembered, and most bytes of one.
const MESSAGES_MAX: usize = 1000;
const BODY_MAX_BYTES: usize = 64 * 1024;

type Messages = Mutex<VecDeque<Value>>;

pub(super) async fn serve(listener: TcpListener) {
    let messages: Arc<Messages> = Arc::default();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let messages = Arc::clone(&messages);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&messages), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(
    messages: Arc<Messages>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, content_type, body) = match (request.method(), request.uri().path()) {
        (&Method::POST, path) => {
            let path = path.to_owned();
            match Limited::new(request.into_body(), BODY_MAX_BYTES).collect().await {
                Ok(body) => {
                    remember(&messages, &path, &body.to_bytes());
                    (StatusCode::OK, "text/plain", "Okay\n".to_owned())
                }
                Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "text/plain", "too long\n".to_owned()),
            }
        }
        (_, "/outbox") => {
            let all: Vec<Value> =
                messages.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
            (StatusCode::OK, "application/json", format!("{}\n", Value::from(all)))
        }
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "POST a message anywhere, GET /outbox to see them\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

fn remember(messages: &Messages, path: &str, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    // Printed as JSON, so that a message can't play tricks on the terminal.
    tell!("outbox: {}", Value::from(&*text));
    let body = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(&*text));
    let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    if messages.len() == MESSAGES_MAX {
        messages.pop_front();
    }
    messages.push_back(json!({ "path": path, "body": body }));
}
