//! From the config to the parts, each with its own settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use tokio_util::sync::CancellationToken;

use super::catalogue::CatalogueMaker;
use super::certificates::Certificates;
use super::error::StartError;
use super::master_secret::no_secret;
use super::open_ledger::{SECRET_NOTE_INTERVAL, open_ledger};
use super::sold;
use crate::config::{Config, LedgerPlace};
use crate::gate::current::CurrentGate;
use crate::gate::{Gate, Rooms};
use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::ledger::error::LedgerError;
use crate::ledger::state::FIRST_CLAIM_GRACE;
use crate::lightning::error::NodeError;
use crate::lightning::{self, Node};
use crate::payment::Payments;
use crate::payment_hash::PaymentHash;
use crate::record::access_log::AccessLog;
use crate::record::metrics::Metrics;
use crate::record::request_log::Recorder;
use crate::redeem::Redeem;
use crate::reports::Reports;
use crate::sale::Sale;
use crate::sale::unpaid_limit::UnpaidLimit;
use crate::service::Catalogue;
use crate::service::current::CurrentCatalogue;
use crate::status::Status;
use crate::ticket::Tickets;
use crate::tls;

/// The parts of a running Farebox.
pub(super) struct App {
    pub(super) catalogue: Arc<CurrentCatalogue>,
    pub(super) maker: CatalogueMaker,
    pub(super) ring: Arc<KeyRing>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) node: Arc<dyn Node>,
    /// `None` where payments aren't detected.
    pub(super) payments: Option<Arc<Payments>>,
    pub(super) redeem: Arc<Redeem>,
    pub(super) sale: Arc<Sale>,
    pub(super) reports: Arc<Reports>,
    pub(super) gate: Arc<CurrentGate>,
    pub(super) metrics: Arc<Metrics>,
    /// Where the SQLite ledger lies; `None` where it doesn't.
    pub(super) disk: Option<PathBuf>,
    pub(super) provider: Arc<CryptoProvider>,
    /// What payers see; `None` for plain HTTP.
    pub(super) certificates: Option<Certificates>,
    /// Cancelled once the process is to stop.
    pub(super) stopping: CancellationToken,
}

/// Opens the ledger, loads the secret, and puts the parts together. Nothing is sold yet.
pub(super) async fn assemble(config: Config, access: Arc<AccessLog>) -> Result<App, StartError> {
    let provider = tls::provider();
    let certificates = Certificates::open(&config, &provider)?;
    let metrics = Arc::new(Metrics::new()?);
    let (ledger, secrets) = open_ledger(&config, &metrics, &provider).await?;
    let ledger = Arc::new(ledger.with_challenge_rows(config.detects_payments));
    let ring = KeyRing::new(&secrets, config.lnd.network.name());
    let ring = Arc::new(ring.ok_or_else(no_secret)?);
    let node = node(&config, &metrics, &provider);
    let settings = RoomSettings::of(&config);
    metrics.config.is(config.hash);
    let maker = CatalogueMaker {
        metrics: Arc::clone(&metrics),
        provider: Arc::clone(&provider),
        ring: Arc::clone(&ring),
    };
    let catalogue = Arc::new(maker.make(config, None)?);
    for said in sold::unredeemable(&ledger, &catalogue.services, settings.detects_payments).await {
        tracing::warn!("{said}");
    }
    let parts =
        SharedParts { catalogue, maker, ring, ledger, node, metrics, provider, certificates };
    Ok(parts.rooms(settings, access))
}

/// What the rooms share.
struct SharedParts {
    catalogue: Arc<Catalogue>,
    maker: CatalogueMaker,
    ring: Arc<KeyRing>,
    ledger: Arc<Ledger>,
    node: Arc<dyn Node>,
    metrics: Arc<Metrics>,
    provider: Arc<CryptoProvider>,
    certificates: Option<Certificates>,
}

