//! One invoice, by the node's own word.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::warn;

use super::{Payments, settled_invoice};
use crate::ledger::accounts::Recorded;
use crate::lightning::InvoiceState;
use crate::lightning::error::NodeError;
use crate::payment_hash::PaymentHash;

impl Payments {
    /// Asks the node for a client, and remembers a payment.
    pub(super) async fn look_up(&self, hash: PaymentHash) -> Result<InvoiceState, NodeError> {
        let _place = self.client_look_ups.try_acquire().map_err(|_| NodeError::busy())?;
        self.find(hash).await
    }

    /// Asks the node in the background, and remembers a payment.
    pub(super) async fn find(&self, hash: PaymentHash) -> Result<InvoiceState, NodeError> {
        let standing = self.node.look_up(hash).await?;
        if let InvoiceState::Settled(payment) = &standing {
            // Before anybody hears of it: whoever does asks for it.
            self.known.insert(payment.hash, payment.preimage, 1);
            // It has to be written down as handed out before it can be as paid.
            self.ledger.flush().await;
            match self.ledger.found(Arc::clone(&self.node_name), settled_invoice(payment)).await {
                Ok(Recorded::Known) => {}
                Ok(Recorded::New(news)) => self.count_payment(&news, payment.msat),
                Ok(Recorded::PastTheIndex(news)) => {
                    self.count_payment(&news, payment.msat);
                    warn!(
                        "payments: the saved index of the stream is another node's; it begins again"
                    );
                    self.begins_anew.store(true, Ordering::Relaxed);
                }
                Err(error) => {
                    warn!(%error, ticket = %hash, "a payment could not be written down yet")
                }
            }
        }
        Ok(standing)
    }
}
