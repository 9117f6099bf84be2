//! Which config is in force, and since when.

use prometheus::{IntCounter, IntGauge};

use super::families::Families;
use crate::time::UnixTime;

/// Of the config.
pub struct ConfigMetrics {
    reloads: [IntCounter; 2],
    reloaded_at: IntGauge,
    hash: IntGauge,
}

impl ConfigMetrics {
    pub(super) fn new(make: &Families<'_>) -> Result<Self, prometheus::Error> {
        let reloads = make.counters(
            "farebox_config_reloads_total",
            "Reloads of the config, by whether it could be used (ok) or not (failed).",
            &["outcome"],
        )?;
        Ok(Self {
            reloads: ["ok", "failed"].map(|outcome| reloads.with_label_values(&[outcome])),
            reloaded_at: make.gauge(
                "farebox_config_last_reload_success_timestamp_seconds",
                "When the config in force was read.",
            )?,
            hash: make.gauge(
                "farebox_config_hash",
                "A number made of what the config sells: instances on one ledger have the same.",
            )?,
        })
    }

    /// It was read, and is in force.
    pub fn is(&self, hash: u64) {
        // A gauge is a double, which holds 53 bits.
        self.hash.set(i64::try_from(hash >> 12).unwrap_or(i64::MAX));
        self.reloaded_at.set(i64::try_from(UnixTime::now().seconds()).unwrap_or(i64::MAX));
    }

    /// It was read again, and could be used or not.
    pub fn reloaded(&self, is_ok: bool) {
        let [ok, failed] = &self.reloads;
        if is_ok { ok } else { failed }.inc();
    }
}
