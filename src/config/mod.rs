//! What the operator wrote, made safe: checked, typed, immutable. Nothing is opened or bound by
//! reading it.

mod address;
mod answers;
mod error;
mod file;
mod former;
mod ledger_config;
pub mod secret;
mod service;
mod services;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;
use zeroize::Zeroizing;

pub use self::error::ConfigError;
use self::error::Reporter;
use self::file::File;
pub use self::ledger_config::LedgerConfig;
use self::secret::Source;
pub use self::service::{Service, Ticket};
use crate::lightning::lnd;
use crate::lightning::network::Network;
use crate::record::access_log::LogFormat;
use crate::service::BODY_DEFAULT;

/// Longest lifetime of a ticket, so that times in it can't overflow: a hundred years.
const MAX_LIFETIME: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Everything that a `serve` needs to know.
pub struct Config {
    /// Where the config was read from.
    pub path: PathBuf,
    /// The listener for payers.
    pub listen: Listen,
    /// The listener for operators.
    pub ops: SocketAddr,
    /// The node.
    pub lnd: lnd::Settings,
    /// How long an invoice can be paid.
    pub invoice_expiry: Duration,
    /// Most invoices that are made ahead for each service.
    pub mint_ahead: usize,
    /// Whether the node is asked for payments.
    pub detects_payments: bool,
    /// Where tickets are recorded.
    pub ledger: LedgerPlace,
    /// What tickets are made of and how long they live.
    pub tickets: Tickets,
    /// Bounds on what strangers can use up.
    pub limits: Limits,
    /// How log lines look.
    pub log: LogFormat,
    /// What is sold, and what is free.
    pub services: Vec<Service>,
}

/// Where tickets are recorded.
pub enum LedgerPlace {
    /// In a file of this process alone.
    Sqlite(PathBuf),
    /// In a database that several instances may share.
    Postgres {
        /// Its address, with its password.
        url: Zeroizing<String>,
        /// PEM file with the roots that its certificate is verified against; `None` for the
        /// system's.
        ca: Option<PathBuf>,
    },
}

/// The listener for payers.
pub struct Listen {
    /// Where it binds.
    pub address: SocketAddr,
    /// Certificate and key files; `None` for plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How payers reach us, without a slash at the end.
    pub public_url: Option<String>,
    /// How long requests under way may take at a stop.
    pub drain: Duration,
}

/// What tickets are made of and how long they live.
#[derive(Clone)]
pub struct Tickets {
    /// Where the master secret is.
    pub master_secret: Source,
    /// Folder that a relative secret file is looked for in.
    pub state_dir: PathBuf,
    /// How long a ticket is worth something after its invoice could be paid.
    pub lifetime: Duration,
    /// How long a delivered answer is given back.
    pub replay: Duration,
    /// How long a second request waits for the first one's answer.
    pub wait: Duration,
}

/// Bounds on what strangers can use up.
pub struct Limits {
    /// Unpaid challenges per client.
    pub unpaid_per_client: usize,
    /// Unpaid challenges in all.
    pub unpaid_total: usize,
    /// Longest request body, in bytes.
    pub body: usize,
    /// Longest answer that is kept for replays, in bytes.
    pub stored_answer: usize,
    /// Most connections at once.
    pub connections: usize,
    /// Most redemptions under way at once, and connections to each backend.
    pub redemptions: usize,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| {
            Reporter { path, text: "" }.whole(format!("can't read the config: {error}"))
        })?;
        Self::parse(path, &text)
    }

    /// Checks a config's text. `path` is for messages, and its folder for relative paths.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let report = Reporter { path, text };
        let file: File = toml::from_str(text).map_err(|error| report.toml(&error))?;
        let folder = folder(path);
        let state_dir = state_dir(folder, file.state_dir);
        let services = services::services(&report, folder, file.service, file.lnd.detect_payments)?;
        Ok(Self {
            path: path.to_owned(),
            listen: listen(&report, folder, file.listen)?,
            ops: match &file.ops.address {
                Some(address) => socket_address(&report, "ops.address", address)?,
                None => OPS_DEFAULT,
            },
            invoice_expiry: invoice_expiry(&report, file.lnd.invoice_expiry.as_ref())?,
            mint_ahead: mint_ahead(&report, file.lnd.mint_ahead.as_ref())?,
            detects_payments: file.lnd.detect_payments,
            lnd: node(&report, folder, file.lnd)?,
            ledger: ledger(&report, folder, &state_dir, file.ledger)?,
            tickets: tickets(&report, state_dir, file.tickets)?,
            limits: limits(&report, file.limits)?,
            log: file.log.format,
            services,
        })
    }
}

