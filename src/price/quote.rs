//! What a request would cost, without an invoice.

use serde::Serialize;

use super::tariff::{OtherAmount, Price};

/// A price, as programs read it; the members' names are the discovery draft's.
#[derive(PartialEq, Eq, Debug, Serialize)]
pub struct Quote<'a> {
    service: &'a str,
    /// Satoshi, rounded up.
    price_sat: u64,
    /// Millisatoshi.
    price_msat: u64,
    /// What that was made of, where the price is in another currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    fiat: Option<&'a OtherAmount>,
}

impl<'a> Quote<'a> {
    /// Of a request at a service.
    pub fn new(service: &'a str, price: &'a Price) -> Self {
        let Price { msat, other } = price;
        Self { service, price_sat: msat.sat(), price_msat: msat.get(), fiat: other.as_ref() }
    }
}
