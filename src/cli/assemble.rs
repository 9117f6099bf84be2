//! From the config to the parts, each with its own settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::crypto::CryptoProvider;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client_tls::{client_tls, provider};
use super::open_ledger::{SECRET_NOTE_INTERVAL, longest_life, open_ledger};
use super::sold;
use crate::cache::FifoCache;
use crate::config::{Config, Service as Written, Ticket};
use crate::gate::Gate;
use crate::keys::{KeyRing, Keys};
use crate::ledger::error::LedgerError;
use crate::ledger::state::FIRST_CLAIM_GRACE;
use crate::lightning::lnd::Lnd;
use crate::payment::stream::Payments;
use crate::place::Place;
use crate::record::access_log::AccessLog;
use crate::record::metrics::Metrics;
use crate::redeem::in_flight::InFlight;
use crate::sale::stock::Stocks;
use crate::sale::unpaid_limit::Unpaid;
use crate::service::times::TicketTimes;
use crate::service::{Catalogue, Limits, Offer, Service};
use crate::ticket::Tickets;
use crate::upstream::Upstream;
use crate::upstream::connect::Target;
use crate::upstream::health::Health;
use crate::upstream::places::Places;
use crate::upstream::pool::Pool;
use crate::upstream::request::KeyPlace;

/// Bytes of delivered answers that are kept in memory.
const RECENT_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Counted passes of which the number of used uses is remembered.
const RIDES_MAX: usize = 10_000;

/// Longest time for reading a request body.
const BODY_TIME_MAX: Duration = Duration::from_secs(20);

/// The parts of a running Farebox.
pub(super) struct Parts {
    pub(super) gate: Arc<Gate>,
    pub(super) node: Arc<Lnd>,
}

/// Opens the ledger, loads the secret, and puts the gate together. Nothing is sold yet.
pub(super) async fn assemble(config: Config, access: AccessLog) -> Result<Parts, String> {
    let provider = provider()?;
    let metrics = Arc::new(Metrics::new().map_err(|error| error.to_string())?);
    let (ledger, secrets) = open_ledger(&config, &metrics, &provider).await?;
    let longest_life = longest_life(&config);
    let ring = KeyRing::new(&secrets, config.lnd.network.name());
    let ring = Arc::new(ring.ok_or("there is no master secret")?);
    let observed = Arc::clone(&metrics);
    let node = Arc::new(Lnd::new(
        config.lnd.clone(),
        Arc::clone(&provider),
        Box::new(move |took, result| {
            let [worked, failed] = &observed.node_calls;
            if result.is_ok() { worked } else { failed }.observe(took.as_secs_f64());
        }),
    ));
    let most = config.limits.redemptions;
    let services = config.services.into_iter().enumerate();
    let services: Vec<Arc<Service>> = services
        .map(|(index, written)| {
            service(written, &metrics, &provider, &ring, most, index).map(Arc::new)
        })
        .collect::<Result<_, _>>()?;
    for said in sold::unredeemable(&ledger, &services, config.detects_payments).await {
        tracing::warn!("{said}");
    }
    let (limits, expiry) = (&config.limits, config.invoice_expiry);
    let catalogue = Catalogue {
        services,
        public_url: config.listen.public_url,
        limits: Limits {
            body: config.limits.body,
            body_time: BODY_TIME_MAX,
            stored_answer: config.limits.stored_answer,
            trusted_proxies: limits.trusted_proxies.clone(),
        },
        times: TicketTimes {
            invoice_expiry: config.invoice_expiry,
            lifetime: config.tickets.lifetime,
            longest_life,
            replay: config.tickets.replay,
            wait: config.tickets.wait,
        },
    };
    let unpaid = Arc::new(Unpaid::new(limits.unpaid_per_client, limits.unpaid_total, expiry));
    let freed = Arc::clone(&unpaid);
    // A ticket that is verified as paid counts as unpaid no more.
    let tickets = Tickets::new(Arc::clone(&ring), move |hash| freed.redeemed(hash, Instant::now()));
    let gate = Arc::new(Gate {
        ring,
        node: Arc::clone(&node) as _,
        ledger: ledger.with_challenge_rows(config.detects_payments),
        stocks: Stocks::new(&catalogue.services, config.mint_ahead, config.invoice_expiry),
        tickets,
        unpaid,
        recent: FifoCache::new(RECENT_MAX_BYTES),
        rides: FifoCache::new(RIDES_MAX),
        payments: config.detects_payments.then(|| {
            Payments::new(format!("{} {}", config.lnd.network, config.lnd.address).into())
        }),
        in_flight: InFlight::new(config.limits.redemptions),
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
        metrics,
        access,
        catalogue,
    });
    Ok(Parts { gate, node })
}

/// Tells the ledger, ahead of the challenges of the next hour and a half, that tickets of the
/// minting secret will be about.
pub(super) async fn note_secret(gate: &Gate) -> Result<(), LedgerError> {
    let times = &gate.catalogue.times;
    let until = gate
        .ledger
        .now()
        .later()
        .plus(times.invoice_expiry)
        .plus(times.longest_life)
        .plus(FIRST_CLAIM_GRACE)
        .plus(SECRET_NOTE_INTERVAL * 3 / 2);
    gate.ledger.note_secret(gate.ring.minting().fingerprint(), until).await
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
pub(super) fn upstream(
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