const OPS_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9402);

/// The folder that relative paths start at.
fn folder(config: &Path) -> &Path {
    match config.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn state_dir(folder: &Path, written: Option<PathBuf>) -> PathBuf {
    folder.join(written.unwrap_or_else(|| PathBuf::from("/var/lib/farebox")))
}

fn ledger(
    report: &Reporter<'_>,
    folder: &Path,
    state_dir: &Path,
    ledger: file::Ledger,
) -> Result<LedgerPlace, ConfigError> {
    match (ledger.postgres, ledger.sqlite) {
        (Some(_), Some(sqlite)) => Err(report
            .at(sqlite.span(), "[ledger] has both `sqlite` and `postgres`; keep one of the two")),
        (Some(source), None) => {
            let url = source
                .read(folder)
                .map_err(|what| report.whole(format!("`ledger.postgres`: {what}")))?;
            Ok(LedgerPlace::Postgres { url, ca: ledger.postgres_ca.map(|path| folder.join(path)) })
        }
        (None, sqlite) => Ok(LedgerPlace::Sqlite(
            state_dir.join(sqlite.map_or_else(|| "ledger.db".into(), Spanned::into_inner)),
        )),
    }
}

fn listen(
    report: &Reporter<'_>,
    folder: &Path,
    listen: file::Listen,
) -> Result<Listen, ConfigError> {
    let tls = match (listen.certificate, listen.key, listen.plain_http) {
        (Some(certificate), Some(key), false) => Some((folder.join(certificate), folder.join(key))),
        (None, None, true) => None,
        (Some(_), Some(_), true) => {
            return Err(report.at(
                listen.address.span(),
                "[listen] has certificate and key, and also \
                                                  `plain_http = true`; keep one of the two",
            ));
        }
        _ => {
            return Err(report.at(
                listen.address.span(),
                "[listen] needs both `certificate` and `key` (PEM files), or `plain_http = true` \
                 if something in front ends TLS",
            ));
        }
    };
    let public_url = listen.public_url.map(|url| public_url(report, &url)).transpose()?;
    Ok(Listen {
        address: socket_address(report, "listen.address", &listen.address)?,
        tls,
        public_url,
        drain: listen.drain.map_or(Duration::from_secs(30), |span| span.0),
    })
}

fn public_url(report: &Reporter<'_>, url: &Spanned<String>) -> Result<String, ConfigError> {
    let text = url.get_ref().trim_end_matches('/');
    let good = text.parse::<hyper::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some()
            && uri.path() == "/"
            && uri.query().is_none()
    });
    let safe = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-[]".contains(&byte));
    if good && safe {
        Ok(text.to_owned())
    } else {
        Err(report.at(
            url.span(),
            "`public_url` should be how payers reach this gate, such as \
                                   \"https://sms.example.com\"",
        ))
    }
}

fn node(
    report: &Reporter<'_>,
    folder: &Path,
    lnd: file::Lnd,
) -> Result<lnd::Settings, ConfigError> {
    let network = Network::ALL.into_iter().find(|network| network.name() == lnd.network.get_ref());
    let network = network.ok_or_else(|| {
        report.at(
            lnd.network.span(),
            "`lnd.network` is one of \"mainnet\", \"testnet\", \"signet\", \"regtest\"",
        )
    })?;
    let address = lnd.address.get_ref();
    let good = address
        .parse::<hyper::http::uri::Authority>()
        .is_ok_and(|authority| authority.port_u16().is_some());
    if !good || address.contains('@') {
        return Err(report.at(
            lnd.address.span(),
            "`lnd.address` should be LND's gRPC listener as \
                                           \"host:port\", such as \"127.0.0.1:10009\"",
        ));
    }
    Ok(lnd::Settings {
        address: address.clone(),
        certificate: folder.join(lnd.certificate),
        macaroon: folder.join(lnd.macaroon),
        network,
        timeout: lnd.timeout.map_or(Duration::from_secs(5), |span| span.0),
        private: lnd.private,
    })
}

