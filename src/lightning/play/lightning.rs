//! The play node's `lnrpc.Lightning`.

use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::ALIAS;
use super::bakery::decode_hex;
use super::book::{StoredInvoice, StoredState};
use super::condition::Condition;
use super::grpc::{Grpc, Sends, stream};
use crate::lightning::lnd::proto::lnrpc;
use crate::lightning::lnd::proto::lnrpc::invoice::InvoiceState;
use crate::lightning::lnd::proto::lnrpc::lightning_server::Lightning;
use crate::payment_hash::PaymentHash;

/// Longest memo that LND stores, in bytes; and the most groups of five bits that fit into a BOLT 11
/// field, which is less.
const MEMO_MAX_BYTES: usize = 1024;
const GROUPS_MAX: usize = 1023;

/// Amount in msat and expiry in seconds, checked as LND does.
pub(super) fn terms(
    value: i64,
    value_msat: i64,
    memo: &str,
    expiry: i64,
) -> Result<(u64, u64), Status> {
    if value != 0 && value_msat != 0 {
        return Err(Status::unknown("sat and msat arguments are mutually exclusive"));
    }
    let msat = if value_msat == 0 { value.saturating_mul(1000) } else { value_msat };
    let msat = u64::try_from(msat).map_err(|_| Status::unknown("amount cannot be negative"))?;
    if memo.len() > MEMO_MAX_BYTES {
        return Err(Status::unknown(format!(
            "memo too large: {} bytes (maxsize={MEMO_MAX_BYTES})",
            memo.len()
        )));
    }
    let groups = (memo.len() * 8).div_ceil(5);
    if groups > GROUPS_MAX {
        return Err(Status::unknown(format!(
            "data length too big to fit within 10 bits: {groups}"
        )));
    }
    // LND takes a negative one, as one that has run out.
    Ok((msat, u64::try_from(expiry).unwrap_or(1)))
}

impl Grpc {
    /// What happens between storing an invoice and telling of it.
    pub(super) async fn before_the_answer(&self) {
        let mut condition = self.node.control.follow();
        let now = *condition.borrow_and_update();
        match now {
            Condition::Slow(pause) => tokio::time::sleep(pause).await,
            Condition::Syncing => {
                let _ = condition.wait_for(|now| *now != Condition::Syncing).await;
            }
            Condition::Resets => {
                self.reset.cancel();
                std::future::pending::<()>().await;
            }
            _ => {}
        }
    }
}

#[tonic::async_trait]
impl Lightning for Grpc {
    type SubscribeInvoicesStream = Sends<lnrpc::Invoice>;

    async fn add_invoice(
        &self,
        request: Request<lnrpc::Invoice>,
    ) -> Result<Response<lnrpc::AddInvoiceResponse>, Status> {
        let asked = request.into_inner();
        let (msat, expiry) = terms(asked.value, asked.value_msat, &asked.memo, asked.expiry)?;
        let (hash, entry) =
            self.node.book.add(&asked.memo, msat, expiry).map_err(Status::unknown)?;
        self.before_the_answer().await;
        Ok(Response::new(lnrpc::AddInvoiceResponse {
            r_hash: hash.as_bytes().to_vec(),
            payment_request: entry.bolt11,
            add_index: entry.add_index,
            payment_addr: entry.payment_secret.to_vec(),
        }))
    }

    async fn lookup_invoice(
        &self,
        request: Request<lnrpc::PaymentHash>,
    ) -> Result<Response<lnrpc::Invoice>, Status> {
        let asked = request.into_inner();
        let bytes = if asked.r_hash_str.is_empty() {
            asked.r_hash
        } else {
            decode_hex(asked.r_hash_str.as_bytes())?
        };
        let wrong_length = |bytes: &Vec<u8>| {
            format!("payment hash must be exactly 32 bytes, is instead {}", bytes.len())
        };
        // LND takes none at all for a hash of zeros.
        let bytes = if bytes.is_empty() { vec![0; 32] } else { bytes };
        let bytes: [u8; 32] =
            bytes.try_into().map_err(|bytes| Status::unknown(wrong_length(&bytes)))?;
        let hash = PaymentHash::from_bytes(bytes);
        let entry = self
            .node
            .book
            .look_up(&hash)
            .ok_or_else(|| Status::not_found("unable to locate invoice"))?;
        Ok(Response::new(invoice(&hash, entry)))
    }

