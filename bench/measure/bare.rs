//! The floor: forwarding by hyper and nothing else, with a pool as ours, on the same runtime.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

type Idle = Arc<Mutex<Vec<SendRequest<Incoming>>>>;

/// Forwards all that comes to `listen`, until it is killed.
pub async fn forward(listen: SocketAddr, upstream: SocketAddr) {
    let listener = TcpListener::bind(listen).await.unwrap();
    let idle = Idle::default();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let idle = Arc::clone(&idle);
        tokio::spawn(async move {
            let service = service_fn(move |request| one(request, upstream, Arc::clone(&idle)));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn one(
    mut request: Request<Incoming>,
    upstream: SocketAddr,
    idle: Idle,
) -> Result<Response<Incoming>, Infallible> {
    let pooled = idle.lock().unwrap().pop();
    let mut sender = match pooled {
        Some(sender) => sender,
        None => {
            let socket = TcpStream::connect(upstream).await.unwrap();
            socket.set_nodelay(true).unwrap();
            let (sender, connection) = handshake(TokioIo::new(socket)).await.unwrap();
            tokio::spawn(connection);
            sender
        }
    };
    *request.uri_mut() = "/".parse().unwrap();
    request.headers_mut().insert(HOST, HeaderValue::from_static("upstream"));
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    idle.lock().unwrap().push(sender);
    Ok(response)
}
