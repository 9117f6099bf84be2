//! `farebox check`: reads the config and tries each part, with a line for each and what to do about
//! a failure.

mod account;
pub(crate) mod live;
mod node;
mod ports;
mod price;
mod report;
pub(super) mod send;
pub(super) mod unit;
mod unit_file;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::geteuid;
use zeroize::Zeroizing;

use self::report::Report;
use self::send::Sending;
use crate::app::advice::advice;
use crate::app::sold::{self, Redeems};
use crate::app::{log, master_secret, open_ledger};
use crate::cli::failure::Failure;
use crate::config::secret::SecretSource;
use crate::config::{CertificateSource, Config, LedgerPlace};
use crate::keys::{Keys, MasterSecret};
use crate::ledger::postgres::{self, KnownSecrets, PostgresError};
use crate::ledger::sold_on;
use crate::ledger::sqlite::error::OpenError;
use crate::ledger::sqlite::{SqliteLedger, Summary};
use crate::listen::tls::{Certificate, CertificateFiles};
use crate::service::ServiceSpec;
use crate::time::UnixTime;
use crate::tls::{self, TlsError};
use crate::upstream::Upstream;
use crate::upstream::connect::CONNECT_MAX;

/// `asking` is a macaroon that may ask the node about itself, if the one that mints may not.
pub(super) async fn run(
    path: &Path,
    asking: Option<&Path>,
    sending: Option<Sending>,
) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    if geteuid().is_root() {
        report.note(
            "user",
            "this is root, who may read and write what the user that runs `serve` may not: run it \
             as that user, or by `--unit` as farebox.service does",
        );
    }
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(error) => {
            report.failed("config", error);
            return Ok(report.end());
        }
    };
    report.ok("config", format!("{}: {} service(s)", path.display(), config.services.len()));
    // First, since some advice is by it.
    price::rate(&mut report, &config).await;
    for (part, what) in advice(&config) {
        report.note(&part, what);
    }
    pages(&mut report, &config);
    if let Err(error) = log::variable() {
        report.failed("log", error);
    }
    certificate(&mut report, &config);
    ports::check(&mut report, &config).await;
    node::check(&mut report, &config, asking).await;
    ledger(&mut report, &config).await;
    secret(&mut report, &config);
    for service in &config.services {
        upstream(&mut report, &config, service).await;
    }
    match sending {
        Some(sending) => send::check(&mut report, config, &sending).await,
        None if config.services.iter().any(|service| service.offer.is_some()) => report.note(
            "send",
            "whether a backend takes what it is sent isn't tried: `check --send FILE` sends one \
             real request",
        ),
        None => {}
    }
    Ok(report.end())
}

fn pages(report: &mut Report, config: &Config) {
    let sells = config.services.iter().any(|service| service.offer.is_some());
    if !config.pages.is_enabled || !sells {
        return;
    }
    if config.detects_payments {
        report.ok("pages", "people can buy at /, and their payments are noticed");
    } else {
        report.note(
            "pages",
            "people can buy at /, and have to copy the preimage from their wallet, which not all \
             wallets show: `detect_payments = true` in [lnd] has the page notice the payment by \
             itself (the macaroon then has to read invoices)",
        );
    }
}

fn read_certificate(certificate: &Path, key: &Path) -> Result<Certificate, TlsError> {
    let files = CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() };
    Certificate::read(&files, &tls::provider())
}

fn certificate(report: &mut Report, config: &Config) {
    match &config.listen.tls {
        None => report.note(
            "certificate",
            "`plain_http = true`: something in front has to end \
                                            TLS, or payers' tickets travel in the open",
        ),
        Some(CertificateSource::Acme(order)) => report.note(
            "certificate",
            format!(
                "{} is to issue one for {}: `serve` orders it, which is not tried here",
                order.directory,
                order.domains.join(", ")
            ),
        ),
        Some(CertificateSource::Files { certificate, key }) => {
            match read_certificate(certificate, key) {
                Ok(_) => report.ok(
                    "certificate",
                    format!("{} and its key belong together", certificate.display()),
                ),
                Err(error) => report.failed("certificate", error),
            }
        }
    }
}

async fn ledger(report: &mut Report, config: &Config) {
    let path = match &config.ledger {
        LedgerPlace::Sqlite(path) => path,
        LedgerPlace::Postgres { url, ca } => {
            match postgres_ledger(config, url, ca.as_deref()).await {
                Ok(said) => report.ok("ledger", said),
                Err(what) => report.failed("ledger", what),
            }
            return;
        }
    };
    sqlite_ledger(report, config, path);
    match writable(path) {
        Ok(()) => report.ok("state", "the ledger's folder can be written by this user"),
        Err(error) => report.failed(
            "state",
            format!("{error}; run this as the user that runs `serve`, or correct `state_dir`"),
        ),
    }
}

