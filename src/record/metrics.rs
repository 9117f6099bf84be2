//! The counters. Handles are resolved when the config is loaded; nothing is looked up by name on a
//! request's way.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::code::Code;
use crate::ledger::accounts::Sum;
use crate::lightning::error::NodeErrorKind;
use crate::outcome::Outcome;
use crate::price::Msat;
use crate::time::UnixTime;

/// Upper bounds of time buckets, in seconds.
const TIMES: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

fn seconds_now() -> i64 {
    i64::try_from(UnixTime::now().seconds()).unwrap_or(i64::MAX)
}

/// All families.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    unrouted: Vec<IntCounter>,
    gate_seconds: HistogramVec,
    challenges: IntCounterVec,
    challenged_msat: IntCounterVec,
    redemptions: IntCounterVec,
    delivered_msat: IntCounterVec,
    /// Durable commits of the ledger.
    pub commit_seconds: Histogram,
    /// Calls to the node that worked, and that didn't.
    pub node_calls: [Histogram; 2],
    /// 1 while the node serves.
    pub node_up: IntGauge,
    node_state: Vec<(&'static str, IntGauge)>,
    /// 1 while payments are heard of as they come.
    pub payments_up: IntGauge,
    payments: IntCounterVec,
    from_stock: IntCounterVec,
    stock: IntGaugeVec,
    stock_wasted: IntGaugeVec,
    unredeemed: IntGaugeVec,
    unredeemed_msat: IntGaugeVec,
    /// 1 while the ledger can be written.
    pub ledger_up: IntGauge,
    /// By how many seconds the machine's clock and the ledger's differ.
    pub clocks_apart: IntGauge,
    /// Open challenges.
    pub unpaid: IntGauge,
    /// Redemptions under way.
    pub in_flight: IntGauge,
    upstream_up: IntGaugeVec,
    misconfigured: IntGaugeVec,
    log_lines_dropped: IntCounter,
    reloads: [IntCounter; 2],
    reloaded_at: IntGauge,
}

/// One service's handles.
pub struct ServiceMetrics {
    name: Arc<str>,
    requests: Vec<IntCounter>,
    gate_seconds: Histogram,
    challenges: IntCounter,
    challenged_msat: IntCounter,
    redemptions: [IntCounter; 3],
    delivered_msat: IntCounter,
    payments: IntCounter,
    from_stock: [IntCounter; 2],
    stock: IntGauge,
    stock_wasted: IntGauge,
    unredeemed: IntGauge,
    unredeemed_msat: IntGauge,
    /// 1 unless the upstream is known to be down.
    pub upstream_up: IntGauge,
    /// 1 while nothing is sold since its upstream refuses everybody.
    pub misconfigured: IntGauge,
}

