//! LND over gRPC: a lazy connection that heals by itself, a deadline on every call, and an eye on the node's state.

mod tls;
mod trouble;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use tracing::{info, warn};

use self::tls::Pinned;
use super::lnrpc::lightning_client::LightningClient;
use super::lnrpc::state_client::StateClient;
use super::lnrpc::{self, WalletState};
use super::network::{Network, read_prefix};
use super::{AddingInvoice, Invoice, NoInvoice, Node, Trouble, Wanted};
use crate::l402::PaymentHash;

/// Most `AddInvoice` calls under way at once; LND works them off one by one anyway.
const MAX_CALLS: usize = 64;

/// How often the state is looked at while it is up, and while it isn't.
const PROBE_UP: Duration = Duration::from_secs(10);
const PROBE_DOWN: Duration = Duration::from_secs(2);

/// How long a refusal or a silence counts before `AddInvoice` is tried again, though the state says that it serves.
const HOLD: Duration = Duration::from_secs(10);

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
}

/// The client.
pub struct Lnd {
    settings: Settings,
    provider: Arc<CryptoProvider>,
    line: Mutex<Line>,
    state: Mutex<Standing>,
    calls: Semaphore,
    look_now: Notify,
    observer: Observer,
}

/// What a call took and whether it worked, for the metrics.
pub type Observer = Box<dyn Fn(Duration, Result<(), &Trouble>) + Send + Sync>;

/// The connection and what it was made from.
#[derive(Default)]
struct Line {
    certificate: Vec<u8>,
    macaroon: Vec<u8>,
    ready: Option<Ready>,
}

#[derive(Clone)]
struct Ready {
    channel: Channel,
    macaroon: AsciiMetadataValue,
}

struct Standing {
    trouble: Option<Trouble>,
    /// Until then a good word of the State service doesn't count.
    held_until: Option<Instant>,
}

impl Lnd {
    /// Connects to nothing yet.
    pub fn new(settings: Settings, provider: Arc<CryptoProvider>, observer: Observer) -> Self {
        Self {
            settings,
            provider,
            line: Mutex::default(),
            state: Mutex::new(Standing { trouble: Some(Trouble::NotTried), held_until: None }),
            calls: Semaphore::new(MAX_CALLS),
            look_now: Notify::new(),
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
        let seen = self.probe().await;
        self.note(seen, false);
    }

    async fn probe(&self) -> Result<(), Trouble> {
        let Ready { channel, .. } = self.line(true)?;
        let call = async move { StateClient::new(channel).get_state(lnrpc::GetStateRequest {}).await };
        match self.within(call).await.map_err(|no| no.trouble)?.state() {
            WalletState::ServerActive => Ok(()),
            WalletState::Locked => Err(Trouble::Wallet("locked", "unlock")),
            WalletState::NonExisting => Err(Trouble::Wallet("not made yet", "create")),
            WalletState::Unlocked | WalletState::RpcActive | WalletState::WaitingToStart => Err(Trouble::Starting),
        }
    }

    /// The connection; `fresh` reads the files again and makes a new one if they have changed.
    fn line(&self, fresh: bool) -> Result<Ready, Trouble> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(ready), false) = (&line.ready, fresh) {
            return Ok(ready.clone());
        }
        let certificate = read_file("lnd.certificate", &self.settings.certificate)?;
        let macaroon = read_file("lnd.macaroon", &self.settings.macaroon)?;
        if let Some(ready) = &line.ready
            && line.certificate == certificate
            && line.macaroon == macaroon
        {
            return Ok(ready.clone());
        }
        let ready = Ready { channel: self.connect(&certificate)?, macaroon: metadata(&macaroon)? };
        *line = Line { certificate, macaroon, ready: Some(ready.clone()) };
        Ok(ready)
    }

    fn connect(&self, certificate: &[u8]) -> Result<Channel, Trouble> {
        let pinned = Pinned::from_pem(certificate, Arc::clone(&self.provider)).map_err(|why| {
            Trouble::File(format!("`lnd.certificate`: {}: {why}; it should be LND's tls.cert", self.settings.certificate.display()))
        })?;
        let endpoint = Endpoint::from_shared(format!("https://{}", self.settings.address))
            .and_then(|endpoint| endpoint.tls_config_with_verifier(ClientTlsConfig::new(), Arc::new(pinned)))
            .map_err(|error| Trouble::File(format!("`lnd.address`: {error}")))?;
        Ok(endpoint
            .connect_timeout(self.settings.timeout)
            // LND allows one ping in 5 s, and only while a stream is open.
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(false)
            .connect_lazy())
    }

    /// A call with its deadline.
    async fn within<T>(&self, call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, NoInvoice> {
        match timeout(self.settings.timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            // An error may come after the work was done: the connection was reset, say.
            Ok(Err(status)) => {
                let trouble = trouble::read(&status);
                let may_exist = matches!(trouble, Trouble::Unreachable(_) | Trouble::Other(_));
                Err(NoInvoice { trouble, may_exist })
            }
            Err(_) => Err(NoInvoice { trouble: Trouble::Silent(self.settings.timeout), may_exist: true }),
        }
    }

    async fn add(&self, wanted: Wanted) -> Result<Invoice, NoInvoice> {
        let _place = self.calls.try_acquire().map_err(|_| NoInvoice { trouble: Trouble::Busy, may_exist: false })?;
        let Ready { channel, macaroon } = self.line(false).map_err(|trouble| NoInvoice { trouble, may_exist: false })?;
        let mut request = Request::new(lnrpc::Invoice {
            memo: wanted.memo.clone(),
            value: i64::try_from(wanted.amount.get()).unwrap_or(i64::MAX),
            expiry: i64::try_from(wanted.expiry.as_secs()).unwrap_or(i64::MAX),
            ..Default::default()
        });
        request.metadata_mut().insert("macaroon", macaroon);
        let answer = self.within(async { LightningClient::new(channel).add_invoice(request).await }).await?;
        let checked = check(self.settings.network, &wanted, answer);
        checked.map_err(|why| NoInvoice { trouble: Trouble::WrongInvoice(why), may_exist: true })
    }

    fn note(&self, seen: Result<(), Trouble>, hold: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_ok() && !hold && state.held_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        state.held_until = (seen.is_err() && hold).then(|| Instant::now() + HOLD);
        let trouble = seen.err();
        if state.trouble != trouble {
            match &trouble {
                Some(trouble) => warn!(state = trouble.word(), "node: {trouble}"),
                None => info!(address = self.settings.address, "node: LND is up"),
            }
            state.trouble = trouble;
        }
    }

    /// What an `AddInvoice` that failed says about the node.
    fn learn(&self, trouble: &Trouble) {
        match trouble {
            // Says more about us, or about this one call, than about the node.
            Trouble::Busy | Trouble::NotTried => {}
            Trouble::Macaroon(_) | Trouble::Silent(_) | Trouble::WrongInvoice(_) | Trouble::Other(_) => {
                self.note(Err(trouble.clone()), true);
            }
            _ => {
                self.note(Err(trouble.clone()), false);
                self.look_now.notify_one();
            }
        }
    }
}

