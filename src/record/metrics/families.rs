//! How families of counters, gauges and histograms are made and registered.

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Upper bounds of time buckets, in seconds.
const TIMES: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

type Made<T> = Result<T, prometheus::Error>;

/// Registers what it makes. `Err` if two have one name.
pub(super) struct Families<'a>(pub(super) &'a Registry);

impl Families<'_> {
    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        Ok(self.counters(name, help, &[])?.with_label_values::<&str>(&[]))
    }

    /// A gauge with a label has no value until it is set.
    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
        let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Made<IntGauge> {
        let gauge = IntGauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    /// A gauge that is absent until it is set, and again once it is not known.
    pub(super) fn absent(&self, name: &str, help: &str) -> Made<AbsentGauge> {
        let family = GaugeVec::new(Opts::new(name, help), &[])?;
        self.0.register(Box::new(family.clone()))?;
        Ok(AbsentGauge(family))
    }

    pub(super) fn times(&self, name: &str, help: &str, labels: &[&str]) -> Made<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(TIMES.to_vec());
        let family = HistogramVec::new(options, labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

/// A gauge of what may not be known.
pub struct AbsentGauge(GaugeVec);

impl AbsentGauge {
    /// Its value; `None` has it disappear.
    pub fn set(&self, value: Option<f64>) {
        match value {
            Some(value) => self.0.with_label_values::<&str>(&[]).set(value),
            None => drop(self.0.remove_label_values::<&str>(&[])),
        }
    }
}
