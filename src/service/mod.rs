//! What is served and sold, made from the config when it is loaded: one immutable whole.

pub mod base_url;
pub mod curl;
pub mod current;
pub mod mapping;
pub mod number_rules;
pub mod numbers;
mod order;
pub mod price;
pub mod pricing;
pub mod reports;
pub mod request;
pub mod sms;
mod spec;
mod ticket_kind;
pub mod times;
pub mod validate;
pub mod watched_list;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use ipnet::IpNet;

pub use self::spec::{Lookup, Offer, ServiceSpec};
pub use self::ticket_kind::TicketKind;
use self::times::TicketTimes;
use crate::answer::html::Frame;
use crate::answer::page_settings::PageSettings;
use crate::keys::{KeyIndex, KeyRing};
use crate::l402::verify::Names;
use crate::lightning::network::Network;
use crate::place::Place;
use crate::rate::CurrentRate;
use crate::record::metrics::ServiceMetrics;
use crate::upstream::Upstream;
use crate::upstream::request::IdempotencyKeyPlace;

/// All services and the bounds around them.
pub struct Catalogue {
    /// The services.
    pub services: Vec<Arc<Service>>,
    /// How payers reach us, if the operator said so.
    pub public_url: Option<String>,
    /// Has browsers use https only for a time, if the operator said so.
    pub hsts: Option<HeaderValue>,
    /// Bounds.
    pub limits: RequestLimits,
    /// Times.
    pub times: TicketTimes,
    /// What people see in a browser.
    pub pages: PageSettings,
    /// Whose money is taken.
    pub network: Network,
    /// Whether payments are heard of, so that `STATUS_PATH` answers.
    pub detects_payments: bool,
    /// What a bitcoin costs, where prices are in another currency.
    pub rate: Option<Arc<CurrentRate>>,
}

impl Catalogue {
    /// The services that answer at a host, in their order. Of two at one address, the one that
    /// names the host.
    pub fn at_host<'a, 'h>(
        &'a self,
        host: Option<&'h str>,
    ) -> impl Iterator<Item = &'a Arc<Service>> + use<'a, 'h> {
        let is_here = move |service: &Service| service.is_at(host);
        let hides = move |one: &Service, other: &Service| {
            one.host.is_some() && other.host.is_none() && one.address == other.address
        };
        self.services.iter().filter(move |service| {
            is_here(service) && !self.services.iter().any(|one| is_here(one) && hides(one, service))
        })
    }

    /// What is paid for, by its name, if it answers at a host.
    pub fn for_sale_by(&self, name: &str, host: Option<&str>) -> Option<(&Arc<Service>, &Offer)> {
        let service = self.at_host(host).find(|service| *service.name == *name)?;
        Some((service, service.offer.as_ref()?))
    }

    /// What frames our pages, for one that is asked for at `path`.
    pub fn frame(&self, path: &str) -> Frame<'_> {
        let has_index = !self.services.iter().any(|service| service.path == "/");
        Frame::new(&self.pages, path, has_index, self.test_network())
    }

    /// The network's name, unless the money is real.
    pub fn test_network(&self) -> Option<&'static str> {
        (self.network != Network::Mainnet).then(|| self.network.name())
    }
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

/// What our own paths begin with; no service can have one of these.
pub const OWN_PATHS: [&str; 4] = ["/services/", "/l402/", "/assets/", "/.well-known/l402"];

/// Our own path that says how a ticket stands.
pub const STATUS_PATH: &str = "/l402/status";

/// Our own path that says what a request would cost.
pub const QUOTE_PATH: &str = "/l402/quote";

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
        upstream: Arc<Upstream>,
        ring: &KeyRing,
        metrics: ServiceMetrics,
    ) -> Self {
        let name = spec.key.as_ref().map(IdempotencyKeyPlace::text);
        let places = ring.all().map(|keys| upstream.place(name.as_deref(), keys)).collect();
        Self { index, spec, upstream, places, metrics }
    }

    /// What its tickets may be named after.
    pub fn names(&self) -> Names<'_> {
        Names { now: &self.name, formerly: &self.formerly }
    }

    /// Whether it answers at a host, which is in lower case.
    pub fn is_at(&self, host: Option<&str>) -> bool {
        self.host.as_deref().is_none_or(|named| Some(named) == host)
    }

    /// Our own path that says what a request for it would cost.
    pub fn quote_path(&self) -> String {
        format!("{QUOTE_PATH}/{}", self.name)
    }

    /// Whether requests go to the same place as those of another, with our name for them at the
    /// same place in them.
    pub fn is_at_place_of(&self, other: &Self) -> bool {
        self.places == other.places
    }

    /// Names its backend, by the key that signed a ticket.
    pub fn place(&self, key: KeyIndex) -> Option<Place> {
        self.places.get(key.index()).copied()
    }
}
