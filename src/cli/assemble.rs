//! From the config to the parts, each with its own settings.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::master_secret;
use crate::cache::FifoCache;
use crate::config::{Config, LedgerPlace, Service as Written, Ticket};
use crate::gate::Gate;
use crate::gate::guard::Unpaid;
use crate::gate::in_flight::InFlight;
use crate::gate::payments::Payments;
use crate::gate::stock::Stocks;
use crate::keys::{KeyRing, Keys, MasterSecret};
use crate::ledger::Ledger;
use crate::ledger::error::LedgerError;
use crate::ledger::journal::Journal;
use crate::ledger::postgres::{PostgresLedger, SecretTerms};
use crate::ledger::revoked::Revoked;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::store::{LedgerStore as _, Terms};
use crate::lightning::lnd::Lnd;
use crate::record::access_log::AccessLog;
use crate::record::metrics::Metrics;
use crate::service::times::TicketTimes;
use crate::service::{Catalogue, Limits, Offer, Service, TicketKind};
use crate::ticket::Tickets;
use crate::time::UnixTime;
use crate::upstream::Upstream;
use crate::upstream::connect::Target;
use crate::upstream::health::Health;
use crate::upstream::places::Places;
use crate::upstream::pool::Pool;

/// Bytes of delivered answers that are kept in memory.
const RECENT_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Counted passes of which the number of used uses is remembered.
const RIDES_MAX: usize = 10_000;

/// Longest time for reading a request body.
const BODY_TIME_MAX: Duration = Duration::from_secs(20);

/// How often the ledger is told that the minting secret is still needed.
pub(super) const SECRET_NOTE_INTERVAL: Duration = Duration::from_secs(3600);

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
    let services = services
        .map(|(index, written)| service(written, &metrics, &provider, most, index).map(Arc::new))
        .collect::<Result<_, _>>()?;
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
        ledger,
        stocks: Stocks::new(&catalogue.services, config.mint_ahead, config.invoice_expiry),
        tickets,
        unpaid,
        recent: FifoCache::new(RECENT_MAX_BYTES),
        revoked: Revoked::default(),
        rides: FifoCache::new(RIDES_MAX),
        journal: Journal::new(config.detects_payments),
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

/// How long a ticket of any of the services may be worth something, after its invoice could be
/// paid.
fn longest_life(config: &Config) -> Duration {
    let passes = config.services.iter().filter_map(|service| match &service.ticket {
        Ticket::Paid { kind: TicketKind::Pass { time, .. }, .. } => Some(*time),
        _ => None,
    });
    passes.fold(config.tickets.lifetime, Duration::max)
}

/// Tells the ledger, ahead of the challenges of the next hour and a half, that tickets of the
/// minting secret will be about.
pub(super) async fn note_secret(gate: &Gate) -> Result<(), LedgerError> {
    let times = &gate.catalogue.times;
    let until = UnixTime::now()
        .plus(times.invoice_expiry)
        .plus(times.longest_life)
        .plus(SECRET_NOTE_INTERVAL * 3 / 2);
    gate.ledger.note_secret(gate.ring.minting().fingerprint(), until).await
}

/// The process-wide cryptography.
pub(super) fn provider() -> Result<Arc<CryptoProvider>, String> {
    CryptoProvider::get_default().cloned().ok_or_else(|| "there is no cryptography".to_owned())
}

/// Opens the ledger, and loads the master secrets that fit to it. The minting one is noted before
/// anything is sold.
async fn open_ledger(
    config: &Config,
    metrics: &Arc<Metrics>,
    provider: &Arc<CryptoProvider>,
) -> Result<(Ledger, Vec<MasterSecret>), String> {
    let observed = metrics.commit_seconds.clone();
    let observer = Box::new(move |took: Duration| observed.observe(took.as_secs_f64()));
    let terms = Terms { replay: config.tickets.replay };
    let needed_for = config.invoice_expiry + longest_life(config) + SECRET_NOTE_INTERVAL * 3 / 2;
    match &config.ledger {
        LedgerPlace::Sqlite(path) => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|error| {
                    format!("`state_dir`: {} can't be made: {error}", folder.display())
                })?;
            }
            let ledger = SqliteLedger::open(path, terms, observer)
                .map_err(|error| format!("ledger: {error}"))?;
            if ledger.parked_at_start() > 0 {
                tracing::warn!(
                    tickets = ledger.parked_at_start(),
                    "parked: the last run ended in the middle of their redemption"
                );
            }
            let now = UnixTime::now();
            let in_use = ledger.secrets_in_use(now).await.map_err(|error| error.to_string())?;
            let secrets = master_secret::load(&config.tickets, &in_use, true)?;
            if let Some(minting) = secrets.first() {
                let fingerprint = Keys::derive(minting, "").fingerprint();
                ledger
                    .note_secret(fingerprint, now.plus(needed_for))
                    .await
                    .map_err(|error| error.to_string())?;
            }
            Ok((Ledger::new(ledger), secrets))
        }
        LedgerPlace::Postgres { url, ca } => {
            // Never made here: all instances need the same.
            let secrets = master_secret::load(&config.tickets, &[], false)?;
            let known: Vec<[u8; 16]> = secrets
                .iter()
                .map(|secret| *Keys::derive(secret, "").fingerprint().as_bytes())
                .collect();
            let minting = known.first().copied().ok_or("there is no master secret")?;
            let tls = client_config("ledger.postgres_ca", ca.as_deref(), provider)?;
            let secret_terms = SecretTerms { known, minting, needed_for };
            let ledger = PostgresLedger::open(url, tls, terms, secret_terms, observer)
                .await
                .map_err(|why| format!("ledger: {why}"))?;
            Ok((Ledger::new(ledger), secrets))
        }
    }
}

fn service(
    written: Written,
    metrics: &Metrics,
    provider: &Arc<CryptoProvider>,
    most: usize,
    index: usize,
) -> Result<Service, String> {
    let upstream = Arc::new(upstream(&written, provider, most)?);
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
        title: written.title,
        method: written.method,
        path: written.path,
        host: written.host,
        offer,
        upstream,
        meaning: written.meaning,
        key: written.key,
        repeatable: written.repeatable,
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

/// https is always verified: against the operator's roots, or the system's.
fn client_tls(
    written: &Written,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, String> {
    let config = client_config("upstream_ca", written.upstream_ca.as_deref(), provider);
    let mut config = ClientConfig::clone(
        &*config.map_err(|what| format!("service `{}`: {what}", written.name))?,
    );
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// How servers are verified: against the roots in the file that `key` names, or the system's.
pub(super) fn client_config(
    key: &str,
    ca: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let fault = |what: String| format!("`{key}`: {}: {what}", path.display());
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let (added, _) = roots
                .add_parsable_certificates(certificates.map_err(|error| fault(error.to_string()))?);
            if added == 0 {
                return Err(fault("it holds no certificate".to_owned()));
            }
        }
        None => {
            let (added, _) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                tracing::warn!(
                    "the system has no root certificates: no TLS server can be verified; install \
                     ca-certificates, or set `{key}`"
                );
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
