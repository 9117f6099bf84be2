//! Why Farebox can't start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::ConfigError;
use crate::ledger::error::LedgerError;
use crate::ledger::id::LedgerId;
use crate::ledger::postgres::PostgresError;
use crate::ledger::sold_on;
use crate::ledger::sqlite::error::OpenError;
use crate::record::log_filter::FilterError;
use crate::tls::TlsError;
use crate::upstream::settings::UpstreamError;

/// Why Farebox can't start, in words for the operator: which key or file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The master secret.
    #[error("`tickets.master_secret`: {0}")]
    MasterSecret(String),
    /// A folder for the state.
    #[error("`state_dir`: {} can't be made: {source}", path.display())]
    StateDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The SQLite ledger.
    #[error("ledger: {0}")]
    Sqlite(#[from] OpenError),
    /// The PostgreSQL ledger.
    #[error("ledger: {0}")]
    Postgres(#[from] PostgresError),
    /// A ledger that was opened, and fails at once.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The ledger is another than the one that the master secret was made with.
    #[error(
        "ledger: {} is the ledger {found}, and `tickets.master_secret` was made for the ledger \
         {named}: put that one back, or take the secret that belongs to this one. Farebox does \
         not start: spent tickets would be sold again.",
        path.display()
    )]
    OtherLedger {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: LedgerId,
        /// What the secret names.
        named: LedgerId,
    },
    /// The ledger that the master secret was made with isn't there.
    #[error(
        "ledger: there is none at {}, and `tickets.master_secret` was made for the ledger \
         {named}. Put its file back from a backup and run `farebox ledger --config FILE \
         restored`, or begin an empty one on purpose with `farebox ledger --config FILE new`. \
         Farebox does not start: spent tickets would be sold again.",
        path.display()
    )]
    NoLedger {
        /// Where it should be.
        path: PathBuf,
        /// What the secret names.
        named: LedgerId,
    },
    /// What the ledger holds was sold on another network.
    #[error("ledger: {}", sold_on::refusal(found, now, sold_on::FILE_ASIDE))]
    OtherNetwork {
        /// The network of what it holds.
        found: String,
        /// The config's.
        now: &'static str,
    },
    /// Where traces go.
    #[error("`log.otlp`: {0}")]
    Otlp(String),
    /// Certificates, keys, roots.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A service's backend.
    #[error("service `{service}`: {source}")]
    Upstream {
        /// The service.
        service: Arc<str>,
        /// What is wrong with it.
        source: UpstreamError,
    },
    /// An address that can't be listened on.
    #[error("{what} can't listen on {address}: {source}{}", listen_hint(source, *address))]
    Listen {
        /// Which listener, by the key or option that names its address.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A socket that systemd has opened is reached by more than operators.
    #[error(
        "`ops.token`: systemd's socket for operators listens on {address}, which is not a loopback \
         address; whoever reaches it could change tickets: set `ops.token` = {{ file = \"...\" }}, \
         or write the loopback address into the .socket unit (ListenStream=127.0.0.1:{})",
        address.port()
    )]
    OpenOperators {
        /// Where it listens.
        address: SocketAddr,
    },
    /// What the environment says of the log.
    #[error("the environment variable `RUST_LOG`: {0}")]
    LogVariable(FilterError),
    /// Anything that the system refuses.
    #[error("{what}: {source}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Two metrics of one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What to do about an address that can't be listened on.
fn listen_hint(source: &io::Error, address: SocketAddr) -> String {
    match source.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "; a port below 1024 needs the capability CAP_NET_BIND_SERVICE, by \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE` in a systemd unit or `setcap \
             cap_net_bind_service=+ep` on the binary; or choose another than {}",
            address.port()
        ),
        io::ErrorKind::AddrInUse => {
            format!("; `ss -ltnp 'sport = :{}'` names the process that has it", address.port())
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has it".to_owned(),
        _ => String::new(),
    }
}
