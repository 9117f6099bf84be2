//! How LND is reached.

use std::path::PathBuf;
use std::time::Duration;

use crate::lightning::network::Network;

/// How to reach the node.
#[derive(Clone, Debug)]
pub struct LndSettings {
    /// `host:port` of its gRPC listener.
    pub address: String,
    /// Its tls.cert.
    pub certificate: PathBuf,
    /// A macaroon that may add invoices.
    pub macaroon: PathBuf,
    /// The network that its invoices must be of.
    pub network: Network,
    /// Deadline of each call.
    pub timeout: Duration,
    /// Whether invoices name a way through private channels.
    pub private: bool,
}
