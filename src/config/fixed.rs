//! What holds from the start of a process to its end: a reload that finds it changed says so.

use sha2::{Digest as _, Sha256};

use super::{CertificateSource, Config, LedgerPlace};

/// Each key that a restart is needed for, with what it says; of a secret, its digest.
pub struct FixedKeys(Vec<(&'static str, String)>);

impl FixedKeys {
    /// Those of a config.
    pub fn of(config: &Config) -> Self {
        let Config { listen, ops, lnd, ledger, tickets, .. } = config;
        let ledger = match ledger {
            LedgerPlace::Sqlite(path) => path.display().to_string(),
            LedgerPlace::Postgres { url, ca } => {
                format!("{} {ca:?}", hex::encode(Sha256::digest(url.as_bytes())))
            }
        };
        let acme = match &listen.tls {
            Some(CertificateSource::Acme(order)) => format!("{order:?}"),
            _ => String::new(),
        };
        Self(vec![
            ("listen.address", listen.address.to_string()),
            ("listen.plain_http", listen.tls.is_none().to_string()),
            ("listen.acme", acme),
            ("listen.redirect", format!("{:?}", listen.redirect)),
            ("ops.address", ops.address.to_string()),
            ("lnd.address", lnd.address.clone()),
            ("lnd.certificate", lnd.certificate.display().to_string()),
            ("lnd.macaroon", lnd.macaroon.display().to_string()),
            ("lnd.network", lnd.network.to_string()),
            ("lnd.timeout", format!("{:?}", lnd.timeout)),
            ("lnd.private", lnd.private.to_string()),
            ("lnd.invoice_expiry", format!("{:?}", config.invoice_expiry)),
            ("lnd.mint_ahead", config.mint_ahead.to_string()),
            ("lnd.detect_payments", config.detects_payments.to_string()),
            ("ledger", ledger),
            ("state_dir", tickets.state_dir.display().to_string()),
            ("tickets.master_secret", format!("{:?}", tickets.master_secret)),
            ("tickets.replay", format!("{:?}", tickets.replay)),
            ("log.format", format!("{:?}", config.log.format)),
            ("log.otlp", format!("{:?}", config.log.otlp)),
        ])
    }

    /// The keys that say something else in another config.
    pub fn changed_in(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(own, other)| own != other).map(|((key, _), _)| *key).collect()
    }
}
