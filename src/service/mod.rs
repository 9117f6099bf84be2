//! What is served and sold, made from the config when it is loaded: one immutable whole.

pub mod request;
mod ticket_kind;
pub mod times;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use ipnet::IpNet;

pub use self::ticket_kind::TicketKind;
use self::times::TicketTimes;
use crate::keys::KeyIndex;
use crate::l402::verify::Names;
use crate::order::Rules;
use crate::place::Place;
use crate::price::Msat;
use crate::record::metrics::ServiceMetrics;
use crate::upstream::outcome::{Meaning, Predicate};
use crate::upstream::request::KeyPlace;
use crate::upstream::{Reuse, Upstream};

/// All services and the bounds around them.
pub struct Catalogue {
    /// The services.
    pub services: Vec<Arc<Service>>,
    /// How payers reach us, if the operator said so.
    pub public_url: Option<String>,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub times: TicketTimes,
}

/// Bounds on one request.
pub struct Limits {
    /// Longest request body, in bytes.
    pub body: usize,
    /// Longest time for reading a request body.
    pub body_time: Duration,
    /// Longest answer that is kept, in bytes.
    pub stored_answer: usize,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Longest request body, in bytes, where the operator says nothing else.
pub const BODY_DEFAULT: usize = 64 * 1024;

/// Our own path that says how a ticket stands; no service can have it.
pub const STATUS_PATH: &str = "/l402/status";

/// One endpoint.
pub struct Service {
    /// Its place in the catalogue.
    pub index: usize,
    /// Its name in tickets, logs and metrics.
    pub name: Arc<str>,
    /// Names that it had before: their tickets are still redeemed.
    pub formerly: Vec<Arc<str>>,
    /// Addresses that it had before: tickets are still redeemed there, and nothing is sold.
    pub former_addresses: Vec<(Method, String)>,
    /// Its name for people.
    pub title: String,
    /// The method that it takes.
    pub method: Method,
    /// The exact path.
    pub path: String,
    /// Method and path, as people write them.
    pub address: Arc<str>,
    /// The host in lower case, or any.
    pub host: Option<String>,
    /// What it sells, if it sells.
    pub offer: Option<Offer>,
    /// Its backend.
    pub upstream: Arc<Upstream>,
    /// What its answers mean.
    pub meaning: Meaning,
    /// Where it takes our name for a request, if it does.
    pub key: Option<KeyPlace>,
    /// For how long it throws repeats away by that name, if it does.
    pub remembered: Option<Duration>,
    /// Names its backend, under each key of the ring.
    pub places: Vec<Place>,
    /// The header field in which the backend is told our reference for a request.
    pub reference: Option<HeaderName>,
    /// How it is asked what became of a request, if it can be.
    pub lookup: Option<Lookup>,
    /// When a used connection may carry a request.
    pub reuse: Reuse,
    /// Its counters.
    pub metrics: ServiceMetrics,
}

impl Service {
    /// What its tickets may be named after.
    pub fn names(&self) -> Names<'_> {
        Names { now: &self.name, formerly: &self.formerly }
    }

    /// Names its backend, by the key that signed a ticket.
    pub fn place(&self, key: KeyIndex) -> Option<Place> {
        self.places.get(key.place()).copied()
    }
}

/// How an upstream is asked what became of a request.
pub struct Lookup {
    /// Path at the upstream; `{key}` stands for our name for the request.
    pub path: String,
    /// What it answers if it took the request.
    pub found: Predicate,
    /// What it answers if it knows of none.
    pub not_found: Predicate,
    /// How long after the request "not found" is its last word.
    pub final_after: Duration,
    /// How long after the first try it still knows our name for it: past that, "not found" says
    /// nothing.
    pub remembered: Duration,
}

/// What a paid service sells.
pub struct Offer {
    /// What one payment buys.
    pub kind: TicketKind,
    /// What that costs.
    pub price: Msat,
    /// What a request must look like.
    pub rules: Rules,
    /// What its invoices say.
    pub memo: String,
    /// Whether the node's word that it was paid does instead of the preimage.
    pub without_preimage: bool,
    /// Which of the client's header fields go upstream.
    pub forward_headers: Vec<HeaderName>,
    /// The `Content-Type` that goes upstream.
    pub content_type: Option<HeaderValue>,
}
