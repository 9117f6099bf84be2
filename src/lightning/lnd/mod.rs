//! LND over gRPC: a lazy connection that heals by itself, a deadline on every call, and an eye on
//! the node's state.

mod breaker;
mod inspect;
mod line;
mod payments;
pub mod permissions;
mod standpoint;
mod tls;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tonic::{Code, Status};

use self::breaker::{Breaker, Refused};
pub use self::inspect::{Channels, Inbound, Info};
use self::line::Line;
use self::payments::{Subscription, Watched};
use self::standpoint::{Question, Standpoint};
use super::lnrpc::lightning_client::LightningClient;
use super::lnrpc::state_client::StateClient;
use super::lnrpc::{self, WalletState};
use super::network::{Network, read_prefix};
use super::{
    AddingInvoice, Invoice, LookingUp, NoInvoice, Node, Payments, Standing, Trouble, Wanted,
};
use crate::payment_hash::PaymentHash;

/// Most `AddInvoice` calls under way at once; LND works them off one by one anyway.
const MAX_CALLS: usize = 64;

/// How long a call may take until buyers are sent away instead of queueing behind it. LND takes a
/// tenth of that under full load.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most look-ups under way at once.
const MAX_LOOK_UPS: usize = 16;

/// How often the state is looked at while it is up, and while it isn't.
const PROBE_UP: Duration = Duration::from_secs(10);
const PROBE_DOWN: Duration = Duration::from_secs(2);

/// How long the invoice lives that is made only to see that one can be made.
const TRIAL_EXPIRY: Duration = Duration::from_secs(60);

/// How to reach the node.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` of its gRPC listener.
    pub address: String,
    /// Its tls.cert.
    pub certificate: PathBuf,
    /// A macaroon that may add invoices.
    pub macaroon: PathBuf,
    /// The network that its invoices must be of.
    pub network: Network,
    /// Deadline of each call.
    pub timeout: Duration,
    /// Whether invoices name a way through private channels.
    pub private: bool,
}

/// The client.
pub struct Lnd {
    settings: Settings,
    line: Line,
    standpoint: Standpoint,
    breaker: Breaker,
    look_ups: Semaphore,
    look_now: Arc<Notify>,
    generation: AtomicU64,
    observer: Observer,
}

/// What a call took and whether it worked, for the metrics.
pub type Observer = Box<dyn Fn(Duration, Result<(), &Trouble>) + Send + Sync>;

impl Lnd {
    /// Connects to nothing yet.
    pub fn new(settings: Settings, provider: Arc<CryptoProvider>, observer: Observer) -> Self {
        Self {
            breaker: Breaker::new(MAX_CALLS, PATIENCE.min(settings.timeout / 2)),
            settings,
            line: Line::new(provider),
            standpoint: Standpoint::new(),
            look_ups: Semaphore::new(MAX_LOOK_UPS),
            look_now: Arc::default(),
            generation: AtomicU64::new(0),
            observer,
        }
    }

    /// Looks after the node's state for as long as it is polled.
    pub async fn watch(&self) {
        loop {
            self.look().await;
            let pause = if self.state().is_ok() { PROBE_UP } else { PROBE_DOWN };
            let _ = timeout(pause, self.look_now.notified()).await;
        }
    }

    /// Asks the node once how it is, and remembers it.
    pub async fn look(&self) {
        let before = self.standpoint.look();
        let seen = match self.wallet_state().await {
            Ok(()) => match self.standpoint.question(Instant::now()) {
                Question::Nothing => Ok(()),
                Question::Later => return,
                Question::Macaroon => self.show_macaroon().await,
                // Says itself what it came to.
                Question::Invoice => {
                    return drop(self.add_invoice(Wanted::trial(TRIAL_EXPIRY)).await);
                }
            },
            trouble => trouble,
        };
        self.standpoint.looked(before, seen, Instant::now());
    }

    async fn wallet_state(&self) -> Result<(), Trouble> {
        let (line, changed) = self.line.fresh(&self.settings)?;
        if changed {
            self.generation.fetch_add(1, Ordering::Relaxed);
            self.standpoint.begin_anew();
        }
        let call = async move {
            StateClient::new(line.channel()).get_state(lnrpc::GetStateRequest {}).await
        };
        match self.within(call).await.map_err(|no| no.trouble)?.state() {
            WalletState::ServerActive => Ok(()),
            WalletState::Locked => Err(Trouble::Locked),
            WalletState::NonExisting => Err(Trouble::NoWallet),
            WalletState::RpcActive => Err(Trouble::Syncing),
            WalletState::Unlocked | WalletState::WaitingToStart => Err(Trouble::Starting),
        }
    }

