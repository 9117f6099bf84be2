//! `/metrics`: what is read at a scrape.

use std::path::Path;

use tokio::time::Instant;

use super::Ops;
use crate::lightning::error::NodeError;
use crate::record::lines::Lines;
use crate::record::metrics::UpstreamState;

impl Ops {
    /// Reads what is read at a scrape only, and gives the text that Prometheus reads.
    pub(super) fn metrics_text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let metrics = &self.metrics;
        let node = self.node.state();
        metrics.node.is(node.as_ref().map_or_else(NodeError::word, |()| "ok"));
        let detected = self.payments.as_ref().map(|payments| payments.state().is_ok());
        metrics.node.payments_up.set(detected.map(|is_up| f64::from(u8::from(is_up))));
        let ends = self.node.ends();
        metrics.certificate_ends("lnd", ends.certificate);
        metrics.node.macaroon_expiry.set(ends.macaroon.map(|at| at as f64));
        let (connections, connections_max) = (self.connections)();
        metrics.connections.set(i64::try_from(connections).unwrap_or(i64::MAX));
        metrics.connections_max.set(i64::try_from(connections_max).unwrap_or(i64::MAX));
        let disk = self.disk.as_deref().and_then(disk);
        metrics.disk_free.set(disk.map(|(free, _)| free));
        metrics.disk_size.set(disk.map(|(_, size)| size));
        let apart = self.ledger.now().apart().as_secs();
        metrics.clocks_apart.set(i64::try_from(apart).unwrap_or(i64::MAX));
        metrics.log_lines_dropped(self.lines.as_ref().map_or(0, Lines::dropped));
        metrics.ledger_up.set(self.ledger.health().is_ok().into());
        metrics.unpaid.set(i64::try_from(self.sale.unpaid()).unwrap_or(i64::MAX));
        metrics.in_flight.set(i64::try_from(self.redeem.in_flight()).unwrap_or(i64::MAX));
        if let Some(certificate) = &self.certificate {
            metrics.certificate_ends("listen", certificate().map(|(_, ends)| ends));
        }
        for service in &self.catalogue.load().services {
            if let Some((there, wasted)) = self.sale.stock(service) {
                service.metrics.stock_is(there, wasted);
            }
            let upstream = &service.upstream;
            service.metrics.upstream_is(&UpstreamState {
                is_up: !upstream.health.is_down(),
                is_misconfigured: upstream.sale_stop.why().is_some(),
                is_limited: upstream.sale_stop.is_limited(Instant::now()),
                connections: upstream.limit.open(),
            });
            let offer = service.offer.as_ref().filter(|offer| offer.has_lists());
            let is_unreadable = offer.map(|offer| offer.list_trouble().is_some());
            service.metrics.list_is_unreadable(is_unreadable);
            match &service.offer {
                Some(_) => service.metrics.sells(self.sale.sells(service)),
                None => service.metrics.sells_nothing(),
            }
        }
        metrics.text()
    }
}

/// Bytes that are free to us, and bytes in all, of the disk that a folder is on.
fn disk(folder: &Path) -> Option<(f64, f64)> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks as f64 * disk.f_frsize as f64;
    Some((bytes(disk.f_bavail), bytes(disk.f_blocks)))
}
