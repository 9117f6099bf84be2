//! Which node it is, by the config.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::lnd::{Lnd, LndSettings};
use super::{Node, Observer};

/// The node of these settings. Connects to nothing yet. `observer` hears of each call for an
/// invoice.
pub fn open(
    settings: LndSettings,
    provider: Arc<CryptoProvider>,
    observer: Observer,
) -> Arc<dyn Node> {
    Arc::new(Lnd::new(settings, provider, observer))
}
