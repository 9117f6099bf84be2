//! The counters of one service. Handles are resolved when the config is loaded.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry};

use super::families::Families;
use crate::code::Code;
use crate::ledger::accounts::Sum;
use crate::ledger::messages::DeliveryState;
use crate::outcome::Outcome;
use crate::price::Msat;

/// What would have become of a request at a service that only watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShadowOutcome {
    /// A challenge, which could have been paid.
    Sold,
    /// Served, for the ticket that came with it.
    Redeemed,
    /// A refusal: the service doesn't sell it.
    Refused,
}

impl ShadowOutcome {
    const ALL: [Self; 3] = [Self::Sold, Self::Redeemed, Self::Refused];

    const fn word(self) -> &'static str {
        match self {
            Self::Sold => "sold",
            Self::Redeemed => "redeemed",
            Self::Refused => "refused",
        }
    }
}

/// Families with a label for the service.
pub(super) struct ServiceFamilies {
    pub(super) requests: IntCounterVec,
    gate_seconds: HistogramVec,
    upstream_seconds: HistogramVec,
    challenges: IntCounterVec,
    reused: IntCounterVec,
    challenged_msat: IntCounterVec,
    redemptions: IntCounterVec,
    delivered_msat: IntCounterVec,
    payments: IntCounterVec,
    paid_msat: IntCounterVec,
    from_stock: IntCounterVec,
    shadow: IntCounterVec,
    deliveries: IntCounterVec,
    gauges: Arc<ServiceGauges>,
}

impl ServiceFamilies {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Families(registry);
        let of_service = &["service"];
        let counters = |name, help| make.counters(name, help, of_service);
        let times = |name, help| make.times(name, help, of_service);
        let requests = "Requests by service and what they came to.";
        let redemptions = "Tickets that were forwarded, by outcome.";
        let stock = "Invoices handed out that were made ahead (hit) or not (miss).";
        let shadow = "Requests of services that only watch, by what would have become of them.";
        let gate = "Time of a request in the gate, without its upstream.";
        let payments = "Challenges that the node says were paid, where payments are detected.";
        let paid = "Msat that the node says were paid, where payments are detected.";
        let deliveries =
            "News of messages from their backend, by how far they came and the country's prefix.";
        let reused = "Challenges that were shown again, in place of a new invoice.";
        Ok(Self {
            requests: make.counters("farebox_requests_total", requests, &["service", "code"])?,
            gate_seconds: times("farebox_gate_seconds", gate)?,
            upstream_seconds: times("farebox_upstream_seconds", "Time of a request upstream.")?,
            challenges: counters("farebox_challenges_total", "Invoices handed out.")?,
            reused: counters("farebox_challenges_reused_total", reused)?,
            challenged_msat: counters(
                "farebox_challenged_msat_total",
                "Msat asked for in invoices.",
            )?,
            redemptions: make.counters(
                "farebox_redemptions_total",
                redemptions,
                &["service", "outcome"],
            )?,
            delivered_msat: counters(
                "farebox_delivered_msat_total",
                "Msat paid for delivered requests.",
            )?,
            payments: counters("farebox_payments_total", payments)?,
            paid_msat: counters("farebox_paid_msat_total", paid)?,
            from_stock: make.counters("farebox_stock_total", stock, &["service", "result"])?,
            shadow: make.counters(
                "farebox_shadow_requests_total",
                shadow,
                &["service", "would"],
            )?,
            deliveries: make.counters(
                "farebox_deliveries_total",
                deliveries,
                &["service", "country", "state"],
            )?,
            gauges: Arc::new(ServiceGauges::new(&make)?),
        })
    }

    /// The handles of one service.
    pub(super) fn service(&self, service: &Arc<str>) -> ServiceMetrics {
        let name: &str = service;
        let outcomes = Outcome::ALL;
        let counter = |family: &IntCounterVec| family.with_label_values(&[name]);
        ServiceMetrics {
            name: Arc::clone(service),
            requests: Code::ALL
                .iter()
                .map(|code| self.requests.with_label_values(&[name, code.word()]))
                .collect(),
            gate_seconds: self.gate_seconds.with_label_values(&[name]),
            upstream_seconds: self.upstream_seconds.with_label_values(&[name]),
            challenges: counter(&self.challenges),
            reused: counter(&self.reused),
            challenged_msat: counter(&self.challenged_msat),
            redemptions: outcomes
                .map(|outcome| self.redemptions.with_label_values(&[name, outcome.word()])),
            delivered_msat: counter(&self.delivered_msat),
            payments: counter(&self.payments),
            paid_msat: counter(&self.paid_msat),
            from_stock: ["hit", "miss"]
                .map(|result| self.from_stock.with_label_values(&[name, result])),
            shadow: ShadowOutcome::ALL
                .map(|would| self.shadow.with_label_values(&[name, would.word()])),
            deliveries: self.deliveries.clone(),
            gauges: Arc::clone(&self.gauges),
        }
    }

    /// See [`ServiceGauges::forget`].
    pub(super) fn forget(&self, service: &str) {
        self.gauges.forget(service);
    }
}