fn invoice_expiry(
    report: &Reporter<'_>,
    expiry: Option<&Spanned<units::Span>>,
) -> Result<Duration, ConfigError> {
    let Some(expiry) = expiry else { return Ok(Duration::from_secs(600)) };
    let span = expiry.get_ref().0;
    // LND reads 0 as 24 hours.
    if (Duration::from_secs(10)..=Duration::from_secs(86_400)).contains(&span) {
        Ok(span)
    } else {
        Err(report.at(expiry.span(), "`lnd.invoice_expiry` should be between \"10s\" and \"24h\""))
    }
}

fn mint_ahead(report: &Reporter<'_>, most: Option<&Spanned<u32>>) -> Result<usize, ConfigError> {
    match most {
        None => Ok(100),
        Some(most) if *most.get_ref() > 10_000 => {
            Err(report
                .at(most.span(), "`lnd.mint_ahead` should be at most 10000 (0 switches it off)"))
        }
        Some(most) => Ok(*most.get_ref() as usize),
    }
}

fn tickets(
    report: &Reporter<'_>,
    state_dir: PathBuf,
    tickets: file::Tickets,
) -> Result<Tickets, ConfigError> {
    let lifetime = match &tickets.lifetime {
        None => Duration::from_secs(30 * 86_400),
        Some(lifetime) if lifetime.get_ref().0 > MAX_LIFETIME => {
            return Err(
                report.at(lifetime.span(), "`tickets.lifetime` is longer than a hundred years")
            );
        }
        Some(lifetime) => lifetime.get_ref().0,
    };
    Ok(Tickets {
        master_secret: tickets
            .master_secret
            .map_or_else(|| Source::File("master.secret".into()), Spanned::into_inner),
        state_dir,
        lifetime,
        replay: tickets.replay.map_or(Duration::from_secs(86_400), |span| span.0),
        wait: tickets.wait.map_or(Duration::from_secs(15), |span| span.0),
    })
}

fn limits(report: &Reporter<'_>, limits: file::Limits) -> Result<Limits, ConfigError> {
    let at_least_one = |key: &str, value: Option<Spanned<u32>>, default: usize| match value {
        None => Ok(default),
        Some(value) if *value.get_ref() == 0 => {
            Err(report.at(value.span(), format!("`limits.{key}` should be at least 1")))
        }
        Some(value) => Ok(value.into_inner() as usize),
    };
    let trusted_proxies = limits
        .trusted_proxies
        .iter()
        .map(|text| {
            let net = text.get_ref();
            net.parse()
                .or_else(|_| net.parse().map(|address: std::net::IpAddr| IpNet::from(address)))
                .map_err(|_| {
                    let example = "such as \"10.0.0.1\" or \"10.0.0.0/8\"";
                    report.at(text.span(), format!("`{net}` is no address or network, {example}"))
                })
        })
        .collect::<Result<_, _>>()?;
    Ok(Limits {
        unpaid_per_client: limits.unpaid_per_client.unwrap_or(30) as usize,
        unpaid_total: limits.unpaid_total.unwrap_or(10_000) as usize,
        body: limits.body.map_or(BODY_DEFAULT, |size| size.0),
        stored_answer: limits.stored_answer.map_or(64 * 1024, |size| size.0),
        connections: at_least_one("connections", limits.connections, 10_000)?,
        redemptions: at_least_one("redemptions", limits.redemptions, 1024)?,
        trusted_proxies,
    })
}

fn socket_address(
    report: &Reporter<'_>,
    key: &str,
    text: &Spanned<String>,
) -> Result<SocketAddr, ConfigError> {
    text.get_ref().parse().map_err(|_| {
        report.at(
            text.span(),
            format!(
                "`{key}` should be an address and a port, \
                                                     such as \"127.0.0.1:8402\" or \"[::]:443\""
            ),
        )
    })
}

#[cfg(test)]
mod tests;
