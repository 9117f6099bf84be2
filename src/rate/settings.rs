//! `[rate]`, checked.

use std::time::Duration;

use hyper::Uri;

/// What the operator says of the rate, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateSettings {
    /// The currency's code, such as `USD`.
    pub currency: String,
    /// Who knows it: https, or http on this machine.
    pub url: Uri,
    /// Where in the answer it stands (RFC 6901).
    pub pointer: String,
    /// How often it is asked for.
    pub interval: Duration,
    /// For how long it holds.
    pub age_max: Duration,
}
