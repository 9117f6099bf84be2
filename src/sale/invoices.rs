//! Invoices of the node's, with their times.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lightning::error::{AddInvoiceError, NodeError};
use crate::lightning::{Invoice, NewInvoice, Node};
use crate::price::Msat;
use crate::service::Offer;
use crate::time::UnixTime;

/// An invoice and its times.
pub(super) struct ReadyInvoice {
    pub(super) invoice: Invoice,
    /// When it runs out at the earliest.
    pub(super) expires: UnixTime,
    /// The same, by the clock that doesn't jump.
    pub(super) until: Instant,
    pub(super) made: Instant,
    /// Which node it is of, as far as our files tell.
    pub(super) generation: u64,
}

/// Asks the node for invoices.
pub(super) struct Invoices {
    node: Arc<dyn Node>,
    expiry: Duration,
}

impl Invoices {
    /// Invoices that can be paid for as long as `expiry`.
    pub(super) fn new(node: Arc<dyn Node>, expiry: Duration) -> Self {
        Self { node, expiry }
    }

    /// How long they can be paid.
    pub(super) fn expiry(&self) -> Duration {
        self.expiry
    }

    /// Whether the node makes any.
    pub(super) fn node_state(&self) -> Result<(), NodeError> {
        self.node.state()
    }

    /// Which node makes them, as far as our files tell.
    pub(super) fn generation(&self) -> u64 {
        self.node.generation()
    }

    /// A fresh one over an amount, with an offer's words.
    pub(super) async fn make(
        &self,
        offer: &Offer,
        amount: Msat,
    ) -> Result<ReadyInvoice, AddInvoiceError> {
        // Before the node is asked: so the invoice never runs out earlier than we say.
        let (made, expires, generation) =
            (Instant::now(), UnixTime::now().plus(self.expiry), self.generation());
        let wanted = NewInvoice { amount, memo: offer.memo.clone(), expiry: self.expiry };
        let invoice = self.node.add_invoice(wanted).await?;
        Ok(ReadyInvoice { invoice, expires, until: made + self.expiry, made, generation })
    }
}