async fn postgres_ledger(
    config: &Config,
    url: &Zeroizing<String>,
    ca: Option<&Path>,
) -> Result<String, String> {
    let tls = tls::client_config("ledger.postgres_ca", ca, &tls::provider());
    let tls = Arc::new(tls.map_err(|error| error.to_string())?);
    // Without it `serve` doesn't start: that is told of the secret.
    let loaded = master_secret::load(&config.tickets, &[], None).ok();
    let fingerprint = |secret: &MasterSecret| *Keys::derive(secret, "").fingerprint().as_bytes();
    let secrets = loaded.map(|loaded| KnownSecrets {
        fingerprints: loaded.secrets.iter().map(fingerprint).collect(),
        ledgers: loaded.ledgers,
    });
    let looked = postgres::look(url, &tls, secrets.as_ref(), config.lnd.network.name()).await;
    looked.map_err(|error| match error {
        PostgresError::Unusable(what) => what,
        PostgresError::Unavailable(what) => {
            format!("{what}; is it there, and is `ledger.postgres` right?")
        }
    })
}

fn sqlite_ledger(report: &mut Report, config: &Config, path: &Path) {
    if let Err(error) = open_ledger::fits(&config.tickets, path) {
        return report.failed("ledger", error);
    }
    let now = config.lnd.network.name();
    match SqliteLedger::inspect(path) {
        Ok(Some(Summary { is_copy: true, .. })) => {
            report.failed("ledger", OpenError::Copy(path.to_owned()));
        }
        Ok(Some(Summary { sold_on: Some(found), .. })) if found != now => {
            report.failed("ledger", sold_on::refusal(&found, now, sold_on::FILE_ASIDE));
        }
        Ok(Some(summary)) => {
            report.ok(
                "ledger",
                format!(
                    "{}: {} ticket(s), {} parked",
                    path.display(),
                    summary.tickets,
                    summary.parked
                ),
            );
            let owed = summary.owed.filter(|_| config.detects_payments);
            let services = redeems(config);
            let told = sold::sentences(&summary.sold, &services, owed.as_deref(), UnixTime::now());
            for said in told {
                report.note("ledger", said);
            }
        }
        Ok(None) => {
            report.note("ledger", format!("{} will be made at the first start", path.display()))
        }
        Err(error @ OpenError::OtherLayout { .. }) => report.failed("ledger", error),
        Err(error) => report.failed(
            "ledger",
            format!("{error}; is it a Farebox ledger, and may this user read it?"),
        ),
    }
}

fn redeems(config: &Config) -> Vec<Redeems> {
    config.services.iter().filter_map(Redeems::of).collect()
}

/// Tries the folder, not the ledger: that one belongs to `serve`.
fn writable(ledger: &Path) -> Result<(), String> {
    if ledger.exists() {
        let opened = std::fs::OpenOptions::new().append(true).open(ledger);
        opened.map_err(|error| format!("{}: {error}", ledger.display()))?;
    }
    let folder = ledger.parent().unwrap_or(Path::new("."));
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let probe = existing.join(format!(".farebox-check-{}", std::process::id()));
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    written.map_err(|error| format!("{}: {error}", existing.display()))?;
    std::fs::remove_file(&probe).map_err(|error| format!("{}: {error}", probe.display()))
}

fn secret(report: &mut Report, config: &Config) {
    let missing_file = match &config.tickets.master_secret {
        SecretSource::File(path) => !config.tickets.state_dir.join(path).exists(),
        SecretSource::Env(_) => false,
    };
    let in_use = match &config.ledger {
        LedgerPlace::Sqlite(path) if missing_file && !path.exists() => {
            return report.note(
                "secret",
                "the master secret will be made at the first start; back it up with the ledger",
            );
        }
        LedgerPlace::Sqlite(path) => SqliteLedger::secrets_needed(path).unwrap_or_default(),
        // Compared where the ledger is looked at.
        LedgerPlace::Postgres { .. } => Vec::new(),
    };
    match master_secret::load(&config.tickets, &in_use, None) {
        Ok(loaded) => report.ok(
            "secret",
            format!(
                "{} master secret(s), and none that is needed is missing",
                loaded.secrets.len()
            ),
        ),
        Err(error) => report.failed("secret", error),
    }
}

async fn upstream(report: &mut Report, config: &Config, service: &ServiceSpec) {
    let part = format!("service {}", service.name);
    if let Some(offer) = service.offer.as_ref().or(service.shadow.as_ref()) {
        price::check(report, &part, offer);
    }
    let upstream = match Upstream::new(&service.backend, &service.name, &tls::provider(), 1) {
        Ok(upstream) => upstream,
        Err(error) => return report.failed(&part, error),
    };
    if let Some(key) = ports::own_listener(config, service).await {
        let what = format!("its `upstream` leads to Farebox itself (`{key}`)");
        return report.failed(&part, what);
    }
    let place = format!("{}:{}", upstream.target.host, upstream.target.port);
    match upstream.target.try_connect(CONNECT_MAX).await {
        Ok(_) => {
            report.ok(&part, format!("its upstream at {place} takes connections"));
            if let Some(asks) = service.mapping.as_ref().and_then(|one| one.account.as_ref()) {
                account::check(report, &part, &upstream, asks).await;
            }
        }
        Err(error) => report.failed(
            &part,
            format!("its upstream at {place}: {error}; start it, or correct `upstream`"),
        ),
    }
}
