//! The counters. Handles are resolved when the config is loaded; nothing is looked up by name on a
//! request's way.

mod config;
mod families;
mod node;
mod service;

use std::sync::Arc;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder as _, Histogram, IntCounter, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use self::config::ConfigMetrics;
use self::families::{AbsentGauge, Families};
use self::node::NodeMetrics;
use self::service::ServiceFamilies;
pub use self::service::{ServiceMetrics, ShadowOutcome, UpstreamState};
use crate::code::Code;
use crate::ledger::state::State;
use crate::ledger::store::Waiting;

/// All families.
pub struct Metrics {
    registry: Registry,
    of_services: ServiceFamilies,
    unrouted: Vec<IntCounter>,
    /// Durable commits of the ledger.
    pub commit_seconds: Histogram,
    /// Of the node.
    pub node: NodeMetrics,
    /// 1 while the ledger can be written.
    pub ledger_up: IntGauge,
    tickets: IntGaugeVec,
    /// By how many seconds the machine's clock and the ledger's differ.
    pub clocks_apart: IntGauge,
    /// Open challenges.
    pub unpaid: IntGauge,
    /// Redemptions under way.
    pub in_flight: IntGauge,
    /// Connections of payers.
    pub connections: IntGauge,
    /// How many there may be.
    pub connections_max: IntGauge,
    /// Bytes that are free, and bytes in all, where the SQLite ledger lies.
    pub disk_free: AbsentGauge,
    /// See `disk_free`.
    pub disk_size: AbsentGauge,
    log_lines_dropped: IntCounter,
    certificate_expiry: IntGaugeVec,
    /// Of the config.
    pub config: ConfigMetrics,
}

impl Metrics {
    /// Registers every family. Fails only if two of them have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Families(&registry);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = make.gauges("farebox_build_info", "1 for the version that runs.", &["version"]);
        build?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let of_services = ServiceFamilies::new(&registry)?;
        let commits =
            make.times("farebox_ledger_commit_seconds", "Durable commits of the ledger.", &[])?;
        let codes = Code::ALL.iter();
        Ok(Self {
            unrouted: codes
                .map(|code| of_services.requests.with_label_values(&["-", code.word()]))
                .collect(),
            of_services,
            commit_seconds: commits.with_label_values::<&str>(&[]),
            node: NodeMetrics::new(&make)?,
            config: ConfigMetrics::new(&make)?,
            ledger_up: make.gauge("farebox_ledger_up", "1 while the ledger can be written.")?,
            tickets: make.gauges(
                "farebox_tickets",
                "Tickets that were handed in and wait: parked, free, or refused.",
                &["service", "state"],
            )?,
            clocks_apart: make.gauge(
                "farebox_clocks_apart_seconds",
                "By how much the machine's clock and the ledger's, which follows slowly, differ.",
            )?,
            unpaid: make.gauge(
                "farebox_unpaid_challenges",
                "Invoices that are neither redeemed nor expired.",
            )?,
            in_flight: make.gauge("farebox_redemptions_in_flight", "Redemptions under way.")?,
            connections: make.gauge("farebox_connections", "Connections of payers.")?,
            connections_max: make
                .gauge("farebox_connections_max", "Most connections of payers at once.")?,
            disk_free: make.absent(
                "farebox_disk_free_bytes",
                "Bytes that are free where the SQLite ledger lies.",
            )?,
            disk_size: make
                .absent("farebox_disk_size_bytes", "Bytes in all where the SQLite ledger lies.")?,
            log_lines_dropped: make.counter(
                "farebox_log_lines_dropped_total",
                "Log lines that were dropped, since nobody read them.",
            )?,
            certificate_expiry: make.gauges(
                "farebox_certificate_expiry_timestamp_seconds",
                "When a certificate ends: that of payers (listen), or LND's (lnd).",
                &["certificate"],
            )?,
            registry,
        })
    }

    /// The handles of one service.
    pub fn service(&self, service: &Arc<str>) -> ServiceMetrics {
        self.of_services.service(service)
    }

    /// A request that is for no service.
    pub fn unrouted(&self, code: Code) {
        if let Some(counter) = self.unrouted.get(code as usize) {
            counter.inc();
        }
    }

    /// Until when a certificate is valid, in Unix seconds; `None` where there is none.
    pub fn certificate_ends(&self, certificate: &str, at: Option<i64>) {
        match at {
            Some(at) => self.certificate_expiry.with_label_values(&[certificate]).set(at),
            None => drop(self.certificate_expiry.remove_label_values(&[certificate])),
        }
    }

    /// The tickets that wait. Of the services of today all states have a number.
    pub fn tickets(&self, services: &[Arc<str>], waiting: &[Waiting]) {
        self.tickets.reset();
        for service in services {
            for state in [State::Parked, State::Free, State::Refused] {
                self.tickets.with_label_values(&[service, state.word()]).set(0);
            }
        }
        for Waiting { service, state, count } in waiting {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.tickets.with_label_values(&[service, state.word()]).set(count);
        }
    }

    /// A service is gone.
    pub fn forget(&self, service: &str) {
        self.of_services.forget(service);
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
