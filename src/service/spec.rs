//! One endpoint, as the operator describes it; checked.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::mapping::Mapping;
use super::number_rules::NumberRules;
use super::pricing::Pricing;
use super::ticket_kind::TicketKind;
use super::watched_list::WatchedList;
use crate::order::Rules;
use crate::sms::deny::DenyList;
use crate::sms::rules::SmsRules;
use crate::upstream::Reuse;
use crate::upstream::outcome_rules::{OutcomeRules, Predicate};
use crate::upstream::request::IdempotencyKeyPlace;
use crate::upstream::settings::UpstreamSettings;

/// One endpoint.
pub struct ServiceSpec {
    /// Its name in tickets, logs and metrics.
    pub name: Arc<str>,
    /// Names that it had before: their tickets are still redeemed.
    pub formerly: Vec<Arc<str>>,
    /// Addresses that it had before: tickets are still redeemed there, and nothing is sold.
    pub former_addresses: Vec<(Method, String)>,
    /// Its name for people.
    pub title: String,
    /// What it is, for people.
    pub about: Option<String>,
    /// Whether pages and descriptions leave it out.
    pub is_hidden: bool,
    /// Whether a request that asks for nothing gets a challenge, so that directories see it live.
    pub answers_probes: bool,
    /// Whether its HTML is the operator's own, and may do in a browser what our pages may.
    pub trusts_html: bool,
    /// The method that it takes.
    pub method: Method,
    /// The exact path that it answers at.
    pub path: String,
    /// Method and path, as people write them.
    pub address: Arc<str>,
    /// The host that it answers at, in lower case without port; `None` for any.
    pub host: Option<String>,
    /// What it sells; `None` for a free service.
    pub offer: Option<Offer>,
    /// What it would sell, if it only watches: then it is free.
    pub shadow: Option<Offer>,
    /// How its backend is reached.
    pub backend: UpstreamSettings,
    /// What its answers mean.
    pub outcome_rules: OutcomeRules,
    /// Where its backend takes our name for a request, if it does.
    pub key: Option<IdempotencyKeyPlace>,
    /// For how long the backend throws repeats away by that name, if it does.
    pub remembered: Option<Duration>,
    /// The header field in which the backend is told our reference for a request.
    pub reference: Option<HeaderName>,
    /// How the backend is asked what became of a request, if it can be.
    pub lookup: Option<Lookup>,
    /// How a message is said to the backend, where it isn't passed on as it came.
    pub mapping: Option<Mapping>,
    /// When a used connection may carry a request.
    pub reuse: Reuse,
}

/// How an upstream is asked what became of a request.
pub struct Lookup {
    /// Path at the upstream; `{key}` stands for our name for the request.
    pub path: String,
    /// What it answers if it took the request.
    pub found: Predicate,
    /// What it answers if it knows of none.
    pub not_found: Predicate,
    /// How long after the request "not found" is its last word; `None` for never.
    pub final_after: Option<Duration>,
    /// How long after the first try it still knows our name for it: past that, "not found" says
    /// nothing.
    pub remembered: Duration,
}

/// What a paid service sells.
pub struct Offer {
    /// What one payment buys.
    pub kind: TicketKind,
    /// What that costs.
    pub pricing: Pricing,
    /// What a request must look like.
    pub rules: Rules,
    /// What is demanded of its text beside, where text messages are sold.
    pub sms: Option<SmsRules>,
    /// Numbers to which nothing is sold.
    pub deny: Option<WatchedList<DenyList>>,
    /// What is counted and remembered of the numbers that it sends to, if anything is.
    pub numbers: Option<NumberRules>,
    /// A request that is sold, as [`Offer::order_of`] takes it, if one is known.
    pub example: Option<Value>,
    /// What its invoices say.
    pub memo: String,
    /// Whether the node's word that it was paid does instead of the preimage.
    pub without_preimage: bool,
    /// Which of the client's header fields go upstream.
    pub forward_headers: Vec<HeaderName>,
    /// The `Content-Type` that goes upstream.
    pub content_type: Option<HeaderValue>,
}
