//! From the config to the parts, each with its own settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use tokio_util::sync::CancellationToken;

use super::error::StartError;
use super::master_secret::no_secret;
use super::open_ledger::{SECRET_NOTE_INTERVAL, open_ledger};
use super::sold;
use crate::config::Config;
use crate::gate::Gate;
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
use crate::sale::Sale;
use crate::sale::unpaid_limit::UnpaidLimit;
use crate::service::times::TicketTimes;
use crate::service::{Catalogue, RequestLimits, Service};
use crate::status::Status;
use crate::ticket::Tickets;
use crate::tls;
use crate::upstream::Upstream;

/// Longest time for reading a request body.
const BODY_TIME_MAX: Duration = Duration::from_secs(20);

/// The parts of a running Farebox.
pub(super) struct App {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) ring: Arc<KeyRing>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) node: Arc<dyn Node>,
    /// `None` where payments aren't detected.
    pub(super) payments: Option<Arc<Payments>>,
    pub(super) redeem: Arc<Redeem>,
    pub(super) sale: Arc<Sale>,
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Arc<Metrics>,
    /// Cancelled once the process is to stop.
    pub(super) stopping: CancellationToken,
}

/// Opens the ledger, loads the secret, and puts the parts together. Nothing is sold yet.
pub(super) async fn assemble(config: Config, access: AccessLog) -> Result<App, StartError> {
    let provider = tls::provider();
    let metrics = Arc::new(Metrics::new()?);
    let (ledger, secrets) = open_ledger(&config, &metrics, &provider).await?;
    let ledger = Arc::new(ledger.with_challenge_rows(config.detects_payments));
    let ring = KeyRing::new(&secrets, config.lnd.network.name());
    let ring = Arc::new(ring.ok_or_else(no_secret)?);
    let node = node(&config, &metrics, &provider);
    let settings = RoomSettings::of(&config);
    let catalogue = Arc::new(catalogue(config, &metrics, &provider, &ring)?);
    for said in sold::unredeemable(&ledger, &catalogue.services, settings.detects_payments).await {
        tracing::warn!("{said}");
    }
    Ok(SharedParts { catalogue, ring, ledger, node, metrics }.rooms(settings, Arc::new(access)))
}

/// What the rooms share.
struct SharedParts {
    catalogue: Arc<Catalogue>,
    ring: Arc<KeyRing>,
    ledger: Arc<Ledger>,
    node: Arc<dyn Node>,
    metrics: Arc<Metrics>,
}

impl SharedParts {
    /// Each room gets what it needs.
    fn rooms(self, settings: RoomSettings, access: Arc<AccessLog>) -> App {
        let Self { catalogue, ring, ledger, node, metrics } = self;
        let shared = || (Arc::clone(&catalogue), Arc::clone(&ring), Arc::clone(&ledger));
        let stopping = CancellationToken::new();
        let unpaid =
            UnpaidLimit::new(settings.unpaid_per_client, settings.unpaid_total, settings.expiry);
        let unpaid = Arc::new(unpaid);
        let freed = Arc::clone(&unpaid);
        // A ticket that is verified as paid counts as unpaid no more.
        let on_paid = move |hash: &PaymentHash| freed.redeemed(hash, Instant::now());
        let tickets = Arc::new(Tickets::new(Arc::clone(&ring), on_paid));
        let payments = settings.detects_payments.then(|| {
            let ((catalogue, _, ledger), node) = (shared(), Arc::clone(&node));
            Arc::new(Payments::new(catalogue, ledger, node, settings.node_name))
        });
        let redeem = {
            let (catalogue, ring, ledger) = shared();
            let stopping = stopping.clone();
            Arc::new(Redeem::new(catalogue, ring, ledger, settings.redemptions_max, stopping))
        };
        let sale = {
            let ((catalogue, ring, ledger), payments) = (shared(), payments.clone());
            let (node, ahead) = (Arc::clone(&node), settings.mint_ahead);
            Arc::new(Sale::new(catalogue, ring, ledger, node, payments, unpaid, ahead))
        };
        let status = payments.clone().map(|payments| {
            let ((catalogue, ring, ledger), tickets) = (shared(), Arc::clone(&tickets));
            let stopping = stopping.clone();
            Arc::new(Status::new(catalogue, tickets, ring, ledger, payments, stopping))
        });
        let recorder = Recorder { metrics: Arc::clone(&metrics), access };
        let gate = Arc::new(Gate::new(
            Arc::clone(&catalogue),
            tickets,
            payments.clone(),
            Arc::clone(&redeem),
            Arc::clone(&sale),
            status,
            recorder,
        ));
        App { catalogue, ring, ledger, node, payments, redeem, sale, gate, metrics, stopping }
    }
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
        }
    }
}

fn node(config: &Config, metrics: &Arc<Metrics>, provider: &Arc<CryptoProvider>) -> Arc<dyn Node> {
    let observed = Arc::clone(metrics);
    let observe = move |took: Duration, result: Result<(), &NodeError>| {
        let [worked, failed] = &observed.node_calls;
        if result.is_ok() { worked } else { failed }.observe(took.as_secs_f64());
    };
    lightning::open(config.lnd.clone(), Arc::clone(provider), Box::new(observe))
}

fn catalogue(
    config: Config,
    metrics: &Metrics,
    provider: &Arc<CryptoProvider>,
    ring: &KeyRing,
) -> Result<Catalogue, StartError> {
    let times = TicketTimes {
        invoice_expiry: config.invoice_expiry,
        lifetime: config.tickets.lifetime,
        longest_life: config.longest_life(),
        replay: config.tickets.replay,
        wait: config.tickets.wait,
    };
    let connections_max = config.limits.redemptions;
    let services = config.services.into_iter().enumerate();
    let services = services.map(|(index, spec)| {
        let upstream = Upstream::new(&spec.backend, &spec.name, provider, connections_max);
        let upstream = upstream.map_err(|source| {
            let service = Arc::clone(&spec.name);
            StartError::Upstream { service, source }
        })?;
        let metrics = metrics.service(&spec.name);
        Ok::<_, StartError>(Arc::new(Service::new(index, spec, upstream, ring, metrics)))
    });
    Ok(Catalogue {
        services: services.collect::<Result<_, _>>()?,
        public_url: config.listen.public_url,
        limits: RequestLimits {
            body: config.limits.body,
            body_time: BODY_TIME_MAX,
            stored_answer: config.limits.stored_answer,
            trusted_proxies: config.limits.trusted_proxies,
        },
        times,
        pages: config.pages,
        network: config.lnd.network,
        detects_payments: config.detects_payments,
    })
}

/// Tells the ledger, ahead of the challenges of the next hour and a half, that tickets of the
/// minting secret will be about.
pub(super) async fn note_secret(app: &App) -> Result<(), LedgerError> {
    let times = &app.catalogue.times;
    let until = app
        .ledger
        .now()
        .later()
        .plus(times.invoice_expiry)
        .plus(times.longest_life)
        .plus(FIRST_CLAIM_GRACE)
        .plus(SECRET_NOTE_INTERVAL * 3 / 2);
    app.ledger.note_secret(app.ring.minting().fingerprint(), until).await
}
