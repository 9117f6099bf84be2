//! Asks the `serve` that runs here, over its second listener.

use std::fmt::Display;
use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What it answers, in JSON. `Err` says what is wrong, and where.
pub(super) async fn ask(
    ops: SocketAddr,
    token: Option<&str>,
    method: &str,
    target: &str,
) -> Result<(StatusCode, Value), String> {
    let fault = |error: &dyn Display| format!("`ops.address` {ops}: {error}");
    let socket = TcpStream::connect(ops).await;
    let socket = socket.map_err(|error| fault(&format_args!("{error}; does `serve` run here?")))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(|error| fault(&error))?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(target).header("host", ops.to_string());
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {}", token.trim()));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| fault(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| fault(&error))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| fault(&error))?.to_bytes();
    let value = serde_json::from_slice(&body);
    let value = value.map_err(|_| fault(&"this is no Farebox; is `ops.address` right?"))?;
    Ok((status, value))
}
