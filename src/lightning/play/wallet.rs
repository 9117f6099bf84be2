//! A tiny wallet with play money: `POST /pay` with a BOLT 11 invoice as the body answers with the preimage in hex.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::book::{Book, PayError};

/// Longest body that it reads, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// Answers on the listener until the end of the process.
pub async fn serve(listener: TcpListener, book: Arc<Book>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let book = Arc::clone(&book);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&book), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30))
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(book: Arc<Book>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, words) = match (request.method(), request.uri().path()) {
        (&Method::POST, "/pay") => pay(&book, request.into_body()).await,
        (_, "/pay") => (StatusCode::METHOD_NOT_ALLOWED, "POST a BOLT 11 invoice here".to_owned()),
        _ => (StatusCode::NOT_FOUND, "this wallet has play money: POST a BOLT 11 invoice to /pay".to_owned()),
    };
    let mut response = Response::new(Full::from(format!("{words}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

async fn pay(book: &Book, body: Incoming) -> (StatusCode, String) {
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "that is too long for an invoice".to_owned());
    };
    let body = body.to_bytes();
    match std::str::from_utf8(&body).map_err(|_| PayError::NotAnInvoice).and_then(|invoice| book.pay(invoice)) {
        Ok(preimage) => (StatusCode::OK, hex::encode(preimage.as_bytes())),
        Err(error @ PayError::NotAnInvoice) => (StatusCode::BAD_REQUEST, error.to_string()),
        Err(error @ PayError::AlreadyPaid) => (StatusCode::CONFLICT, error.to_string()),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}
