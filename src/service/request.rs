//! A checked request at a paid service, with all that is known of it at the door.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use hyper::http::request::Parts;

use super::{Offer, Service};
use crate::client::{Client, Peer};
use crate::keys::{KeyIndex, KeyRing, Keys};
use crate::order::Order;
use crate::order::digest::{self, Bound};
use crate::price::Msat;
use crate::request_digest::RequestDigest;

/// What is to be bought, or was.
pub struct PaidRequest<'a> {
    /// The service.
    pub service: &'a Arc<Service>,
    /// What it sells.
    pub offer: &'a Offer,
    /// What is asked for, in the form in which it is priced, digested and forwarded.
    pub order: Order,
    /// What that costs.
    pub price: Msat,
    /// The request's head.
    pub head: Parts,
    /// The other end of the connection.
    pub peer: &'a Peer,
    /// Who asks.
    pub client: &'a Client,
    /// Under the key that mints. Made when it is first needed: most passes never are bound.
    digest: OnceLock<RequestDigest>,
}

impl<'a> PaidRequest<'a> {
    /// Prices an order.
    pub fn new(
        service: &'a Arc<Service>,
        offer: &'a Offer,
        order: Order,
        head: Parts,
        peer: &'a Peer,
        client: &'a Client,
    ) -> Self {
        let (price, digest) = (offer.price, OnceLock::new());
        Self { service, offer, order, price, head, peer, client, digest }
    }

    /// What a new ticket for this request is bound to.
    pub fn digest(&self, ring: &KeyRing) -> RequestDigest {
        *self.digest.get_or_init(|| self.digest_under(ring.minting()))
    }

    /// Whether `bound`, of a ticket that was signed by the key `key`, is the digest of this
    /// request.
    pub fn has_digest(&self, ring: &KeyRing, key: KeyIndex, bound: RequestDigest) -> bool {
        if key.is_minting() {
            return self.digest(ring) == bound;
        }
        ring.get(key).is_some_and(|keys| self.digest_under(keys) == bound)
    }

    fn digest_under(&self, keys: &Keys) -> RequestDigest {
        let path = match self.order.query() {
            Some(query) => Cow::from(format!("{}?{query}", self.service.path)),
            None => Cow::from(&self.service.path),
        };
        let bound = Bound {
            service: &self.service.name,
            method: self.service.method.as_str(),
            path: &path,
            content_type: self.offer.rules.content_type(),
            body: self.order.body(),
        };
        digest::digest(keys.digest_key(), &bound)
    }
}
