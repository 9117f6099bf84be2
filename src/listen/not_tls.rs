//! A client that speaks plain HTTP where TLS is spoken is told so in words.

use std::convert::Infallible;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::connection::HEAD_MAX_BYTES;
use crate::answer::problems;
use crate::gate::body::read_on;

/// How much of a body is read to its end.
const DRAIN_MAX_BYTES: usize = 2 * 1024 * 1024;

/// Whether a connection begins like a request line: with a letter, where TLS has the byte 22 (RFC
/// 8446 section 5.1). Waits for the first byte.
pub(super) async fn begins_as_http(socket: &TcpStream) -> bool {
    let mut first = [0];
    matches!(socket.peek(&mut first).await, Ok(1)) && first.iter().all(u8::is_ascii_alphabetic)
}

/// Answers the first request, whatever it is for, and closes the connection.
pub(super) async fn answer(socket: TcpStream) {
    let service = service_fn(|request: Request<Incoming>| async {
        // Else a client that is still sending sees a reset in place of the answer.
        read_on(request.into_body(), DRAIN_MAX_BYTES).await;
        let words = "This port takes HTTPS only: begin the URL with https://.";
        Ok::<_, Infallible>(problems::bad_request(words).into_answer().response)
    });
    let mut http = http1::Builder::new();
    let http = http.keep_alive(false).max_buf_size(HEAD_MAX_BYTES);
    // What such a client does to its connection is no error of ours.
    let _ = http.serve_connection(TokioIo::new(socket), service).await;
}
