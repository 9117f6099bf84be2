//! The catalogue of now, which a reload replaces.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Catalogue;

/// The catalogue of now. What goes on beside the requests looks at it each time; a request sees one
/// catalogue from its beginning to its end.
pub struct CurrentCatalogue(ArcSwap<Catalogue>);

impl CurrentCatalogue {
    /// The one of the start.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self(ArcSwap::new(catalogue))
    }

    /// The one of now.
    pub fn load(&self) -> Arc<Catalogue> {
        self.0.load_full()
    }

    /// From here on this one.
    pub fn replace(&self, catalogue: Arc<Catalogue>) {
        self.0.store(catalogue);
    }
}