    /// Asks for an invoice of a negative amount: LND refuses it, but only after it has taken the
    /// macaroon, and stores nothing.
    async fn show_macaroon(&self) -> Result<(), Trouble> {
        let line = self.line.ready(&self.settings)?;
        let request = line.request(lnrpc::Invoice { value_msat: -1, ..Default::default() });
        match self
            .within(Box::pin(async {
                LightningClient::new(line.channel()).add_invoice(request).await
            }))
            .await
        {
            Ok(_) | Err(NoInvoice { trouble: Trouble::Other(_), .. }) => Ok(()),
            Err(no) => Err(no.trouble),
        }
    }

    /// The connection, for calls of one's own, which have to show a macaroon.
    pub fn channel(&self) -> Result<tonic::transport::Channel, Trouble> {
        self.line.ready(&self.settings).map(|line| line.channel())
    }

    /// A call with its deadline.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, NoInvoice> {
        match timeout(self.settings.timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            // An error may come after the work was done: the connection was reset, say.
            Ok(Err(status)) => {
                let trouble = trouble::read(&status);
                let may_exist = matches!(trouble, Trouble::Unreachable(_) | Trouble::Other(_));
                Err(NoInvoice { trouble, may_exist })
            }
            Err(_) => {
                Err(NoInvoice { trouble: Trouble::Silent(self.settings.timeout), may_exist: true })
            }
        }
    }

    async fn add(&self, wanted: Wanted) -> Result<Invoice, NoInvoice> {
        let not_asked = |trouble| NoInvoice { trouble, may_exist: false };
        let call = self.breaker.admit(Instant::now()).map_err(|refused| match refused {
            Refused::Busy => not_asked(Trouble::Busy),
            Refused::Slow => not_asked(Trouble::Slow(self.breaker.patience())),
        })?;
        let line = self.line.ready(&self.settings).map_err(not_asked)?;
        let request = line.request(lnrpc::Invoice {
            memo: wanted.memo.clone(),
            value_msat: i64::try_from(wanted.amount.get()).unwrap_or(i64::MAX),
            expiry: i64::try_from(wanted.expiry.as_secs()).unwrap_or(i64::MAX),
            private: self.settings.private,
            ..Default::default()
        });
        // Boxed, because it is large and moved from hand to hand.
        let answered = self
            .within(Box::pin(async {
                LightningClient::new(line.channel()).add_invoice(request).await
            }))
            .await;
        call.end(!matches!(&answered, Err(NoInvoice { trouble: Trouble::Silent(_), .. })));
        let checked = check(self.settings.network, &wanted, answered?);
        checked.map_err(|why| NoInvoice { trouble: Trouble::WrongInvoice(why), may_exist: true })
    }

    async fn find(&self, hash: PaymentHash) -> Result<Standing, Trouble> {
        let _place = self.look_ups.try_acquire().map_err(|_| Trouble::Busy)?;
        let line = self.line.ready(&self.settings)?;
        let request = line
            .request(lnrpc::PaymentHash { r_hash: hash.as_bytes().to_vec(), ..Default::default() });
        let call = async {
            match LightningClient::new(line.channel()).lookup_invoice(request).await {
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
        match self.within(call).await.map_err(|no| no.trouble)? {
            None => Ok(Standing::Unknown),
            Some(invoice) => payments::standing(&invoice)
                .ok_or_else(|| Trouble::Other("an invoice whose state can't be read".to_owned())),
        }
    }
}

impl Node for Lnd {
    fn add_invoice(&self, wanted: Wanted) -> AddingInvoice<'_> {
        Box::pin(async move {
            let started = Instant::now();
            let result = self.add(wanted).await;
            (self.observer)(
                started.elapsed(),
                result.as_ref().map(|_| ()).map_err(|no| &no.trouble),
            );
            match &result {
                Ok(_) => self.standpoint.made(started, Instant::now()),
                Err(no) if self.standpoint.failed(&no.trouble, started, Instant::now()) => {
                    self.look_now.notify_one()
                }
                Err(_) => {}
            }
            result
        })
    }

    fn look_up(&self, hash: PaymentHash) -> LookingUp<'_> {
        Box::pin(self.find(hash))
    }

    fn payments(&self, after: u64) -> Box<dyn Payments> {
        let subscription = Subscription::start(self.line.ready(&self.settings), after);
        Box::new(Watched { subscription, ended: Arc::clone(&self.look_now) })
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn state(&self) -> Result<(), Trouble> {
        match self.standpoint.trouble() {
            None if self.breaker.is_slow(Instant::now()) => {
                Err(Trouble::Slow(self.breaker.patience()))
            }
            None => Ok(()),
            Some(trouble) => Err(trouble),
        }
    }
}

/// An invoice of another network would be paid with other money than the ticket is sold for.
fn check(
    network: Network,
    wanted: &Wanted,
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
