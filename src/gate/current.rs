//! The gate of now: a reload opens another, and requests that are under way end in theirs.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Gate;
use crate::service::Catalogue;

/// The gate that the next request goes through.
pub struct CurrentGate(ArcSwap<Gate>);

impl CurrentGate {
    /// The one of the start.
    pub fn new(gate: Gate) -> Self {
        Self(ArcSwap::from_pointee(gate))
    }

    /// The one of now.
    pub fn load(&self) -> Arc<Gate> {
        self.0.load_full()
    }

    /// From here on requests are for what this catalogue has.
    pub fn open(&self, catalogue: Arc<Catalogue>) {
        self.0.store(Arc::new(self.load().with_catalogue(catalogue)));
    }
}
