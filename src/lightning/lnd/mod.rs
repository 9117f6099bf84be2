//! LND over gRPC: a lazy connection that heals by itself, a deadline on every call, and an eye on
//! the node's state.

mod breaker;
mod endpoint;
mod ends;
mod error;
mod health;
mod inspect;
pub mod macaroon_id;
mod payments;
pub mod permissions;
pub mod proto;
mod settings;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tonic::{Code, Status};

use self::breaker::{Breaker, Refused};
use self::endpoint::Endpoint;
use self::health::{NodeHealth, Probe};
pub use self::inspect::{Channels, Inbound, Info};
use self::payments::{InvoiceSubscription, SettledInvoices};
use self::proto::lnrpc::lightning_client::LightningClient;
use self::proto::lnrpc::state_client::StateClient;
use self::proto::lnrpc::{self, WalletState};
pub use self::settings::LndSettings;
use super::error::{AddInvoiceError, NodeError, NodeErrorKind};
use super::network::{Network, read_prefix};
use super::{
    AccessEnds, AddingInvoice, Invoice, InvoiceState, LookingUp, NewInvoice, Node, Observer,
    PaymentStream, Watching,
};
use crate::payment_hash::PaymentHash;

/// Most `AddInvoice` calls under way at once; LND works them off one by one anyway.
const CALLS_MAX: usize = 64;

/// How long a call may take until buyers are sent away instead of queueing behind it. LND takes a
/// tenth of that under full load.
const CALL_TIME_SLOW: Duration = Duration::from_secs(1);

/// Most look-ups under way at once.
const LOOK_UPS_MAX: usize = 16;

/// How often the state is looked at while it is up, and while it isn't.
const PROBE_UP: Duration = Duration::from_secs(10);
const PROBE_DOWN: Duration = Duration::from_secs(2);

/// How long the invoice lives that is made only to see that one can be made.
const TRIAL_EXPIRY: Duration = Duration::from_secs(60);

/// The client.
pub struct Lnd {
    settings: LndSettings,
    endpoint: Endpoint,
    health: NodeHealth,
    breaker: Breaker,
    look_ups: Semaphore,
    probe_now: Arc<Notify>,
    generation: AtomicU64,
    observer: Observer,
}

impl Lnd {
    /// Connects to nothing yet.
    pub fn new(settings: LndSettings, provider: Arc<CryptoProvider>, observer: Observer) -> Self {
        Self {
            breaker: Breaker::new(CALLS_MAX, CALL_TIME_SLOW.min(settings.timeout / 2)),
            settings,
            endpoint: Endpoint::new(provider),
            health: NodeHealth::new(),
            look_ups: Semaphore::new(LOOK_UPS_MAX),
            probe_now: Arc::default(),
            generation: AtomicU64::new(0),
            observer,
        }
    }

    /// Asks the node once how it is, and remembers it.
    pub async fn probe(&self) {
        let start = self.health.begin_probe();
        let seen = match self.wallet_state().await {
            Ok(()) => match self.health.next_probe(Instant::now()) {
                Probe::Nothing => Ok(()),
                Probe::Later => return,
                Probe::Macaroon => self.show_macaroon().await,
                // Says itself what it came to.
                Probe::Invoice => {
                    return drop(self.add_invoice(NewInvoice::trial(TRIAL_EXPIRY)).await);
                }
            },
            trouble => trouble,
        };
        self.health.probed(start, seen, Instant::now());
    }

    /// Whether its State service says that it serves.
    pub async fn wallet_state(&self) -> Result<(), NodeError> {
        let (ready, changed) = self.endpoint.fresh(&self.settings)?;
        if changed {
            self.generation.fetch_add(1, Ordering::Relaxed);
            self.health.begin_again(Instant::now());
        }
        let call = async move {
            StateClient::new(ready.channel()).get_state(lnrpc::GetStateRequest {}).await
        };
        match self.within(call).await.map_err(|no| no.error)?.state() {
            WalletState::ServerActive => Ok(()),
            WalletState::Locked => Err(error::locked()),
            WalletState::NonExisting => Err(error::no_wallet()),
            WalletState::RpcActive => Err(error::syncing()),
            WalletState::Unlocked | WalletState::WaitingToStart => Err(error::starting()),
        }
    }

    /// Asks for an invoice of a negative amount: LND refuses it, but only after it has taken the
    /// macaroon, and stores nothing.
    async fn show_macaroon(&self) -> Result<(), NodeError> {
        let ready = self.endpoint.ready(&self.settings)?;
        let request = ready.request(lnrpc::Invoice { value_msat: -1, ..Default::default() });
        match self
            .within(Box::pin(async {
                LightningClient::new(ready.channel()).add_invoice(request).await
            }))
            .await
        {
            Ok(_) => Ok(()),
            Err(no) if no.error.kind() == NodeErrorKind::Other => Ok(()),
            Err(no) => Err(no.error),
        }
    }

    /// The connection, for calls of one's own, which have to show a macaroon.
    pub fn channel(&self) -> Result<tonic::transport::Channel, NodeError> {
        self.endpoint.ready(&self.settings).map(|ready| ready.channel())
    }

