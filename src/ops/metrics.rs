//! `/metrics`: what is read at a scrape.

use super::Ops;
use crate::lightning::error::NodeError;
use crate::record::lines::Lines;

impl Ops {
    /// Reads what is read at a scrape only, and gives the text that Prometheus reads.
    pub(super) fn metrics_text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let metrics = &self.metrics;
        let node = self.node.state();
        metrics.node_up.set(node.is_ok().into());
        metrics.node_is(node.as_ref().map_or_else(NodeError::word, |()| "ok"));
        if let Some(payments) = &self.payments {
            metrics.payments_up.set(payments.state().is_ok().into());
        }
        let apart = self.ledger.now().apart().as_secs();
        metrics.clocks_apart.set(i64::try_from(apart).unwrap_or(i64::MAX));
        metrics.log_lines_dropped(self.lines.as_ref().map_or(0, Lines::dropped));
        metrics.ledger_up.set(self.ledger.health().is_ok().into());
        metrics.unpaid.set(i64::try_from(self.sale.unpaid()).unwrap_or(i64::MAX));
        metrics.in_flight.set(i64::try_from(self.redeem.in_flight()).unwrap_or(i64::MAX));
        for service in &self.catalogue.load().services {
            if let Some((there, wasted)) = self.sale.stock(service) {
                service.metrics.stock_is(there, wasted);
            }
            let upstream = &service.upstream;
            service.metrics.upstream_up.set((!upstream.health.is_down()).into());
            service.metrics.misconfigured.set(upstream.sale_stop.why().is_some().into());
        }
        metrics.text()
    }
}
