//! What `farebox tickets` and `farebox ledger` need of a config: nothing of services and their
//! secrets.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::{ConfigError, Reporter, read};
use super::file_path::FilePath;
use super::ledger::LedgerPlace;
use super::ops::OpsSettings;
use super::tickets::TicketSettings;
use super::{folder, ledger, ops, state_dir, tickets};

/// These parts of the file, as they are written.
#[derive(Deserialize)]
struct Written {
    state_dir: Option<FilePath>,
    #[serde(default)]
    ops: ops::Written,
    #[serde(default)]
    lnd: DetectsPayments,
    #[serde(default)]
    ledger: ledger::Written,
    #[serde(default)]
    tickets: tickets::Written,
}

#[derive(Deserialize, Default)]
struct DetectsPayments {
    #[serde(default)]
    detect_payments: bool,
}

/// These parts, checked.
pub struct LedgerConfig {
    path: PathBuf,
    text: String,
    /// The listener for operators.
    pub ops: OpsSettings,
    /// What tickets are made of and how long they live.
    pub tickets: TicketSettings,
    /// Whether the node is asked for payments.
    pub detects_payments: bool,
    state_dir: PathBuf,
    ledger: ledger::Written,
}

impl LedgerConfig {
    /// Reads and checks these parts of a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let report = Reporter { path, text: &text };
        let written: Written = toml::from_str(&text).map_err(|error| report.toml(&error))?;
        let state_dir = state_dir(folder(path), written.state_dir);
        let ops = written.ops.check(&report, folder(path))?;
        let tickets = written.tickets.check(&report, state_dir.clone())?;
        let (detects_payments, ledger) = (written.lnd.detect_payments, written.ledger);
        let path = path.to_owned();
        Ok(Self { path, text, ops, tickets, detects_payments, state_dir, ledger })
    }

    /// Where tickets are recorded. Only this reads the database's password.
    pub fn place(self) -> Result<LedgerPlace, ConfigError> {
        let report = Reporter { path: &self.path, text: &self.text };
        self.ledger.check(&report, folder(&self.path), &self.state_dir)
    }
}