/// What is read at a scrape.
struct ServiceGauges {
    stock: IntGaugeVec,
    stock_wasted: IntGaugeVec,
    unredeemed: IntGaugeVec,
    unredeemed_msat: IntGaugeVec,
    upstream_up: IntGaugeVec,
    upstream_limited: IntGaugeVec,
    upstream_connections: IntGaugeVec,
    misconfigured: IntGaugeVec,
    list_unreadable: IntGaugeVec,
    selling: IntGaugeVec,
}

impl ServiceGauges {
    fn new(make: &Families<'_>) -> Result<Self, prometheus::Error> {
        let gauges = |name, help| make.gauges(name, help, &["service"]);
        let wasted = "Invoices that were made ahead and not handed out, since the start.";
        let unredeemed = "Paid and not delivered so far, where payments are detected.";
        let unredeemed_msat = "Msat paid and not delivered so far, where payments are detected.";
        let misconfigured = "1 while nothing is sold since a service's upstream refuses everybody.";
        let unreadable = "1 while a service goes by a price list or a deny list that was before.";
        let limited = "1 while nothing is sold since a service's upstream asks to wait.";
        Ok(Self {
            stock: gauges("farebox_stock", "Invoices that are made ahead.")?,
            stock_wasted: gauges("farebox_stock_wasted", wasted)?,
            unredeemed: gauges("farebox_unredeemed_payments", unredeemed)?,
            unredeemed_msat: gauges("farebox_unredeemed_msat", unredeemed_msat)?,
            upstream_up: gauges(
                "farebox_upstream_up",
                "0 while a service's upstream is known to be down.",
            )?,
            upstream_limited: gauges("farebox_upstream_limited", limited)?,
            upstream_connections: gauges(
                "farebox_upstream_connections",
                "Connections that are open to a service's upstream.",
            )?,
            misconfigured: gauges("farebox_upstream_misconfigured", misconfigured)?,
            list_unreadable: gauges("farebox_list_unreadable", unreadable)?,
            selling: gauges("farebox_selling", "1 while a service sells, 0 while it is stopped.")?,
        })
    }

    /// A service is gone: its gauges would stand still at what they were. Counters stay, since they
    /// say what was.
    fn forget(&self, service: &str) {
        for family in [
            &self.stock,
            &self.stock_wasted,
            &self.unredeemed,
            &self.unredeemed_msat,
            &self.upstream_up,
            &self.upstream_limited,
            &self.upstream_connections,
            &self.misconfigured,
            &self.list_unreadable,
            &self.selling,
        ] {
            let _ = family.remove_label_values(&[service]);
        }
    }
}

/// How a service's upstream is.
pub struct UpstreamState {
    /// Unless it is known to be down.
    pub is_up: bool,
    /// Whether it refuses everybody.
    pub is_misconfigured: bool,
    /// Whether it asks to wait.
    pub is_limited: bool,
    /// Connections that are open to it.
    pub connections: usize,
}

/// One service's handles.
pub struct ServiceMetrics {
    name: Arc<str>,
    requests: Vec<IntCounter>,
    gate_seconds: Histogram,
    upstream_seconds: Histogram,
    challenges: IntCounter,
    reused: IntCounter,
    challenged_msat: IntCounter,
    redemptions: [IntCounter; 4],
    delivered_msat: IntCounter,
    payments: IntCounter,
    paid_msat: IntCounter,
    from_stock: [IntCounter; 2],
    shadow: [IntCounter; 3],
    /// By country and state: of few messages a second, and so looked up.
    deliveries: IntCounterVec,
    gauges: Arc<ServiceGauges>,
}

