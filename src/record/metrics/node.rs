//! How the Lightning node is, and what it is reached by.

use prometheus::{Histogram, IntGauge};

use super::families::{AbsentGauge, Families};
use crate::lightning::error::NodeErrorKind;

/// Of the node.
pub struct NodeMetrics {
    /// Calls that worked, and that didn't.
    pub calls: [Histogram; 2],
    up: IntGauge,
    state: Vec<(&'static str, IntGauge)>,
    /// 1 while payments are heard of as they come; absent where they aren't detected.
    pub payments_up: AbsentGauge,
    /// When the macaroon that it is shown ends; absent where it doesn't.
    pub macaroon_expiry: AbsentGauge,
}

impl NodeMetrics {
    pub(super) fn new(make: &Families<'_>) -> Result<Self, prometheus::Error> {
        let state = make.gauges(
            "farebox_node_state",
            "1 for the state that the Lightning node is in.",
            &["state"],
        )?;
        let words = std::iter::once("ok").chain(NodeErrorKind::ALL.map(NodeErrorKind::word));
        let calls =
            make.times("farebox_node_call_seconds", "Calls to the Lightning node.", &["result"])?;
        Ok(Self {
            calls: ["ok", "error"].map(|result| calls.with_label_values(&[result])),
            up: make.gauge("farebox_node_up", "1 while the Lightning node serves.")?,
            state: words.map(|word| (word, state.with_label_values(&[word]))).collect(),
            payments_up: make.absent(
                "farebox_payment_detection_up",
                "1 while payments are heard of as they come; absent where they aren't detected.",
            )?,
            macaroon_expiry: make.absent(
                "farebox_macaroon_expiry_timestamp_seconds",
                "When the macaroon that LND is shown ends; absent where it doesn't.",
            )?,
        })
    }

    /// The word of its state.
    pub fn is(&self, word: &str) {
        self.up.set((word == "ok").into());
        for (name, gauge) in &self.state {
            gauge.set((*name == word).into());
        }
    }
}
