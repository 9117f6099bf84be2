//! From the config to the parts, each with its own settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::crypto::CryptoProvider;
use tokio_util::sync::CancellationToken;

use super::client_tls::{client_tls, provider};
use super::open_ledger::{SECRET_NOTE_INTERVAL, longest_life, open_ledger};
use super::sold;
use crate::config::{Config, Service as Written, Ticket};
use crate::gate::Gate;
use crate::keys::{KeyRing, Keys};
use crate::ledger::Ledger;
use crate::ledger::error::LedgerError;
use crate::ledger::state::FIRST_CLAIM_GRACE;
use crate::lightning::lnd::Lnd;
use crate::lightning::{Node, Trouble};
use crate::payment::Payments;
use crate::payment_hash::PaymentHash;
use crate::place::Place;
use crate::record::access_log::AccessLog;
use crate::record::metrics::Metrics;
use crate::record::request_log::Recorder;
use crate::redeem::Redeem;
use crate::sale::Sale;
use crate::sale::unpaid_limit::UnpaidLimit;
use crate::service::times::TicketTimes;
use crate::service::{Catalogue, Limits, Offer, Service};
use crate::status::Status;
use crate::ticket::Tickets;
use crate::upstream::Upstream;
use crate::upstream::connect::Target;
use crate::upstream::health::Health;
use crate::upstream::places::Places;
use crate::upstream::pool::Pool;
use crate::upstream::request::KeyPlace;

/// Longest time for reading a request body.
const BODY_TIME_MAX: Duration = Duration::from_secs(20);

/// The parts of a running Farebox.
pub(super) struct App {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) ring: Arc<KeyRing>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) node: Arc<Lnd>,
    /// `None` where payments aren't detected.
    pub(super) payments: Option<Arc<Payments>>,
    pub(super) redeem: Arc<Redeem>,
    pub(super) sale: Arc<Sale>,
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) access: Arc<AccessLog>,
    /// Cancelled once the process is to stop.
    pub(super) stopping: CancellationToken,
}

/// Opens the ledger, loads the secret, and puts the parts together. Nothing is sold yet.
pub(super) async fn assemble(config: Config, access: AccessLog) -> Result<App, String> {
    let provider = provider()?;
    let metrics = Arc::new(Metrics::new().map_err(|error| error.to_string())?);
    let (ledger, secrets) = open_ledger(&config, &metrics, &provider).await?;
    let ledger = Arc::new(ledger.with_challenge_rows(config.detects_payments));
    let ring = KeyRing::new(&secrets, config.lnd.network.name());
    let ring = Arc::new(ring.ok_or("there is no master secret")?);
    let node = node(&config, &metrics, &provider);
    let terms = SaleTerms::of(&config);
    let catalogue = Arc::new(catalogue(config, &metrics, &provider, &ring)?);
    for said in sold::unredeemable(&ledger, &catalogue.services, terms.detects_payments).await {
        tracing::warn!("{said}");
    }
    Ok(Ground { catalogue, ring, ledger, node, metrics }.rooms(terms, Arc::new(access)))
}

/// What all rooms share.
struct Ground {
    catalogue: Arc<Catalogue>,
    ring: Arc<KeyRing>,
    ledger: Arc<Ledger>,
    node: Arc<Lnd>,
    metrics: Arc<Metrics>,
}

