//! What the operator wrote, made safe: checked, typed, immutable. Nothing is opened or bound by
//! reading it. A section has a file of its own: its keys as they are written, their defaults, and
//! what is checked.

mod acme;
mod error;
mod file_path;
mod fixed;
mod for_tickets;
mod hash;
mod held;
mod ledger;
mod limits;
mod listen;
mod lnd;
mod log;
mod ops;
mod own_addresses;
mod pages;
mod rate;
mod readable;
pub mod secret;
mod service;
mod socket_address;
mod tickets;
mod units;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

pub use self::acme::AcmeOrder;
pub use self::error::ConfigError;
use self::error::Reporter;
use self::file_path::FilePath;
pub use self::fixed::FixedKeys;
pub use self::for_tickets::LedgerConfig;
pub use self::held::Held;
pub use self::ledger::LedgerPlace;
pub use self::limits::Limits;
pub use self::listen::{CertificateSource, Listen};
pub use self::log::LogSettings;
pub use self::ops::OpsSettings;
pub use self::tickets::TicketSettings;
use crate::answer::page_settings::PageSettings;
use crate::lightning::lnd::LndSettings;
use crate::rate::CurrentRate;
use crate::service::ServiceSpec;

/// Everything that a `serve` needs to know.
pub struct Config {
    /// Where the config was read from.
    pub path: PathBuf,
    /// The listener for payers.
    pub listen: Listen,
    /// The listener for operators.
    pub ops: OpsSettings,
    /// The node.
    pub lnd: LndSettings,
    /// How long an invoice can be paid.
    pub invoice_expiry: Duration,
    /// Most invoices that are made ahead for each service.
    pub mint_ahead: usize,
    /// Whether the node is asked for payments.
    pub detects_payments: bool,
    /// Where tickets are recorded.
    pub ledger: LedgerPlace,
    /// What tickets are made of and how long they live.
    pub tickets: TicketSettings,
    /// Bounds on what strangers can use up.
    pub limits: Limits,
    /// How log lines look, and which are written.
    pub log: LogSettings,
    /// What people see in a browser.
    pub pages: PageSettings,
    /// What a bitcoin costs, for prices in another currency.
    pub rate: Option<Arc<CurrentRate>>,
    /// What is sold, and what is free.
    pub services: Vec<ServiceSpec>,
    /// A number made of what it says of services, limits and pages: that of instances on one ledger
    /// should be the same.
    pub hash: u64,
    /// Files with secrets that every user of the machine may read.
    pub readable_secrets: Vec<PathBuf>,
}

/// The whole file, as it is written. Unknown keys are refused, here and in each section.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    state_dir: Option<FilePath>,
    listen: listen::Written,
    #[serde(default)]
    ops: ops::Written,
    lnd: lnd::Written,
    #[serde(default)]
    ledger: ledger::Written,
    #[serde(default)]
    tickets: tickets::Written,
    #[serde(default)]
    limits: limits::Written,
    #[serde(default)]
    log: log::Written,
    #[serde(default)]
    pages: pages::Written,
    rate: Option<rate::Written>,
    #[serde(default)]
    service: Vec<Spanned<service::Written>>,
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &error::read(path)?)
    }

    /// Checks a config's text. `path` is for messages, and its folder for relative paths.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let report = Reporter { path, text };
        let written: Written = toml::from_str(text).map_err(|error| report.toml(&error))?;
        let folder = folder(path);
        let state_dir = state_dir(folder, written.state_dir);
        let listen = written.listen.check(&report, folder, &state_dir)?;
        let tickets = written.tickets.check(&report, state_dir.clone())?;
        let detects_payments = written.lnd.detect_payments;
        let rate = written.rate.map(|rate| rate.check(&report)).transpose()?;
        let rate = rate.map(|settings| Arc::new(CurrentRate::new(settings)));
        let shared = service::Shared {
            folder,
            public_url: listen.public_url.as_deref(),
            lifetime: tickets.lifetime,
            detects_payments,
            rate: rate.as_ref(),
        };
        let services = service::check_all(&report, &shared, written.service)?;
        let readable_secrets = readable::readable_by_all(text, folder, &state_dir);
        let ops = written.ops.check(&report, folder)?;
        own_addresses::check(&report, &listen, &ops, &services)?;
        Ok(Self {
            path: path.to_owned(),
            hash: hash::of(text),
            listen,
            ops,
            readable_secrets,
            invoice_expiry: written.lnd.invoice_expiry(&report)?,
            mint_ahead: written.lnd.mint_ahead(&report)?,
            detects_payments,
            lnd: written.lnd.node(&report, folder)?,
            ledger: written.ledger.check(&report, folder, &state_dir)?,
            tickets,
            limits: written.limits.check(&report)?,
            log: written.log.check(&report)?,
            pages: written.pages.check(&report, folder)?,
            services,
            rate,
        })
    }

    /// How long a ticket of any of the services may be worth something, after its invoice could be
    /// paid.
    pub fn longest_life(&self) -> Duration {
        let passes = self
            .services
            .iter()
            .filter_map(|service| service.offer.as_ref().and_then(|offer| offer.kind.pass_time()));
        passes.fold(self.tickets.lifetime, Duration::max)
    }
}

/// The folder that relative paths start at.
fn folder(config: &Path) -> &Path {
    match config.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn state_dir(folder: &Path, written: Option<FilePath>) -> PathBuf {
    match written {
        Some(path) => folder.join(path),
        None => PathBuf::from("/var/lib/farebox"),
    }
}

#[cfg(test)]
mod tests;