impl ServiceMetrics {
    /// The service's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request, the time that it spent here, and that which it spent upstream, if it was there.
    pub fn request(&self, code: Code, gate: Duration, upstream: Option<Duration>) {
        if let Some(counter) = self.requests.get(code as usize) {
            counter.inc();
        }
        self.gate_seconds.observe(gate.as_secs_f64());
        if let Some(upstream) = upstream {
            self.upstream_seconds.observe(upstream.as_secs_f64());
        }
    }

    /// A new challenge.
    pub fn challenge(&self, price: Msat) {
        self.challenges.inc();
        self.challenged_msat.inc_by(price.get());
    }

    /// A challenge that was shown before.
    pub fn challenge_again(&self) {
        self.reused.inc();
    }

    /// An invoice was wanted, and there was one that was made ahead, or not.
    pub fn stock(&self, hit: bool) {
        let [hits, misses] = &self.from_stock;
        if hit { hits } else { misses }.inc();
    }

    /// Invoices that are made ahead, and those that were in vain.
    pub fn stock_is(&self, there: usize, wasted: u64) {
        self.set(&self.gauges.stock, whole(there));
        self.set(&self.gauges.stock_wasted, whole(wasted));
    }

    /// How its upstream is.
    pub fn upstream_is(&self, state: &UpstreamState) {
        let gauges = &self.gauges;
        self.set(&gauges.upstream_up, state.is_up.into());
        self.set(&gauges.misconfigured, state.is_misconfigured.into());
        self.set(&gauges.upstream_limited, state.is_limited.into());
        self.set(&gauges.upstream_connections, whole(state.connections));
    }

    /// Whether it goes by a list that was before, since the one of now can't be read; `None` where
    /// it has no list.
    pub fn list_is_unreadable(&self, is_unreadable: Option<bool>) {
        let family = &self.gauges.list_unreadable;
        match is_unreadable {
            Some(is_unreadable) => self.set(family, is_unreadable.into()),
            None => drop(family.remove_label_values(&[&*self.name])),
        }
    }

    /// Whether it sells.
    pub fn sells(&self, sells: bool) {
        self.set(&self.gauges.selling, sells.into());
    }

    /// It is free, perhaps since a reload.
    pub fn sells_nothing(&self) {
        let ServiceGauges { selling, stock, stock_wasted, .. } = &*self.gauges;
        for family in [selling, stock, stock_wasted] {
            let _ = family.remove_label_values(&[&*self.name]);
        }
    }

    fn set(&self, family: &IntGaugeVec, value: i64) {
        family.with_label_values(&[&*self.name]).set(value);
    }

    /// A payment was detected.
    pub fn paid(&self, msat: u64) {
        self.payments.inc();
        self.paid_msat.inc_by(msat);
    }

    /// What is paid and not delivered. Absent until it is known.
    pub fn unredeemed(&self, sum: Sum) {
        self.set(&self.gauges.unredeemed, whole(sum.count));
        self.set(&self.gauges.unredeemed_msat, whole(sum.msat));
    }

    /// A request passed that would have come to this.
    pub fn shadow(&self, would: ShadowOutcome) {
        let [sold, redeemed, refused] = &self.shadow;
        match would {
            ShadowOutcome::Sold => sold,
            ShadowOutcome::Redeemed => redeemed,
            ShadowOutcome::Refused => refused,
        }
        .inc();
    }

    /// News of a message to a country.
    pub fn delivery(&self, country: &str, state: DeliveryState) {
        self.deliveries.with_label_values(&[&*self.name, country, state.word()]).inc();
    }

    /// A ticket that was forwarded.
    pub fn redemption(&self, outcome: Outcome, price_msat: u64) {
        let [delivered, not_sent, refused, unknown] = &self.redemptions;
        match outcome {
            Outcome::Delivered => {
                delivered.inc();
                self.delivered_msat.inc_by(price_msat);
            }
            Outcome::NotSent => not_sent.inc(),
            Outcome::Refused => refused.inc(),
            Outcome::Unknown => unknown.inc(),
        }
    }
}

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