impl Ground {
    /// Each room gets what it needs.
    fn rooms(self, terms: SaleTerms, access: Arc<AccessLog>) -> App {
        let Self { catalogue, ring, ledger, node, metrics } = self;
        let shared = || (Arc::clone(&catalogue), Arc::clone(&ring), Arc::clone(&ledger));
        let (stopping, dyn_node) = (CancellationToken::new(), Arc::clone(&node) as Arc<dyn Node>);
        let unpaid = UnpaidLimit::new(terms.unpaid_per_client, terms.unpaid_total, terms.expiry);
        let unpaid = Arc::new(unpaid);
        let freed = Arc::clone(&unpaid);
        // A ticket that is verified as paid counts as unpaid no more.
        let on_paid = move |hash: &PaymentHash| freed.redeemed(hash, Instant::now());
        let tickets = Arc::new(Tickets::new(Arc::clone(&ring), on_paid));
        let payments = terms.detects_payments.then(|| {
            let ((catalogue, _, ledger), node) = (shared(), Arc::clone(&dyn_node));
            Arc::new(Payments::new(catalogue, ledger, node, terms.node_name))
        });
        let redeem = {
            let (catalogue, ring, ledger) = shared();
            let stopping = stopping.clone();
            Arc::new(Redeem::new(catalogue, ring, ledger, terms.redemptions_max, stopping))
        };
        let sale = {
            let ((catalogue, ring, ledger), payments) = (shared(), payments.clone());
            let ahead = terms.mint_ahead;
            Arc::new(Sale::new(catalogue, ring, ledger, dyn_node, payments, unpaid, ahead))
        };
        let status = payments.clone().map(|payments| {
            let ((catalogue, ring, ledger), tickets) = (shared(), Arc::clone(&tickets));
            let stopping = stopping.clone();
            Arc::new(Status::new(catalogue, tickets, ring, ledger, payments, stopping))
        });
        let recorder = Recorder { metrics: Arc::clone(&metrics), access: Arc::clone(&access) };
        let gate = Arc::new(Gate::new(
            Arc::clone(&catalogue),
            tickets,
            payments.clone(),
            Arc::clone(&redeem),
            Arc::clone(&sale),
            status,
            recorder,
        ));
        App {
            catalogue,
            ring,
            ledger,
            node,
            payments,
            redeem,
            sale,
            gate,
            metrics,
            access,
            stopping,
        }
    }
}

/// What the config says of sales.
struct SaleTerms {
    detects_payments: bool,
    node_name: Arc<str>,
    redemptions_max: usize,
    unpaid_per_client: usize,
    unpaid_total: usize,
    expiry: Duration,
    mint_ahead: usize,
}

