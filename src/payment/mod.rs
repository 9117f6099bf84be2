//! What the node says was paid: follows its stream of payments, and looks up what the stream can't
//! tell.
//!
//! A stream says nothing of what came before its index, of invoices that ran out, or, with an index
//! of another node, of anything. So challenges that are open are looked up each time that the
//! stream begins, and when their invoices have run out.

mod catch_up;
pub mod check;
mod look_up;
mod stream;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::cache::FifoCache;
use crate::ledger::Ledger;
use crate::ledger::accounts::{NewlyPaid, SettledInvoice};
use crate::lightning::error::NodeError;
use crate::lightning::{Node, Payment};
use crate::payment_hash::{PaymentHash, Preimage};
use crate::service::current::CurrentCatalogue;
use crate::time::UnixTime;

/// Preimages that are kept at hand; the node has the others.
const KNOWN_MAX: usize = 10_000;

/// Look-ups under way at once for clients that ask how a ticket stands; those in the background
/// have their own.
const CLIENT_LOOK_UPS_MAX: usize = 12;

/// How often what is owed is counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(30);

/// Most payments or challenges in one transaction.
const BATCH_MAX: usize = 256;

/// How long after it ran out an invoice certainly can't be paid any more.
const RAN_OUT_MARGIN: Duration = Duration::from_secs(5);

/// What is known of payments.
pub struct Payments {
    catalogue: Arc<CurrentCatalogue>,
    ledger: Arc<Ledger>,
    node: Arc<dyn Node>,
    /// Names the node, whose index is no other's.
    node_name: Arc<str>,
    known: FifoCache<PaymentHash, Preimage>,
    state: Mutex<Result<(), NodeError>>,
    /// The saved index turned out to be another node's.
    begins_anew: AtomicBool,
    /// What the stream told last could not be written down yet.
    unwritten: AtomicBool,
    /// Look-ups for clients.
    client_look_ups: Semaphore,
}

impl Payments {
    /// Knows nothing yet. `node_name` names the node over restarts.
    pub fn new(
        catalogue: Arc<CurrentCatalogue>,
        ledger: Arc<Ledger>,
        node: Arc<dyn Node>,
        node_name: Arc<str>,
    ) -> Self {
        Self {
            catalogue,
            ledger,
            node,
            node_name,
            known: FifoCache::new(KNOWN_MAX),
            state: Mutex::new(Err(NodeError::not_tried())),
            begins_anew: AtomicBool::new(false),
            unwritten: AtomicBool::new(false),
            client_look_ups: Semaphore::new(CLIENT_LOOK_UPS_MAX),
        }
    }

    /// `Err` while payments are not heard of as they come.
    pub fn state(&self) -> Result<(), NodeError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_state(&self, state: Result<(), NodeError>) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != state {
            match &state {
                Ok(()) => info!("payments: detected as they come"),
                Err(trouble) => warn!(state = trouble.word(), "payments: {trouble}"),
            }
            *now = state;
        }
    }

    /// Follows for as long as it is polled.
    pub async fn watch(self: &Arc<Self>) {
        // It may begin again after a panic.
        self.set_state(Err(NodeError::not_tried()));
        let never = tokio::join!(self.follow(), self.sweep(), self.count_unredeemed());
        let ((), (), ()) = never;
    }

    fn count_payment(&self, news: &NewlyPaid, msat: u64) {
        let catalogue = self.catalogue.load();
        if let Some(service) =
            catalogue.services.iter().find(|service| *service.name == *news.service)
        {
            service.metrics.paid(msat);
        }
    }

    /// Keeps the gauges of what was paid and not delivered.
    async fn count_unredeemed(&self) {
        loop {
            if let Ok(owed) = self.ledger.unredeemed().await {
                for service in &self.catalogue.load().services {
                    let sum =
                        owed.iter().find(|(name, _)| **name == *service.name).map(|(_, sum)| *sum);
                    service.metrics.unredeemed(sum.unwrap_or_default());
                }
            }
            sleep(COUNT_INTERVAL).await;
        }
    }
}

fn settled_invoice(payment: &Payment) -> SettledInvoice {
    SettledInvoice {
        hash: payment.hash,
        msat: payment.msat,
        settle_index: payment.settle_index,
        at: payment.at,
    }
}

/// Whether an invoice can certainly not be paid any more. Before that, a node that knows none is
/// another node, or one restored; after it, LND may have forgotten it.
fn ran_out(expires: UnixTime) -> bool {
    expires.plus(RAN_OUT_MARGIN) < UnixTime::now()
}
