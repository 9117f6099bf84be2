//! What a request would cost, without an invoice.

use serde::Serialize;

use super::Msat;

/// A price, as programs read it; the members' names are the discovery draft's.
#[derive(PartialEq, Eq, Debug, Serialize)]
pub struct Quote<'a> {
    service: &'a str,
    /// Satoshi, rounded up.
    price_sat: u64,
    /// Millisatoshi.
    price_msat: u64,
}

impl<'a> Quote<'a> {
    /// Of a request at a service.
    pub fn new(service: &'a str, price: Msat) -> Self {
        Self { service, price_sat: price.sat(), price_msat: price.get() }
    }
}