impl SaleTerms {
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

fn node(config: &Config, metrics: &Arc<Metrics>, provider: &Arc<CryptoProvider>) -> Arc<Lnd> {
    let observed = Arc::clone(metrics);
    let observe = move |took: Duration, result: Result<(), &Trouble>| {
        let [worked, failed] = &observed.node_calls;
        if result.is_ok() { worked } else { failed }.observe(took.as_secs_f64());
    };
    Arc::new(Lnd::new(config.lnd.clone(), Arc::clone(provider), Box::new(observe)))
}

fn catalogue(
    config: Config,
    metrics: &Metrics,
    provider: &Arc<CryptoProvider>,
    ring: &KeyRing,
) -> Result<Catalogue, String> {
    let times = TicketTimes {
        invoice_expiry: config.invoice_expiry,
        lifetime: config.tickets.lifetime,
        longest_life: longest_life(&config),
        replay: config.tickets.replay,
        wait: config.tickets.wait,
    };
    let connections_max = config.limits.redemptions;
    let services = config.services.into_iter().enumerate();
    let services = services.map(|(index, written)| {
        service(written, metrics, provider, ring, connections_max, index).map(Arc::new)
    });
    Ok(Catalogue {
        services: services.collect::<Result<_, _>>()?,
        public_url: config.listen.public_url,
        limits: Limits {
            body: config.limits.body,
            body_time: BODY_TIME_MAX,
            stored_answer: config.limits.stored_answer,
            trusted_proxies: config.limits.trusted_proxies,
        },
        times,
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

/// The place that a service's requests are sent to, under a key.
fn place(written: &Written, upstream: &Upstream, keys: &Keys) -> Place {
    let target = &upstream.target;
    let scheme = if target.tls.is_some() { "https" } else { "http" };
    let (port, key) = (target.port.to_string(), written.key.as_ref().map(KeyPlace::text));
    let uri = upstream.uri.to_string();
    let mut parts: Vec<&[u8]> =
        vec![scheme.as_bytes(), target.host.as_bytes(), port.as_bytes(), uri.as_bytes()];
    for (name, value) in &upstream.headers {
        parts.extend([name.as_str().as_bytes(), value.as_bytes()]);
    }
    parts.extend(key.as_ref().map(|key| key.as_bytes()));
    Place::of(keys.place_key(), &parts)
}

fn service(
    written: Written,
    metrics: &Metrics,
    provider: &Arc<CryptoProvider>,
    ring: &KeyRing,
    most: usize,
    index: usize,
) -> Result<Service, String> {
    let upstream = Arc::new(upstream(&written, provider, most)?);
    let places = ring.all().map(|keys| place(&written, &upstream, keys)).collect();
    let offer = match written.ticket {
        Ticket::Free => None,
        Ticket::Paid { kind, price, rules, without_preimage } => {
            let content_type = Some(rules.content_type())
                .filter(|media| !media.is_empty())
                .map(HeaderValue::from_str)
                .transpose();
            Some(Offer {
                kind,
                content_type: content_type.map_err(|error| error.to_string())?,
                price,
                rules,
                memo: written.memo,
                without_preimage,
                forward_headers: written.forward_headers,
            })
        }
    };
    Ok(Service {
        index,
        metrics: metrics.service(&written.name),
        name: written.name,
        formerly: written.formerly,
        former_addresses: written.former_addresses,
        address: format!("{} {}", written.method, written.path).into(),
        places,
        reference: written.reference,
        title: written.title,
        method: written.method,
        path: written.path,
        host: written.host,
        offer,
        upstream,
        meaning: written.meaning,
        key: written.key,
        remembered: written.remembered,
        lookup: written.lookup,
        reuse: written.reuse,
    })
}

/// The backend of a service, with at most `most` connections to it; `Err` names the service.
pub fn upstream(
    written: &Written,
    provider: &Arc<CryptoProvider>,
    most: usize,
) -> Result<Upstream, String> {
    let fault = |what: &str| format!("service `{}`: `upstream`: {what}", written.name);
    let authority = written.upstream.authority().ok_or_else(|| fault("names no host"))?;
    let is_tls = written.upstream.scheme_str() == Some("https");
    let tls = if is_tls { Some(client_tls(written, provider)?) } else { None };
    let path = written.upstream.path_and_query().map_or("/", |path| path.as_str());
    let mut path = path.to_owned();
    if !written.upstream_query.is_empty() {
        let pairs =
            written.upstream_query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let more = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(&more);
    }
    let uri: Uri = path.parse().map_err(|_| fault("has a path that can't be asked for"))?;
    let secrets = written
        .upstream_headers
        .iter()
        .filter_map(|(_, value)| value.to_str().ok())
        .flat_map(secret_texts);
    let secrets = secrets.chain(uri.query().into_iter().flat_map(|query| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(_, value)| value.to_owned())
            .filter(|value| value.len() > 3)
    }));
    let secrets = secrets.chain(
        written
            .upstream_query
            .iter()
            .map(|(_, value)| value.to_string())
            .filter(|value| value.len() > 3),
    );
    Ok(Upstream {
        fixed_names: written.fixed_names.clone(),
        target: Target {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|error| fault(&error.to_string()))?,
            tls,
        },
        secrets: secrets.collect(),
        uri,
        headers: written.upstream_headers.clone(),
        timeout: written.timeout,
        pool: Pool::default(),
        places: Places::new(most),
        health: Health::new(&written.name),
    })
}

/// A header's value, and its parts: `Basic dXNlcjpwYXNz` is also `dXNlcjpwYXNz`, `user:pass` and
/// `pass`.
fn secret_texts(value: &str) -> Vec<String> {
    let mut texts = vec![value.to_owned()];
    for part in value.split_whitespace().skip(1) {
        texts.push(part.to_owned());
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(part)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(decoded) = decoded {
            texts.extend(decoded.split_once(':').map(|(_, password)| password.to_owned()));
            texts.insert(0, decoded);
        }
    }
    texts.retain(|text| text.len() > 3);
    texts
}
