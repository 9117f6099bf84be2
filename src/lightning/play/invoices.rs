//! The play node's `invoicesrpc.Invoices`: hold invoices, and the stream of a single one.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::book::{HoldError, StoredState};
use super::condition::Condition;
use super::grpc::{Grpc, Sends, stream};
use super::lightning::{invoice, terms};
use crate::lightning::lnd::proto::invoicesrpc::invoices_server::Invoices;
use crate::lightning::lnd::proto::{invoicesrpc, lnrpc};
use crate::payment_hash::{PaymentHash, Preimage};

fn hash(bytes: Vec<u8>) -> Result<PaymentHash, Status> {
    let wrong = |bytes: Vec<u8>| {
        Status::unknown(format!("invalid hash length of {}, want 32", bytes.len()))
    };
    bytes.try_into().map(PaymentHash::from_bytes).map_err(wrong)
}

#[tonic::async_trait]
impl Invoices for Grpc {
    type SubscribeSingleInvoiceStream = Sends<lnrpc::Invoice>;

    async fn add_hold_invoice(
        &self,
        request: Request<invoicesrpc::AddHoldInvoiceRequest>,
    ) -> Result<Response<invoicesrpc::AddHoldInvoiceResp>, Status> {
        let asked = request.into_inner();
        let hash = hash(asked.hash)?;
        let (msat, expiry) = terms(asked.value, asked.value_msat, &asked.memo, asked.expiry)?;
        let entry =
            self.node.book.add_hold(hash, &asked.memo, msat, expiry).map_err(Status::unknown)?;
        self.before_the_answer().await;
        Ok(Response::new(invoicesrpc::AddHoldInvoiceResp {
            payment_request: entry.bolt11,
            add_index: entry.add_index,
            payment_addr: entry.payment_secret.to_vec(),
        }))
    }

    async fn settle_invoice(
        &self,
        request: Request<invoicesrpc::SettleInvoiceMsg>,
    ) -> Result<Response<invoicesrpc::SettleInvoiceResp>, Status> {
        let wrong = |bytes: Vec<u8>| {
            Status::unknown(format!("invalid preimage length of {}, want 32", bytes.len()))
        };
        let preimage =
            request.into_inner().preimage.try_into().map(Preimage::from_bytes).map_err(wrong)?;
        self.node.book.settle_hold(preimage).map_err(says)?;
        Ok(Response::new(invoicesrpc::SettleInvoiceResp {}))
    }

    async fn cancel_invoice(
        &self,
        request: Request<invoicesrpc::CancelInvoiceMsg>,
    ) -> Result<Response<invoicesrpc::CancelInvoiceResp>, Status> {
        self.node.book.cancel(&hash(request.into_inner().payment_hash)?).map_err(says)?;
        Ok(Response::new(invoicesrpc::CancelInvoiceResp {}))
    }

    /// Says nothing of a hash that isn't there, and waits for it.
    async fn subscribe_single_invoice(
        &self,
        request: Request<invoicesrpc::SubscribeSingleInvoiceRequest>,
    ) -> Result<Response<Self::SubscribeSingleInvoiceStream>, Status> {
        let hash = hash(request.into_inner().r_hash)?;
        let (sender, stream) = stream();
        let (node, mut condition) = (Arc::clone(&self.node), self.node.control.follow());
        let mut changes = node.book.changes();
        tokio::spawn(async move {
            let mut shown = None;
            loop {
                changes.mark_unchanged();
                let entry = node.book.look_up(&hash);
                let standing = entry.as_ref().map(|entry| entry.state);
                if let Some(entry) = entry.filter(|_| standing != shown) {
                    shown = standing;
                    let _ = condition.wait_for(|now| *now != Condition::Silent).await;
                    if sender.send(Ok(invoice(&hash, entry))).await.is_err() {
                        return;
                    }
                }
                if matches!(shown, Some(StoredState::Settled { .. } | StoredState::Canceled)) {
                    return;
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    _ = condition.wait_for(|now| !now.keeps_streams()) => return,
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Response::new(stream))
    }
}

fn says(error: HoldError) -> Status {
    Status::unknown(error.to_string())
}
