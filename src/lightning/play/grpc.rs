//! The gRPC side of the play node.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response as HttpResponse};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::{Request, Response, Status};

use super::ALIAS;
use super::bakery::Bakery;
use super::book::{Book, Entry, Standing};
use crate::l402::PaymentHash;
use crate::lightning::lnrpc::invoice::InvoiceState;
use crate::lightning::lnrpc::lightning_server::{Lightning, LightningServer};
use crate::lightning::lnrpc::state_server::{State, StateServer};
use crate::lightning::lnrpc::{self, WalletState};

/// Longest memo in bytes: what fits into a BOLT 11 field.
const MAX_MEMO: usize = 639;

pub(super) struct Grpc {
    book: Arc<Book>,
    bakery: Bakery,
}

impl Grpc {
    pub(super) fn new(book: Arc<Book>, bakery: Bakery) -> Self {
        Self { book, bakery }
    }

    async fn answer(self: Arc<Self>, request: HttpRequest<Incoming>) -> Result<HttpResponse<Body>, Infallible> {
        let method = request.uri().path().to_owned();
        if method.starts_with("/lnrpc.State/") {
            return StateServer::from_arc(self).call(request).await;
        }
        let handed_in: Vec<&[u8]> = request.headers().get_all("macaroon").iter().map(|value| value.as_bytes()).collect();
        if let Err(refused) = self.bakery.allow(&handed_in, &method) {
            return Ok(refused.into_http());
        }
        LightningServer::from_arc(self).call(request).await
    }
}

/// Serves one connection of HTTP/2.
pub(super) async fn connection(stream: TlsStream<TcpStream>, node: Arc<Grpc>) {
    let service = service_fn(move |request| Arc::clone(&node).answer(request));
    // A client that breaks off is its own affair.
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[tonic::async_trait]
impl State for Grpc {
    async fn get_state(&self, _: Request<lnrpc::GetStateRequest>) -> Result<Response<lnrpc::GetStateResponse>, Status> {
        Ok(Response::new(lnrpc::GetStateResponse { state: WalletState::ServerActive.into() }))
    }
}

#[tonic::async_trait]
impl Lightning for Grpc {
    async fn add_invoice(&self, request: Request<lnrpc::Invoice>) -> Result<Response<lnrpc::AddInvoiceResponse>, Status> {
        let asked = request.into_inner();
        if asked.value != 0 && asked.value_msat != 0 {
            return Err(Status::unknown("sat and msat arguments are mutually exclusive"));
        }
        let msat = if asked.value_msat == 0 { asked.value.saturating_mul(1000) } else { asked.value_msat };
        let msat = u64::try_from(msat).map_err(|_| Status::unknown("amount cannot be negative"))?;
        if asked.memo.len() > MAX_MEMO {
            return Err(Status::unknown(format!("memo too large: {} bytes (maxsize={MAX_MEMO})", asked.memo.len())));
        }
        let expiry = u64::try_from(asked.expiry).map_err(|_| Status::unknown("expiry cannot be negative"))?;
        let (hash, entry) = self.book.add(&asked.memo, msat, expiry).map_err(Status::unknown)?;
        Ok(Response::new(lnrpc::AddInvoiceResponse {
            r_hash: hash.as_bytes().to_vec(),
            payment_request: entry.bolt11,
            add_index: entry.add_index,
            payment_addr: entry.payment_secret.to_vec(),
        }))
    }

    async fn lookup_invoice(&self, request: Request<lnrpc::PaymentHash>) -> Result<Response<lnrpc::Invoice>, Status> {
        let asked = request.into_inner();
        let bytes = if asked.r_hash.is_empty() { hex::decode(&asked.r_hash_str).unwrap_or_default() } else { asked.r_hash };
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| Status::unknown("payment hash must be exactly 32 bytes"))?;
        let hash = PaymentHash::from_bytes(bytes);
        let entry = self.book.look_up(&hash).ok_or_else(|| Status::not_found("unable to locate invoice"))?;
        Ok(Response::new(invoice(&hash, entry)))
    }

    async fn get_info(&self, _: Request<lnrpc::GetInfoRequest>) -> Result<Response<lnrpc::GetInfoResponse>, Status> {
        Ok(Response::new(lnrpc::GetInfoResponse {
            identity_pubkey: self.book.public_key().to_string(),
            alias: ALIAS.to_owned(),
            num_active_channels: 1,
            block_height: 432,
            synced_to_chain: true,
            version: concat!("farebox-play ", env!("CARGO_PKG_VERSION")).to_owned(),
            chains: vec![lnrpc::Chain { chain: "bitcoin".to_owned(), network: "regtest".to_owned() }],
        }))
    }
}

/// As LND shows an invoice to who may read: with the preimage, also while it is open.
fn invoice(hash: &PaymentHash, entry: Entry) -> lnrpc::Invoice {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (state, settle_date, settle_index, paid) = match entry.standing {
        Standing::Open => (InvoiceState::Open, 0, 0, 0),
        Standing::Canceled => (InvoiceState::Canceled, 0, 0, 0),
        Standing::Settled { at, index, paid_msat } => (InvoiceState::Settled, at, index, paid_msat),
    };
    lnrpc::Invoice {
        memo: entry.memo,
        r_preimage: entry.preimage.as_bytes().to_vec(),
        r_hash: hash.as_bytes().to_vec(),
        value: signed(entry.amount_msat / 1000),
        value_msat: signed(entry.amount_msat),
        creation_date: signed(entry.created),
        settle_date: signed(settle_date),
        payment_request: entry.bolt11,
        expiry: signed(entry.expiry),
        add_index: entry.add_index,
        settle_index,
        amt_paid_sat: signed(paid / 1000),
        amt_paid_msat: signed(paid),
        state: state.into(),
        payment_addr: entry.payment_secret.to_vec(),
        private: false,
    }
}
