//! What `tickets` and `ledger` need of a config.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Reporter};
use super::{
    LedgerPlace, OPS_DEFAULT, Tickets, file, folder, ledger, socket_address, state_dir, tickets,
};

/// What `tickets` and `ledger` need to know: nothing of services and their secrets.
pub struct LedgerConfig {
    path: PathBuf,
    text: String,
    /// The listener for operators.
    pub ops: SocketAddr,
    /// What tickets are made of and how long they live.
    pub tickets: Tickets,
    /// Whether the node is asked for payments.
    pub detects_payments: bool,
    state_dir: PathBuf,
    ledger: file::Ledger,
}

impl LedgerConfig {
    /// Reads and checks these parts of a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Reporter { path, text: "" }.whole(format!("can't read the config: {error}"))
        })?;
        let report = Reporter { path, text: &text };
        let file: file::LedgerFile = toml::from_str(&text).map_err(|error| report.toml(&error))?;
        let state_dir = state_dir(folder(path), file.state_dir);
        let ops = match &file.ops.address {
            Some(address) => socket_address(&report, "ops.address", address)?,
            None => OPS_DEFAULT,
        };
        let tickets = tickets(&report, state_dir.clone(), file.tickets)?;
        let (detects_payments, ledger) = (file.lnd.detect_payments, file.ledger);
        let path = path.to_owned();
        Ok(Self { path, text, ops, tickets, detects_payments, state_dir, ledger })
    }

    /// Where tickets are recorded. Only this reads the database's password.
    pub fn place(self) -> Result<LedgerPlace, ConfigError> {
        let report = Reporter { path: &self.path, text: &self.text };
        ledger(&report, folder(&self.path), &self.state_dir, self.ledger)
    }
}
