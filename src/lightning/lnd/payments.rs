//! LND's stream of settled invoices (`SubscribeInvoices`), and the look-up of one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Notify;
use tonic::{Response, Status, Streaming};

use super::endpoint::AuthorizedChannel;
use super::error;
use super::proto::lnrpc;
use super::proto::lnrpc::invoice::InvoiceState as Number;
use super::proto::lnrpc::lightning_client::LightningClient;
use crate::lightning::error::NodeError;
use crate::lightning::{InvoiceState, NextPayment, Payment, PaymentStream};
use crate::payment_hash::{PaymentHash, Preimage};
use crate::time::UnixTime;

type OpeningCall =
    Pin<Box<dyn Future<Output = Result<Response<Streaming<lnrpc::Invoice>>, Status>> + Send>>;

/// The stream. LND answers the call only with its first invoice, so that opening it may take for
/// ever.
pub(super) enum InvoiceSubscription {
    /// No connection could be made.
    Failed(NodeError),
    /// Asked for.
    Opening(OpeningCall),
    /// Something came.
    Open(Box<Streaming<lnrpc::Invoice>>),
}

impl InvoiceSubscription {
    pub(super) fn start(ready: Result<AuthorizedChannel, NodeError>, after: u64) -> Self {
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => return Self::Failed(error),
        };
        let request =
            ready.request(lnrpc::InvoiceSubscription { add_index: 0, settle_index: after });
        Self::Opening(Box::pin(async move {
            LightningClient::new(ready.channel()).subscribe_invoices(request).await
        }))
    }

    async fn following(&mut self) -> Result<Option<Payment>, NodeError> {
        loop {
            match self {
                Self::Failed(error) => return Err(error.clone()),
                Self::Opening(opening) => {
                    *self = match opening.as_mut().await {
                        Ok(answer) => Self::Open(Box::new(answer.into_inner())),
                        Err(status) => Self::Failed(error::read(&status)),
                    };
                }
                Self::Open(stream) => match stream.message().await {
                    Ok(None) => return Ok(None),
                    Ok(Some(invoice)) => {
                        // Open ones come too, with their preimage: not a word of them goes further.
                        if let Some(InvoiceState::Settled(payment)) = invoice_state(&invoice) {
                            return Ok(Some(payment));
                        }
                    }
                    Err(status) => return Err(error::read(&status)),
                },
            }
        }
    }
}

/// A subscription whose end says that the node should be looked at: it may have been locked or
/// stopped.
pub(super) struct SettledInvoices {
    pub(super) subscription: InvoiceSubscription,
    pub(super) ended: Arc<Notify>,
}

impl PaymentStream for SettledInvoices {
    fn next(&mut self) -> NextPayment<'_> {
        Box::pin(async {
            let next = self.subscription.following().await;
            if !matches!(next, Ok(Some(_))) {
                self.ended.notify_one();
            }
            next
        })
    }
}

/// `None` if it can't be read.
pub(super) fn invoice_state(invoice: &lnrpc::Invoice) -> Option<InvoiceState> {
    Some(match Number::try_from(invoice.state).ok()? {
        Number::Open => {
            // LND's word for a day is 0.
            let lives = if invoice.expiry == 0 { 86_400 } else { invoice.expiry };
            let expires = u64::try_from(invoice.creation_date.saturating_add(lives)).unwrap_or(0);
            InvoiceState::Open {
                bolt11: invoice.payment_request.as_str().into(),
                expires: UnixTime::from_seconds(expires),
            }
        }
        Number::Accepted => InvoiceState::Accepted,
        Number::Canceled => InvoiceState::Canceled,
        Number::Settled => {
            let hash = PaymentHash::from_bytes(invoice.r_hash.as_slice().try_into().ok()?);
            let preimage = Preimage::from_bytes(invoice.r_preimage.as_slice().try_into().ok()?);
            if preimage.payment_hash() != hash {
                return None;
            }
            let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
            InvoiceState::Settled(Payment {
                hash,
                preimage,
                msat: unsigned(invoice.amt_paid_msat),
                settle_index: invoice.settle_index,
                at: UnixTime::from_seconds(unsigned(invoice.settle_date)),
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preimage_is_there_for_settled_invoices_only() {
        let preimage = Preimage::from_bytes([3; 32]);
        let invoice = |state: Number| lnrpc::Invoice {
            state: state.into(),
            r_hash: preimage.payment_hash().as_bytes().to_vec(),
            r_preimage: preimage.as_bytes().to_vec(),
            amt_paid_msat: 1500,
            settle_index: 7,
            settle_date: 1_700_000_000,
            ..Default::default()
        };
        assert!(matches!(invoice_state(&invoice(Number::Open)), Some(InvoiceState::Open { .. })));
        assert!(matches!(invoice_state(&invoice(Number::Accepted)), Some(InvoiceState::Accepted)));
        assert!(matches!(invoice_state(&invoice(Number::Canceled)), Some(InvoiceState::Canceled)));
        let Some(InvoiceState::Settled(payment)) = invoice_state(&invoice(Number::Settled)) else {
            panic!()
        };
        assert!(payment.preimage == preimage && (payment.msat, payment.settle_index) == (1500, 7));
        let other = lnrpc::Invoice { r_hash: vec![9; 32], ..invoice(Number::Settled) };
        assert!(invoice_state(&other).is_none(), "a preimage of something else");
    }
}