impl Node for Lnd {
    fn add_invoice(&self, wanted: Wanted) -> AddingInvoice<'_> {
        Box::pin(async move {
            let started = Instant::now();
            let result = self.add(wanted).await;
            (self.observer)(started.elapsed(), result.as_ref().map(|_| ()).map_err(|no| &no.trouble));
            if let Err(no) = &result {
                self.learn(&no.trouble);
            }
            result
        })
    }

    fn state(&self) -> Result<(), Trouble> {
        match &self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble {
            None => Ok(()),
            Some(trouble) => Err(trouble.clone()),
        }
    }
}

/// An invoice of another network would be paid with other money than the ticket is sold for.
fn check(network: Network, wanted: &Wanted, answer: lnrpc::AddInvoiceResponse) -> Result<Invoice, String> {
    let (found, msat) = read_prefix(&answer.payment_request).ok_or("it can't be read as BOLT 11 with an amount")?;
    if found != network {
        return Err(format!("it is for {found}, but `lnd.network` says {network}"));
    }
    if msat != wanted.amount.msat() {
        return Err(format!("its amount is {msat} msat instead of {}", wanted.amount.msat()));
    }
    let hash = answer.r_hash.try_into().map_err(|_| "its payment hash is not of 32 bytes")?;
    Ok(Invoice { payment_hash: PaymentHash::from_bytes(hash), bolt11: answer.payment_request })
}

fn read_file(key: &str, path: &std::path::Path) -> Result<Vec<u8>, Trouble> {
    std::fs::read(path).map_err(|error| Trouble::File(format!("`{key}`: {}: {error}", path.display())))
}

fn metadata(macaroon: &[u8]) -> Result<AsciiMetadataValue, Trouble> {
    let mut value: AsciiMetadataValue =
        hex::encode(macaroon).parse().map_err(|_| Trouble::File("`lnd.macaroon`: not a macaroon".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
