//! The floor of a sale: hyper that asks the node for an invoice by tonic, and answers with its text
//! and nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use farebox::lightning::lnd::proto::lnrpc::{Invoice, lightning_client::LightningClient};
use farebox::lightning::lnd::{Lnd, LndSettings};
use farebox::lightning::network::Network;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;

/// Sells nothing to whoever comes to `listen`, until it is killed. `lnd` is the folder of the node
/// at `grpc`.
pub async fn sell(listen: SocketAddr, grpc: SocketAddr, lnd: &Path) {
    let settings = LndSettings {
        address: grpc.to_string(),
        certificate: lnd.join("tls.cert"),
        macaroon: lnd.join("data/chain/bitcoin/regtest/invoice.macaroon"),
        network: Network::Regtest,
        timeout: Duration::from_secs(5),
        private: false,
    };
    let macaroon: AsciiMetadataValue =
        hex::encode(std::fs::read(&settings.macaroon).unwrap()).parse().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let channel = Lnd::new(settings, provider, Box::new(|_, _| {})).channel().unwrap();
    let listener = TcpListener::bind(listen).await.unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (channel, macaroon) = (channel.clone(), macaroon.clone());
        tokio::spawn(async move {
            let service =
                service_fn(move |request| one(request, channel.clone(), macaroon.clone()));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn one(
    request: Request<Incoming>,
    channel: Channel,
    macaroon: AsciiMetadataValue,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // What the call takes is the difference between the two.
    let calls = request.uri().path() != "/no-call";
    request.into_body().collect().await.unwrap();
    let invoice = if calls { invoice(channel, macaroon).await } else { "x".repeat(300) };
    let mut response = Response::new(Full::from(invoice));
    *response.status_mut() = StatusCode::PAYMENT_REQUIRED;
    Ok(response)
}

async fn invoice(channel: Channel, macaroon: AsciiMetadataValue) -> String {
    let mut call = tonic::Request::new(Invoice {
        memo: "Send an SMS".to_owned(),
        value_msat: 100_000,
        expiry: 600,
        ..Default::default()
    });
    call.metadata_mut().insert("macaroon", macaroon);
    LightningClient::new(channel).add_invoice(call).await.unwrap().into_inner().payment_request
}