impl Metrics {
    /// Registers every family. Fails only if two of them have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let family = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(family.clone()))?;
                Ok(family)
            };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let times = |name: &str,
                     help: &str,
                     labels: &[&str]|
         -> Result<HistogramVec, prometheus::Error> {
            let family =
                HistogramVec::new(HistogramOpts::new(name, help).buckets(TIMES.to_vec()), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let requests = counters(
            "farebox_requests_total",
            "Requests by service and what they came to.",
            &["service", "code"],
        )?;
        let gauges =
            |name: &str, help: &str, label: &str| -> Result<IntGaugeVec, prometheus::Error> {
                let family = IntGaugeVec::new(Opts::new(name, help), &[label])?;
                registry.register(Box::new(family.clone()))?;
                Ok(family)
            };
        let node_state = gauges(
            "farebox_node_state",
            "1 for the state that the Lightning node is in.",
            "state",
        )?;
        let reloads = counters(
            "farebox_config_reloads_total",
            "Reloads of the config, by whether it could be used (ok) or not (failed).",
            &["outcome"],
        )?;
        let words = std::iter::once("ok").chain(NodeErrorKind::ALL.map(NodeErrorKind::word));
        let node_calls =
            times("farebox_node_call_seconds", "Calls to the Lightning node.", &["result"])?;
        Ok(Self {
            unrouted: Code::ALL
                .iter()
                .map(|code| requests.with_label_values(&["-", code.word()]))
                .collect(),
            gate_seconds: times(
                "farebox_gate_seconds",
                "Time of a request in the gate, without its upstream.",
                &["service"],
            )?,
            challenges: counters("farebox_challenges_total", "Invoices handed out.", &["service"])?,
            challenged_msat: counters(
                "farebox_challenged_msat_total",
                "Msat asked for in invoices.",
                &["service"],
            )?,
            redemptions: counters(
                "farebox_redemptions_total",
                "Tickets that were forwarded, by outcome.",
                &["service", "outcome"],
            )?,
            delivered_msat: counters(
                "farebox_delivered_msat_total",
                "Msat paid for delivered requests.",
                &["service"],
            )?,
            commit_seconds: times(
                "farebox_ledger_commit_seconds",
                "Durable commits of the ledger.",
                &[],
            )?
            .with_label_values::<&str>(&[]),
            node_calls: [
                node_calls.with_label_values(&["ok"]),
                node_calls.with_label_values(&["error"]),
            ],
            node_up: gauge("farebox_node_up", "1 while the Lightning node serves.")?,
            node_state: words.map(|word| (word, node_state.with_label_values(&[word]))).collect(),
            payments_up: gauge(
                "farebox_payment_detection_up",
                "1 while payments are heard of as they come; 0 also where that is off.",
            )?,
            payments: counters(
                "farebox_payments_total",
                "Challenges that the node says were paid, where payments are detected.",
                &["service"],
            )?,
            from_stock: counters(
                "farebox_stock_total",
                "Invoices handed out that were made ahead (hit) or not (miss).",
                &["service", "result"],
            )?,
            stock: gauges("farebox_stock", "Invoices that are made ahead.", "service")?,
            stock_wasted: gauges(
                "farebox_stock_wasted",
                "Invoices that were made ahead and not handed out, since the start.",
                "service",
            )?,
            unredeemed: gauges(
                "farebox_unredeemed_payments",
                "Paid and not delivered so far, where payments are detected.",
                "service",
            )?,
            unredeemed_msat: gauges(
                "farebox_unredeemed_msat",
                "Msat paid and not delivered so far, where payments are detected.",
                "service",
            )?,
            ledger_up: gauge("farebox_ledger_up", "1 while the ledger can be written.")?,
            clocks_apart: gauge(
                "farebox_clocks_apart_seconds",
                "By how much the machine's clock and the ledger's, which follows slowly, differ.",
            )?,
            unpaid: gauge(
                "farebox_unpaid_challenges",
                "Invoices that are neither redeemed nor expired.",
            )?,
            in_flight: gauge("farebox_redemptions_in_flight", "Redemptions under way.")?,
            upstream_up: gauges(
                "farebox_upstream_up",
                "0 while a service's upstream is known to be down.",
                "service",
            )?,
            misconfigured: gauges(
                "farebox_upstream_misconfigured",
                "1 while nothing is sold since a service's upstream refuses everybody.",
                "service",
            )?,
            log_lines_dropped: counters(
                "farebox_log_lines_dropped_total",
                "Log lines that were dropped, since nobody read them.",
                &[],
            )?
            .with_label_values::<&str>(&[]),
            reloads: ["ok", "failed"].map(|outcome| reloads.with_label_values(&[outcome])),
            reloaded_at: {
                let at = gauge(
                    "farebox_config_last_reload_success_timestamp_seconds",
                    "When the config in force was read.",
                )?;
                at.set(seconds_now());
                at
            },
            requests,
            registry,
        })
    }

    /// The handles of one service.
    pub fn service(&self, service: &Arc<str>) -> ServiceMetrics {
        let name: &str = service;
        let outcomes = [Outcome::Delivered, Outcome::NotSent, Outcome::Unknown];
        ServiceMetrics {
            name: Arc::clone(service),
            requests: Code::ALL
                .iter()
                .map(|code| self.requests.with_label_values(&[name, code.word()]))
                .collect(),
            gate_seconds: self.gate_seconds.with_label_values(&[name]),
            challenges: self.challenges.with_label_values(&[name]),
            challenged_msat: self.challenged_msat.with_label_values(&[name]),
            redemptions: outcomes
                .map(|outcome| self.redemptions.with_label_values(&[name, outcome.word()])),
            delivered_msat: self.delivered_msat.with_label_values(&[name]),
            payments: self.payments.with_label_values(&[name]),
            from_stock: ["hit", "miss"]
                .map(|result| self.from_stock.with_label_values(&[name, result])),
            stock: self.stock.with_label_values(&[name]),
            stock_wasted: self.stock_wasted.with_label_values(&[name]),
            unredeemed: self.unredeemed.with_label_values(&[name]),
            unredeemed_msat: self.unredeemed_msat.with_label_values(&[name]),
            upstream_up: self.upstream_up.with_label_values(&[name]),
            misconfigured: self.misconfigured.with_label_values(&[name]),
        }
    }

    /// A request that is for no service.
    pub fn unrouted(&self, code: Code) {
        if let Some(counter) = self.unrouted.get(code as usize) {
            counter.inc();
        }
    }

    /// The config was read again, and could be used or not.
    pub fn reloaded(&self, is_ok: bool) {
        let [ok, failed] = &self.reloads;
        if is_ok { ok } else { failed }.inc();
        if is_ok {
            self.reloaded_at.set(seconds_now());
        }
    }

    /// A service is gone: its gauges would stand still at what they were. Counters stay, since they
    /// say what was.
    pub fn forget(&self, service: &str) {
        for family in [
            &self.stock,
            &self.stock_wasted,
            &self.unredeemed,
            &self.unredeemed_msat,
            &self.upstream_up,
            &self.misconfigured,
        ] {
            let _ = family.remove_label_values(&[service]);
        }
    }

    /// The word of the node's state.
    pub fn node_is(&self, word: &str) {
        for (name, gauge) in &self.node_state {
            gauge.set((*name == word).into());
        }
    }

    /// How many log lines were dropped since the start.
    pub fn log_lines_dropped(&self, total: u64) {
        self.log_lines_dropped.inc_by(total.saturating_sub(self.log_lines_dropped.get()));
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl ServiceMetrics {
    /// The service's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request and the time that it spent here.
    pub fn request(&self, code: Code, gate: Duration) {
        if let Some(counter) = self.requests.get(code as usize) {
            counter.inc();
        }
        self.gate_seconds.observe(gate.as_secs_f64());
    }

    /// A new challenge.
    pub fn challenge(&self, price: Msat) {
        self.challenges.inc();
        self.challenged_msat.inc_by(price.get());
    }

    /// An invoice was wanted, and there was one that was made ahead, or not.
    pub fn stock(&self, hit: bool) {
        let [hits, misses] = &self.from_stock;
        if hit { hits } else { misses }.inc();
    }

    /// Invoices that are made ahead, and those that were in vain.
    pub fn stock_is(&self, there: usize, wasted: u64) {
        self.stock.set(i64::try_from(there).unwrap_or(i64::MAX));
        self.stock_wasted.set(i64::try_from(wasted).unwrap_or(i64::MAX));
    }

    /// A payment was detected.
    pub fn paid(&self) {
        self.payments.inc();
    }

    /// What is paid and not delivered.
    pub fn unredeemed(&self, sum: Sum) {
        self.unredeemed.set(i64::try_from(sum.count).unwrap_or(i64::MAX));
        self.unredeemed_msat.set(i64::try_from(sum.msat).unwrap_or(i64::MAX));
    }

    /// A ticket that was forwarded.
    pub fn redemption(&self, outcome: Outcome, price_msat: u64) {
        let [delivered, not_sent, unknown] = &self.redemptions;
        match outcome {
            Outcome::Delivered => {
                delivered.inc();
                self.delivered_msat.inc_by(price_msat);
            }
            Outcome::NotSent => not_sent.inc(),
            Outcome::Unknown => unknown.inc(),
        }
    }
}
