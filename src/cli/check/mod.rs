//! `farebox check`: reads the config and tries each part, with a line for each and what to do about
//! a failure.

mod node;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::app::sold::{self, Redeems};
use crate::app::{assemble, client_tls, master_secret, open_ledger};
use crate::config::{Config, LedgerPlace, Service, Ticket};
use crate::ledger::postgres;
use crate::ledger::sqlite::error::OpenError;
use crate::ledger::sqlite::{SqliteLedger, Summary};
use crate::listen::tls;
use crate::time::UnixTime;
use crate::upstream::CONNECT_LIMIT;

/// Some clients refuse to pay more than this unless they are told to.
const CLIENTS_PAY: u64 = 1000;

/// `asking` is a macaroon that may ask the node about itself, if the one that mints may not.
pub(super) async fn run(path: &Path, asking: Option<&Path>) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(error) => {
            report.failed("config", error);
            return Ok(report.end());
        }
    };
    report.ok("config", format!("{}: {} service(s)", path.display(), config.services.len()));
    certificate(&mut report, &config)?;
    node::check(&mut report, &config, asking).await?;
    ledger(&mut report, &config).await?;
    secret(&mut report, &config);
    for service in &config.services {
        upstream(&mut report, service).await?;
    }
    Ok(report.end())
}

struct Report {
    failed: usize,
}

impl Report {
    fn ok(&mut self, part: &str, what: impl std::fmt::Display) {
        println!("ok       {part}: {what}");
    }

    fn note(&mut self, part: &str, what: impl std::fmt::Display) {
        println!("note     {part}: {what}");
    }

    fn failed(&mut self, part: &str, what: impl std::fmt::Display) {
        self.failed += 1;
        println!("FAILED   {part}: {what}");
    }

    fn end(self) -> ExitCode {
        match self.failed {
            0 => {
                println!("All is well.");
                ExitCode::SUCCESS
            }
            failed => {
                println!("{failed} part(s) failed.");
                ExitCode::FAILURE
            }
        }
    }
}

fn certificate(report: &mut Report, config: &Config) -> Result<(), String> {
    match &config.listen.tls {
        None => report.note(
            "certificate",
            "`plain_http = true`: something in front has to end \
                                            TLS, or payers' tickets travel in the open",
        ),
        Some((certificate, key)) => {
            match tls::server_config(certificate, key, client_tls::provider()?) {
                Ok(_) => report.ok(
                    "certificate",
                    format!("{} and its key belong together", certificate.display()),
                ),
                Err(error) => report.failed("certificate", error),
            }
        }
    }
    Ok(())
}

async fn ledger(report: &mut Report, config: &Config) -> Result<(), String> {
    let path = match &config.ledger {
        LedgerPlace::Sqlite(path) => path,
        LedgerPlace::Postgres { url, ca } => {
            let tls = client_tls::client_config(
                "ledger.postgres_ca",
                ca.as_deref(),
                &client_tls::provider()?,
            )?;
            match postgres::look(url, &tls).await {
                Ok(said) => report.ok("ledger", said),
                Err(error) => report.failed(
                    "ledger",
                    format!(
                        "{error}; is `ledger.postgres` right, and may \
                                                     this user make a schema there?"
                    ),
                ),
            }
            return Ok(());
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
    Ok(())
}

fn sqlite_ledger(report: &mut Report, config: &Config, path: &Path) {
    if let Err(error) = open_ledger::fits(&config.tickets, path) {
        return report.failed("ledger", error);
    }
    match SqliteLedger::inspect(path) {
        Ok(Some(Summary { is_copy: true, .. })) => {
            report.failed("ledger", OpenError::Copy(path.to_owned()));
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
            let now = UnixTime::now();
            for said in sold::sentences(&summary.sold, &redeems(config), owed.as_deref(), now) {
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
    let paid = |service: &Service| {
        let Ticket::Paid { kind, .. } = &service.ticket else { return None };
        let address = (&service.method, service.path.as_str());
        let (names, former) = (&service.formerly, &service.former_addresses);
        Some(Redeems::new(&service.name, names, address, former, kind.is_pass()))
    };
    config.services.iter().filter_map(paid).collect()
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
        crate::config::secret::Source::File(path) => !config.tickets.state_dir.join(path).exists(),
        crate::config::secret::Source::Env(_) => false,
    };
    let in_use = match &config.ledger {
        LedgerPlace::Sqlite(path) if missing_file && !path.exists() => {
            return report.note(
                "secret",
                "the master secret will be made at the first start; back it up with the ledger",
            );
        }
        LedgerPlace::Sqlite(path) => SqliteLedger::secrets_needed(path).unwrap_or_default(),
        // `serve` compares them when it connects.
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

async fn upstream(report: &mut Report, service: &Service) -> Result<(), String> {
    let part = format!("service {}", service.name);
    if let Ticket::Paid { price, .. } = &service.ticket
        && price.sat() > CLIENTS_PAY
    {
        report.note(
            &part,
            format!(
                "{price}: several clients pay no more than {CLIENTS_PAY} sat \
                                    unless they are told to"
            ),
        );
    }
    let upstream = match assemble::upstream(service, &client_tls::provider()?, 1) {
        Ok(upstream) => Arc::new(upstream),
        Err(error) => {
            report.failed(&part, error);
            return Ok(());
        }
    };
    let place = format!("{}:{}", upstream.target.host, upstream.target.port);
    match upstream.target.connect(CONNECT_LIMIT).await {
        Ok(_) => report.ok(&part, format!("its upstream at {place} takes connections")),
        Err(error) => report.failed(
            &part,
            format!("its upstream at {place}: {error}; start it, or correct `upstream`"),
        ),
    }
    Ok(())
}
