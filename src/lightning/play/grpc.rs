//! The gRPC side of the play node: connections, permissions, and the State service.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response as HttpResponse};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::{Request, Response, Status};

use super::PlayNode;
use super::condition::Condition;
use crate::lightning::lnd::proto::invoicesrpc::invoices_server::InvoicesServer;
use crate::lightning::lnd::proto::lnrpc;
use crate::lightning::lnd::proto::lnrpc::lightning_server::LightningServer;
use crate::lightning::lnd::proto::lnrpc::state_server::{State, StateServer};

/// What a stream sends.
pub(super) type Sends<T> = ReceiverStream<Result<T, Status>>;

/// Messages that wait for a reader at most.
const AHEAD: usize = 64;

/// Where a stream's messages go in, and the stream.
pub(super) fn stream<T>() -> (mpsc::Sender<Result<T, Status>>, Sends<T>) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    (sender, ReceiverStream::new(receiver))
}

/// One connection's view of the node.
pub(super) struct Grpc {
    pub(super) node: Arc<PlayNode>,
    /// Resets the connection.
    pub(super) reset: CancellationToken,
}

impl Grpc {
    async fn answer(
        self: Arc<Self>,
        request: HttpRequest<Incoming>,
    ) -> Result<HttpResponse<Body>, Infallible> {
        let mut condition = self.node.control.follow();
        let now = *condition.borrow_and_update();
        if now == Condition::Silent {
            let _ = condition.wait_for(|now| *now != Condition::Silent).await;
        }
        let method = request.uri().path().to_owned();
        if method.starts_with("/lnrpc.State/") {
            return StateServer::from_arc(self).call(request).await;
        }
        if let Some(refusal) = now.refusal() {
            return Ok(refusal.into_http());
        }
        let handed_in: Vec<&[u8]> =
            request.headers().get_all("macaroon").iter().map(|value| value.as_bytes()).collect();
        let bakery = Arc::clone(&self.node.layout().bakery);
        if let Err(refused) = bakery.allow(&handed_in, &method) {
            return Ok(refused.into_http());
        }
        if method.starts_with("/invoicesrpc.Invoices/") {
            return InvoicesServer::from_arc(self).call(request).await;
        }
        LightningServer::from_arc(self).call(request).await
    }
}

/// Serves one connection of HTTP/2 until its end, or until `cut` and a moment for the ends of
/// streams.
pub(super) async fn connection(
    stream: TlsStream<TcpStream>,
    node: Arc<PlayNode>,
    cut: CancellationToken,
) {
    let reset = CancellationToken::new();
    let grpc = Arc::new(Grpc { node, reset: reset.clone() });
    let service = service_fn(move |request| Arc::clone(&grpc).answer(request));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A client that breaks off is its own affair.
    tokio::select! {
        _ = &mut connection => {}
        () = reset.cancelled() => {}
        () = cut.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(Duration::from_millis(300), connection).await;
        }
    }
}

#[tonic::async_trait]
impl State for Grpc {
    type SubscribeStateStream = Sends<lnrpc::SubscribeStateResponse>;

    async fn subscribe_state(
        &self,
        _: Request<lnrpc::SubscribeStateRequest>,
    ) -> Result<Response<Self::SubscribeStateStream>, Status> {
        let (sender, stream) = stream();
        let mut condition = self.node.control.follow();
        tokio::spawn(async move {
            loop {
                let state = condition.borrow_and_update().wallet_state();
                let message = lnrpc::SubscribeStateResponse { state: state.into() };
                if sender.send(Ok(message)).await.is_err() || condition.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(stream))
    }

    async fn get_state(
        &self,
        _: Request<lnrpc::GetStateRequest>,
    ) -> Result<Response<lnrpc::GetStateResponse>, Status> {
        Ok(Response::new(lnrpc::GetStateResponse {
            state: self.node.control.condition().wallet_state().into(),
        }))
    }
}