impl SharedParts {
    /// Each room gets what it needs.
    fn rooms(self, settings: RoomSettings, access: Arc<AccessLog>) -> App {
        let Self { catalogue, maker, ring, ledger, node, metrics, provider, certificates } = self;
        let current = Arc::new(CurrentCatalogue::new(Arc::clone(&catalogue)));
        let shared = || (Arc::clone(&ring), Arc::clone(&ledger));
        let stopping = CancellationToken::new();
        let (unpaid, tickets) = tickets(&settings, &ring);
        let payments = settings.detects_payments.then(|| {
            let ((_, ledger), node) = (shared(), Arc::clone(&node));
            Arc::new(Payments::new(Arc::clone(&current), ledger, node, settings.node_name))
        });
        let redeem = {
            let ((ring, ledger), limits) = (shared(), &catalogue.limits);
            let (most, replay) = (settings.redemptions_max, catalogue.times.replay);
            Arc::new(Redeem::new(ring, ledger, limits, most, replay, stopping.clone()))
        };
        let sale = {
            let ((ring, ledger), payments) = (shared(), payments.clone());
            let (node, ahead) = (Arc::clone(&node), settings.mint_ahead);
            Arc::new(Sale::new(&catalogue, ring, ledger, node, payments, unpaid, ahead))
        };
        let status = payments.clone().map(|payments| {
            let ((ring, ledger), tickets) = (shared(), Arc::clone(&tickets));
            let stopping = stopping.clone();
            Arc::new(Status::new(tickets, ring, ledger, payments, settings.expiry, stopping))
        });
        let reports = Arc::new(Reports::new(Arc::clone(&ring), Arc::clone(&ledger)));
        let recorder = Recorder { metrics: Arc::clone(&metrics), access };
        let rooms = Rooms {
            tickets,
            payments: payments.clone(),
            redeem: Arc::clone(&redeem),
            sale: Arc::clone(&sale),
            status,
            reports: Arc::clone(&reports),
        };
        let gate = Gate::new(catalogue, rooms, recorder);
        App {
            catalogue: current,
            maker,
            ring,
            ledger,
            node,
            payments,
            redeem,
            sale,
            reports,
            gate: Arc::new(CurrentGate::new(gate)),
            metrics,
            disk: settings.disk,
            provider,
            certificates,
            stopping,
        }
    }
}

/// What counts unpaid challenges, and what verifies tickets: one that is verified as paid counts as
/// unpaid no more.
fn tickets(settings: &RoomSettings, ring: &Arc<KeyRing>) -> (Arc<UnpaidLimit>, Arc<Tickets>) {
    let unpaid =
        UnpaidLimit::new(settings.unpaid_per_client, settings.unpaid_total, settings.expiry);
    let unpaid = Arc::new(unpaid);
    let freed = Arc::clone(&unpaid);
    let on_paid = move |hash: &PaymentHash| freed.redeemed(hash, Instant::now());
    (unpaid, Arc::new(Tickets::new(Arc::clone(ring), on_paid)))
}

/// What the config says to the rooms.
struct RoomSettings {
    detects_payments: bool,
    node_name: Arc<str>,
    redemptions_max: usize,
    unpaid_per_client: usize,
    unpaid_total: usize,
    expiry: Duration,
    mint_ahead: usize,
    disk: Option<PathBuf>,
}

impl RoomSettings {
    fn of(config: &Config) -> Self {
        Self {
            detects_payments: config.detects_payments,
            node_name: format!("{} {}", config.lnd.network, config.lnd.address).into(),
            redemptions_max: config.limits.redemptions,
            unpaid_per_client: config.limits.unpaid_per_client,
            unpaid_total: config.limits.unpaid_total,
            expiry: config.invoice_expiry,
            mint_ahead: config.mint_ahead,
            disk: match &config.ledger {
                LedgerPlace::Sqlite(path) => path.parent().map(Path::to_owned),
                LedgerPlace::Postgres { .. } => None,
            },
        }
    }
}

fn node(config: &Config, metrics: &Arc<Metrics>, provider: &Arc<CryptoProvider>) -> Arc<dyn Node> {
    let observed = Arc::clone(metrics);
    let observe = move |took: Duration, result: Result<(), &NodeError>| {
        let [worked, failed] = &observed.node.calls;
        if result.is_ok() { worked } else { failed }.observe(took.as_secs_f64());
    };
    lightning::open(config.lnd.clone(), Arc::clone(provider), Box::new(observe))
}

/// Tells the ledger, ahead of the challenges of the next hour and a half, that tickets of the
/// minting secret will be about, which live for `longest_life`.
pub(super) async fn note_secret(app: &App, longest_life: Duration) -> Result<(), LedgerError> {
    let invoice_expiry = app.catalogue.load().times.invoice_expiry;
    let until = app
        .ledger
        .now()
        .later()
        .plus(invoice_expiry)
        .plus(longest_life)
        .plus(FIRST_CLAIM_GRACE)
        .plus(SECRET_NOTE_INTERVAL * 3 / 2);
    app.ledger.note_secret(app.ring.minting().fingerprint(), until).await
}
