//! What a running process holds on to, whatever its config says by now: what is read at a reload is
//! judged by it too.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::error::{ConfigError, Reporter, read};
use super::{Config, FixedKeys, own_addresses};
use crate::lightning::network::Network;

/// What holds until a restart.
#[derive(Clone)]
pub struct Held {
    /// Where payers reach it.
    pub gate: SocketAddr,
    /// Where operators do.
    pub ops: SocketAddr,
    /// How long an invoice can be paid.
    pub invoice_expiry: Duration,
    /// How long a delivered answer is given back.
    pub replay: Duration,
    /// The node's network.
    pub network: Network,
    /// Whether payments are heard of.
    pub detects_payments: bool,
}

impl Config {
    /// Reads and checks a file as a start would, and once more as it will hold in a process that
    /// goes on. The second part is what only a restart takes up, as it is written.
    pub fn read_again(path: &Path, held: &Held) -> Result<(Self, FixedKeys), ConfigError> {
        let text = read(path)?;
        let mut config = Self::parse(path, &text)?;
        let fixed = FixedKeys::of(&config);
        config.hold(held, &Reporter { path, text: &text })?;
        Ok((config, fixed))
    }

    fn hold(&mut self, held: &Held, report: &Reporter<'_>) -> Result<(), ConfigError> {
        self.listen.address = held.gate;
        self.ops.address = held.ops;
        self.invoice_expiry = held.invoice_expiry;
        self.tickets.replay = held.replay;
        self.lnd.network = held.network;
        self.detects_payments = held.detects_payments;
        if self.ops.token.is_none() && !held.ops.ip().is_loopback() {
            return Err(report.at_key(
                &["ops", "address"],
                format!(
                    "`ops.token` is asked for at {}, where operators are answered until a restart: \
                 without it whoever reaches that could change tickets",
                    held.ops
                ),
            ));
        }
        let takes_word = |offer: &crate::service::Offer| offer.without_preimage;
        let needs = self.services.iter().find(|one| one.offer.as_ref().is_some_and(takes_word));
        if let (Some(service), false) = (needs, held.detects_payments) {
            return Err(report.whole(format!(
                "service `{}`: `without_preimage` needs `lnd.detect_payments`, which only a \
                 restart turns on",
                service.name
            )));
        }
        own_addresses::check(report, &self.listen, &self.ops, &self.services)
    }
}