    /// A call with its deadline.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, AddInvoiceError> {
        match timeout(self.settings.timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            // An error may come after the work was done: the connection was reset, say.
            Ok(Err(status)) => {
                let error = error::read(&status);
                let may_exist =
                    matches!(error.kind(), NodeErrorKind::Unreachable | NodeErrorKind::Other);
                Err(AddInvoiceError { error, may_exist })
            }
            Err(_) => {
                let error = error::silent(self.settings.timeout);
                Err(AddInvoiceError { error, may_exist: true })
            }
        }
    }

    async fn add(&self, wanted: NewInvoice) -> Result<Invoice, AddInvoiceError> {
        let not_asked = |error| AddInvoiceError { error, may_exist: false };
        let call = self.breaker.admit(Instant::now()).map_err(|refused| match refused {
            Refused::Busy => not_asked(NodeError::busy()),
            Refused::Slow => not_asked(error::slow(self.breaker.patience())),
        })?;
        let ready = self.endpoint.ready(&self.settings).map_err(not_asked)?;
        let request = ready.request(lnrpc::Invoice {
            memo: wanted.memo.clone(),
            value_msat: i64::try_from(wanted.amount.get()).unwrap_or(i64::MAX),
            expiry: i64::try_from(wanted.expiry.as_secs()).unwrap_or(i64::MAX),
            private: self.settings.private,
            ..Default::default()
        });
        // Boxed, because it is large and moved from hand to hand.
        let answered = self
            .within(Box::pin(async {
                LightningClient::new(ready.channel()).add_invoice(request).await
            }))
            .await;
        let is_silent = |no: &AddInvoiceError| no.error.kind() == NodeErrorKind::Silent;
        call.end(!answered.as_ref().is_err_and(is_silent));
        let checked = check(self.settings.network, &wanted, answered?);
        let wrong = |why: String| error::wrong_invoice(&why);
        checked.map_err(|why| AddInvoiceError { error: wrong(why), may_exist: true })
    }

    async fn find(&self, hash: PaymentHash) -> Result<InvoiceState, NodeError> {
        let _place = self.look_ups.try_acquire().map_err(|_| NodeError::busy())?;
        let ready = self.endpoint.ready(&self.settings)?;
        let request = ready
            .request(lnrpc::PaymentHash { r_hash: hash.as_bytes().to_vec(), ..Default::default() });
        let call = async {
            match LightningClient::new(ready.channel()).lookup_invoice(request).await {
                // Some versions of LND have words of their own where there are no invoices at all.
                Err(status)
                    if status.code() == Code::NotFound
                        || status.message().contains("there are no existing invoices") =>
                {
                    Ok(tonic::Response::new(None))
                }
                answer => answer.map(|answer| answer.map(Some)),
            }
        };
        match self.within(call).await.map_err(|no| no.error)? {
            None => Ok(InvoiceState::Unknown),
            Some(invoice) => payments::invoice_state(&invoice)
                .ok_or_else(|| error::other("an invoice whose state can't be read")),
        }
    }
}

impl Node for Lnd {
    fn watch(&self) -> Watching<'_> {
        Box::pin(async {
            loop {
                self.probe().await;
                let pause = if self.state().is_ok() { PROBE_UP } else { PROBE_DOWN };
                let _ = timeout(pause, self.probe_now.notified()).await;
            }
        })
    }

    fn add_invoice(&self, wanted: NewInvoice) -> AddingInvoice<'_> {
        Box::pin(async move {
            let started = Instant::now();
            let result = self.add(wanted).await;
            (self.observer)(started.elapsed(), result.as_ref().map(|_| ()).map_err(|no| &no.error));
            match &result {
                Ok(_) => self.health.invoice_made(started, Instant::now()),
                Err(no) if self.health.failed(&no.error, started, Instant::now()) => {
                    self.probe_now.notify_one()
                }
                Err(_) => {}
            }
            result
        })
    }

    fn look_up(&self, hash: PaymentHash) -> LookingUp<'_> {
        Box::pin(self.find(hash))
    }

    fn payments(&self, after: u64) -> Box<dyn PaymentStream> {
        let subscription = InvoiceSubscription::start(self.endpoint.ready(&self.settings), after);
        Box::new(SettledInvoices { subscription, ended: Arc::clone(&self.probe_now) })
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn ends(&self) -> AccessEnds {
        self.endpoint.ends()
    }

    fn state(&self) -> Result<(), NodeError> {
        match self.health.error() {
            None if self.breaker.is_slow(Instant::now()) => {
                Err(error::slow(self.breaker.patience()))
            }
            None => Ok(()),
            Some(error) => Err(error),
        }
    }
}

/// An invoice of another network would be paid with other money than the ticket is sold for.
fn check(
    network: Network,
    wanted: &NewInvoice,
    answer: lnrpc::AddInvoiceResponse,
) -> Result<Invoice, String> {
    let (found, msat) =
        read_prefix(&answer.payment_request).ok_or("it can't be read as BOLT 11 with an amount")?;
    if found != network {
        return Err(format!("it is for {found}, but `lnd.network` says {network}"));
    }
    if msat != wanted.amount.get() {
        return Err(format!("its amount is {msat} msat instead of {}", wanted.amount.get()));
    }
    let hash = answer.r_hash.try_into().map_err(|_| "its payment hash is not of 32 bytes")?;
    Ok(Invoice { payment_hash: PaymentHash::from_bytes(hash), bolt11: answer.payment_request })
}
