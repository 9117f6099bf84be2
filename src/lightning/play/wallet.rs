//! A tiny wallet with play money: `POST /pay` with a BOLT 11 invoice as the body answers with the
//! preimage in hex; `/` is a page that does the same. `POST /node` has the node fail in some way,
//! for tests.

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

use super::book::PayError;
use super::{PlayNode, wallet_page};

/// Longest body that it reads, in bytes.
const BODY_MAX_BYTES: usize = 16 * 1024;

/// Answers on the listener until the end of the process.
pub async fn serve(listener: TcpListener, node: Arc<PlayNode>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&node), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30))
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(
    node: Arc<PlayNode>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, words) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => return Ok(wallet_page::show(request.uri().query())),
        (&Method::POST, "/") => match text(request).await {
            Ok(form) => return Ok(wallet_page::pay(&node, &form).await),
            Err(no) => no,
        },
        (&Method::POST, "/pay") => pay(&node, request).await,
        (&Method::POST, "/node") => order(&node, request).await,
        (_, "/node") => (StatusCode::METHOD_NOT_ALLOWED, "POST how the node is to be".to_owned()),
        (_, "/pay") => (StatusCode::METHOD_NOT_ALLOWED, "POST a BOLT 11 invoice here".to_owned()),
        _ => (
            StatusCode::NOT_FOUND,
            "this wallet has play money: POST a BOLT 11 invoice to /pay, or open / in a browser"
                .to_owned(),
        ),
    };
    let mut response = Response::new(Full::from(format!("{words}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    Ok(response)
}

async fn pay(node: &PlayNode, request: Request<Incoming>) -> (StatusCode, String) {
    // Another amount than the invoice's, to see what comes of it.
    let msat = request
        .uri()
        .query()
        .and_then(|query| query.strip_prefix("msat="))
        .and_then(|msat| msat.parse().ok());
    let paid = match text(request).await {
        Ok(invoice) => node.book.pay(&invoice, msat).await,
        Err(no) => return no,
    };
    match paid {
        Ok(preimage) => (StatusCode::OK, hex::encode(preimage.as_bytes())),
        Err(error @ PayError::NotAnInvoice) => (StatusCode::BAD_REQUEST, error.to_string()),
        Err(error @ PayError::AlreadyPaid) => (StatusCode::CONFLICT, error.to_string()),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}

async fn order(node: &PlayNode, request: Request<Incoming>) -> (StatusCode, String) {
    match text(request).await.map(|words| node.order(&words)) {
        Ok(Ok(())) => (StatusCode::OK, "done".to_owned()),
        Ok(Err(takes)) => (StatusCode::BAD_REQUEST, takes),
        Err(no) => no,
    }
}

async fn text(request: Request<Incoming>) -> Result<String, (StatusCode, String)> {
    let Ok(body) = Limited::new(request.into_body(), BODY_MAX_BYTES).collect().await else {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "that is too long".to_owned()));
    };
    let text = String::from_utf8(body.to_bytes().to_vec());
    text.map_err(|_| (StatusCode::BAD_REQUEST, PayError::NotAnInvoice.to_string()))
}
