//! What is served and sold, made from the config when it is loaded: one immutable whole.

pub mod request;
mod spec;
mod ticket_kind;
pub mod times;
pub mod validate;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use self::spec::{Lookup, Offer, ServiceSpec};
pub use self::ticket_kind::TicketKind;
use self::times::TicketTimes;
use crate::keys::{KeyIndex, KeyRing};
use crate::l402::verify::Names;
use crate::place::Place;
use crate::record::metrics::ServiceMetrics;
use crate::upstream::Upstream;
use crate::upstream::request::IdempotencyKeyPlace;

/// All services and the bounds around them.
pub struct Catalogue {
    /// The services.
    pub services: Vec<Arc<Service>>,
    /// How payers reach us, if the operator said so.
    pub public_url: Option<String>,
    /// Bounds.
    pub limits: RequestLimits,
    /// Times.
    pub times: TicketTimes,
}

/// Bounds on one request.
pub struct RequestLimits {
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

/// One endpoint, as it is served: what the operator says of it, and what runs beside it.
pub struct Service {
    /// Its place in the catalogue.
    pub index: usize,
    spec: ServiceSpec,
    /// Its backend.
    pub upstream: Arc<Upstream>,
    /// Names its backend, under each key of the ring.
    places: Vec<Place>,
    /// Its counters.
    pub metrics: ServiceMetrics,
}

/// What the operator says of it reads as its own.
impl Deref for Service {
    type Target = ServiceSpec;

    fn deref(&self) -> &ServiceSpec {
        &self.spec
    }
}

impl Service {
    /// `index` is its place in the catalogue; `ring` holds every key that its tickets may be signed
    /// with.
    pub fn new(
        index: usize,
        spec: ServiceSpec,
        upstream: Upstream,
        ring: &KeyRing,
        metrics: ServiceMetrics,
    ) -> Self {
        let name = spec.key.as_ref().map(IdempotencyKeyPlace::text);
        let places = ring.all().map(|keys| upstream.place(name.as_deref(), keys)).collect();
        Self { index, spec, upstream: Arc::new(upstream), places, metrics }
    }

    /// What its tickets may be named after.
    pub fn names(&self) -> Names<'_> {
        Names { now: &self.name, formerly: &self.formerly }
    }

    /// Names its backend, by the key that signed a ticket.
    pub fn place(&self, key: KeyIndex) -> Option<Place> {
        self.places.get(key.index()).copied()
    }
}
