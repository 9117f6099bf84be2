//! Opens the ledger, with the master secrets that fit to it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use zeroize::Zeroizing;

use super::error::StartError;
use super::master_secret::{self, Loaded, no_secret};
use crate::config::{Config, LedgerPlace, TicketSettings};
use crate::keys::{Keys, MasterSecret};
use crate::ledger::Ledger;
use crate::ledger::postgres::{PostgresLedger, SecretTerms};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::state::FIRST_CLAIM_GRACE;
use crate::ledger::store::{CommitObserver, LedgerStore as _, LedgerTerms};
use crate::owner;
use crate::record::metrics::Metrics;
use crate::tls::client_config;

/// How often the ledger is told that the minting secret is still needed.
pub const SECRET_NOTE_INTERVAL: Duration = Duration::from_secs(3600);

/// Opens the ledger, and loads the master secrets that fit to it. The minting one is noted before
/// anything is sold.
pub async fn open_ledger(
    config: &Config,
    metrics: &Arc<Metrics>,
    provider: &Arc<CryptoProvider>,
) -> Result<(Ledger, Vec<MasterSecret>), StartError> {
    let observed = metrics.commit_seconds.clone();
    let observer = Box::new(move |took: Duration| observed.observe(took.as_secs_f64()));
    let terms = LedgerTerms { replay: config.tickets.replay };
    let needed_for = config.invoice_expiry
        + config.longest_life()
        + FIRST_CLAIM_GRACE
        + SECRET_NOTE_INTERVAL * 3 / 2;
    let network = config.lnd.network.name();
    let opening = LedgerOpening { terms, needed_for, network, observer };
    match &config.ledger {
        LedgerPlace::Sqlite(path) => opening.sqlite(&config.tickets, path).await,
        LedgerPlace::Postgres { url, ca } => {
            let tls = client_config("ledger.postgres_ca", ca.as_deref(), provider)?;
            let tls = Arc::new(tls);
            opening.postgres(&config.tickets, url, tls).await
        }
    }
}

/// What both ledgers are opened with.
struct LedgerOpening {
    terms: LedgerTerms,
    /// How long the minting secret is needed from now on.
    needed_for: Duration,
    /// The network that is sold on.
    network: &'static str,
    observer: CommitObserver,
}

impl LedgerOpening {
    async fn sqlite(
        self,
        tickets: &TicketSettings,
        path: &Path,
    ) -> Result<(Ledger, Vec<MasterSecret>), StartError> {
        if let Some(folder) = path.parent() {
            owner::make_private_folder(folder)
                .map_err(|source| StartError::StateDir { path: folder.to_owned(), source })?;
        }
        let is_new = fits(tickets, path)?;
        let ledger = SqliteLedger::open(path, self.terms, self.observer)?;
        if ledger.parked_at_start() > 0 {
            tracing::warn!(
                tickets = ledger.parked_at_start(),
                "parked: the last run ended in the middle of their redemption"
            );
        }
        let now = ledger.now();
        let in_use = ledger.secrets_in_use(now.ledger).await?;
        let loaded = master_secret::load(tickets, &in_use, Some(ledger.id()))?;
        if let Some(found) = ledger.sell_on(self.network).await? {
            return Err(StartError::OtherNetwork { found, now: self.network });
        }
        if is_new && loaded.ledgers.is_empty() {
            tracing::warn!(
                ledger = %ledger.id(),
                "a new ledger was made; tickets that another one has sold under this master secret \
                 are parked when they come in, since nobody knows whether they were used"
            );
        }
        if let Some(minting) = loaded.secrets.first() {
            let fingerprint = Keys::derive(minting, "").fingerprint();
            let until = now.later().plus(self.needed_for);
            ledger.note_secret(fingerprint, until).await?;
        }
        Ok((Ledger::new(ledger), loaded.secrets))
    }

    async fn postgres(
        self,
        tickets: &TicketSettings,
        url: &Zeroizing<String>,
        tls: Arc<ClientConfig>,
    ) -> Result<(Ledger, Vec<MasterSecret>), StartError> {
        // Never made here: all instances need the same.
        let Loaded { secrets, ledgers } = master_secret::load(tickets, &[], None)?;
        let known: Vec<[u8; 16]> = secrets
            .iter()
            .map(|secret| *Keys::derive(secret, "").fingerprint().as_bytes())
            .collect();
        let minting = known.first().copied().ok_or_else(no_secret)?;
        let Self { needed_for, network, .. } = self;
        let terms = SecretTerms { known, minting, ledgers, needed_for, network };
        let ledger = PostgresLedger::open(url, tls, self.terms, terms, self.observer).await?;
        Ok((Ledger::new(ledger), secrets))
    }
}

/// Whether the ledger is the one that the master secret was made with; `true` if there is none yet,
/// and one may be made.
pub fn fits(tickets: &TicketSettings, path: &Path) -> Result<bool, StartError> {
    let named = master_secret::named_ledgers(tickets)?;
    let found = SqliteLedger::identify(path)?;
    match (named.first(), found) {
        (None, found) => Ok(found.is_none()),
        (Some(_), Some(id)) if named.contains(&id) => Ok(false),
        (Some(named), Some(found)) => {
            Err(StartError::OtherLedger { path: path.to_owned(), found, named: *named })
        }
        (Some(named), None) => Err(StartError::NoLedger { path: path.to_owned(), named: *named }),
    }
}
