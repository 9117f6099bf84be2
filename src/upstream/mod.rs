//! The operator's own backend: how it is reached, what it is sent, and what its answers mean.

pub mod connect;
pub mod forward;
pub mod health;
pub mod inner_address;
pub mod limit;
pub mod outcome_rules;
pub mod pool;
pub mod redact;
pub mod request;
pub mod request_body;
pub mod response_body;
pub mod retry_after;
pub mod sale_stop;
pub mod send_deadline;
pub mod settings;
mod socket;
pub mod stall;
mod stopped;
pub mod template;
pub mod trouble;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use rustls::crypto::CryptoProvider;
use tokio::time::timeout;
use tracing::warn;

use self::connect::{CONNECT_MAX, Target};
use self::health::Health;
use self::limit::{ConnectionLimit, Permit};
use self::pool::Pool;
use self::sale_stop::SaleStop;
use self::settings::{UpstreamError, UpstreamSettings};
use crate::keys::Keys;
use crate::place::Place;
use crate::shares::Shares;

/// When a connection that was used before may carry a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// If it was idle for so long, and said nothing meanwhile.
    IdleFor {
        /// A backend that sends an answer too many mostly does so at once.
        at_least: Duration,
        /// Less than this: it may be about to close the connection.
        at_most: Duration,
    },
    /// Not at all.
    Never,
}

/// So many clients or passes at least it takes to have all connections to a backend.
const HOLDERS_MIN: usize = 4;

/// One service's backend.
pub struct Upstream {
    /// Where it is.
    pub target: Target,
    /// Path with the operator's fixed parameters, in origin form.
    pub uri: Uri,
    /// Names of the fixed parameters: a client's of the same name are dropped.
    pub fixed_names: Vec<String>,
    /// The operator's own header fields; they replace a client's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Time limit from the connection to the end of an answer that is kept; where it is passed on
    /// as it comes, to the end of its head, and on each pause after.
    pub timeout: Duration,
    /// Texts that must not get into an answer's words: the values of `headers`, and their parts.
    pub secrets: Vec<String>,
    /// Idle connections.
    pub pool: Arc<Pool>,
    /// Connections that may still be opened; a stranger's free requests have no other limit.
    pub limit: Arc<ConnectionLimit>,
    /// The part of these that one client of a free service, or one pass, may have.
    pub shares: Arc<Shares>,
    /// Whether it is known to be down.
    pub health: Health,
    /// Whether it refuses everybody.
    pub sale_stop: SaleStop,
    is_unasked_told: AtomicBool,
    /// What it was made of.
    settings: UpstreamSettings,
    ca: Option<Vec<u8>>,
}

impl Upstream {
    /// The backend of a service, with at most `connections_max` connections to it.
    pub fn new(
        settings: &UpstreamSettings,
        service: &str,
        provider: &Arc<CryptoProvider>,
        connections_max: usize,
    ) -> Result<Self, UpstreamError> {
        let uri = settings.origin_form()?;
        Ok(Self {
            target: settings.target(provider)?,
            secrets: settings.secrets(&uri),
            uri,
            fixed_names: settings.fixed_names.clone(),
            headers: settings.headers.clone(),
            timeout: settings.timeout,
            pool: Arc::default(),
            limit: ConnectionLimit::new(connections_max),
            shares: Shares::new((connections_max / HOLDERS_MIN).max(1)),
            health: Health::new(service),
            sale_stop: SaleStop::new(service),
            is_unasked_told: AtomicBool::new(false),
            ca: settings.ca_text(),
            settings: settings.clone(),
        })
    }

    /// Whether a backend of these settings is this one: then its connections, its places and what
    /// is known of its health live on.
    pub fn is_of(&self, settings: &UpstreamSettings) -> bool {
        self.settings == *settings && self.ca == settings.ca_text()
    }

    /// At most so many connections from here on; those that are open go on.
    pub fn limit(&self, connections_max: usize) {
        self.limit.resize(connections_max);
        self.shares.resize((connections_max / HOLDERS_MIN).max(1));
    }

    /// Whether it has said something that nobody asked for: none of its connections is used twice
    /// from then on.
    fn says_unasked(&self) -> bool {
        let says = self.target.says_unasked.load(Ordering::Relaxed);
        if says && !self.is_unasked_told.swap(true, Ordering::Relaxed) {
            warn!(
                service = self.health.service(),
                "the upstream sent an answer that nobody asked for: none of its connections is \
                 used twice any more; set `reuse = \"never\"`"
            );
        }
        says
    }

    /// Scheme, host and port, as in `http://sms.example.com:8080`.
    pub fn origin(&self) -> String {
        let scheme = if self.target.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.target.authority.to_str().unwrap_or_default())
    }

    /// Names the place that requests are sent to, under a key; `name` says where in them the
    /// upstream finds our name for one.
    pub fn place(&self, name: Option<&str>, keys: &Keys) -> Place {
        let scheme = if self.target.tls.is_some() { "https" } else { "http" };
        let (port, uri) = (self.target.port.to_string(), self.uri.to_string());
        let target = [scheme, &self.target.host, &port, &uri];
        let mut parts: Vec<&[u8]> = target.map(str::as_bytes).to_vec();
        for (name, value) in &self.headers {
            parts.extend([name.as_str().as_bytes(), value.as_bytes()]);
        }
        parts.extend(name.map(str::as_bytes));
        parts.extend(self.settings.own.iter().map(|own| own.as_bytes()));
        Place::of(keys.place_key(), &parts)
    }

    /// Looks at it by connecting to it, for as long as it is polled.
    pub async fn watch(&self) {
        loop {
            match self.target.connect(CONNECT_MAX).await {
                Ok(_) => self.health.worked(),
                Err(error) => self.health.no_connection(&error),
            }
            let _ = timeout(self.health.pause(), self.health.changed()).await;
        }
    }

    /// For one more connection, if need be in place of an idle one.
    fn permit(&self) -> Option<Permit> {
        self.limit.take().or_else(|| {
            self.pool.close_oldest();
            self.limit.take()
        })
    }
}