    async fn subscribe_invoices(
        &self,
        request: Request<lnrpc::InvoiceSubscription>,
    ) -> Result<Response<Self::SubscribeInvoicesStream>, Status> {
        let asked = request.into_inner();
        let (sender, stream) = stream();
        let (node, mut condition) = (std::sync::Arc::clone(&self.node), self.node.control.follow());
        let mut changes = node.book.changes();
        let mut cursor = node.book.cursor(asked.add_index, asked.settle_index);
        let (begins, begun) = oneshot::channel();
        tokio::spawn(async move {
            let mut begins = Some(begins);
            loop {
                changes.mark_unchanged();
                while let Some((hash, entry)) = node.book.next(&mut cursor) {
                    let _ = condition.wait_for(|now| *now != Condition::Silent).await;
                    if sender.send(Ok(invoice(&hash, entry))).await.is_err() {
                        return;
                    }
                    let _ = begins.take().map(|begins| begins.send(()));
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    // A clean end, as at a shutdown.
                    _ = condition.wait_for(|now| !now.keeps_streams()) => return,
                    () = sender.closed() => return,
                }
            }
        });
        // LND answers only with the first invoice, or with the end.
        let _ = begun.await;
        Ok(Response::new(stream))
    }

    async fn list_channels(
        &self,
        _: Request<lnrpc::ListChannelsRequest>,
    ) -> Result<Response<lnrpc::ListChannelsResponse>, Status> {
        let channel = lnrpc::Channel {
            active: true,
            capacity: 10_000_000,
            local_balance: 0,
            remote_balance: 9_900_000,
            private: false,
            remote_constraints: Some(lnrpc::ChannelConstraints { chan_reserve_sat: 100_000 }),
        };
        Ok(Response::new(lnrpc::ListChannelsResponse { channels: vec![channel] }))
    }

    async fn get_info(
        &self,
        _: Request<lnrpc::GetInfoRequest>,
    ) -> Result<Response<lnrpc::GetInfoResponse>, Status> {
        Ok(Response::new(lnrpc::GetInfoResponse {
            identity_pubkey: self.node.book.public_key().to_string(),
            alias: ALIAS.to_owned(),
            num_active_channels: 1,
            block_height: 432,
            synced_to_chain: true,
            version: concat!("farebox-play ", env!("CARGO_PKG_VERSION")).to_owned(),
            chains: vec![lnrpc::Chain {
                chain: "bitcoin".to_owned(),
                network: "regtest".to_owned(),
            }],
        }))
    }
}

/// As LND shows an invoice to who may read: with the preimage, also while it is open.
pub(super) fn invoice(hash: &PaymentHash, entry: StoredInvoice) -> lnrpc::Invoice {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (state, settle_date, settle_index, paid) = match entry.state {
        StoredState::Open => (InvoiceState::Open, 0, 0, 0),
        StoredState::Accepted { paid_msat } => (InvoiceState::Accepted, 0, 0, paid_msat),
        StoredState::Canceled => (InvoiceState::Canceled, 0, 0, 0),
        StoredState::Settled { at, index, paid_msat } => {
            (InvoiceState::Settled, at, index, paid_msat)
        }
    };
    lnrpc::Invoice {
        memo: entry.memo,
        r_preimage: entry.preimage.map(|preimage| preimage.as_bytes().to_vec()).unwrap_or_default(),
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
