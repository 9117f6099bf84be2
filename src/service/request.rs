//! A request at a paid service, with all that is known of it at the door.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;

use super::{Catalogue, Offer, Service};
use crate::client::Client;
use crate::keys::{KeyRing, Keys};
use crate::l402::verify::Genuine;
use crate::order::digest::{self, Bound};
use crate::order::{Bind, Order, Unfit};
use crate::request_digest::RequestDigest;

/// What came, read whole.
pub struct PaidRequest<'a> {
    /// What was served when it came.
    pub catalogue: &'a Catalogue,
    /// The service.
    pub service: &'a Arc<Service>,
    /// What it sells.
    pub offer: &'a Offer,
    /// The request's head.
    pub head: Parts,
    /// Its body.
    pub body: Bytes,
    /// Whether it came to the address that the service sells at, not to one that it had before.
    pub is_for_sale_here: bool,
    /// Who asks.
    pub client: &'a Client,
    /// Whether it is a browser that wants to show a page.
    pub accepts_page: bool,
}

/// What stands in the place of the query in the digest of a challenge that is shown to who asks for
/// nothing. No query has this character, since all are escaped.
const PROBE: &str = "\0probe";

impl PaidRequest<'_> {
    /// Judges it by the rules of today, as every sale and every use of a pass demands.
    pub fn judged(&self) -> Result<Order, Unfit> {
        let content_type = content_type(&self.head.headers);
        self.offer.order(content_type, self.head.uri.query(), self.body.clone())
    }

    /// What was sold by a ticket that is bound to `bound`, if it was sold for this very request:
    /// then it was judged when it was sold, and isn't judged again.
    pub fn sold_by(&self, ring: &KeyRing, ticket: &Genuine, bound: RequestDigest) -> Option<Order> {
        let keys = ring.get(ticket.key)?;
        let name = self.service.names().all().nth(ticket.name)?;
        let mut forms = self.offer.rules.forms(self.head.uri.query(), &self.body);
        forms.find(|order| digest_under(keys, name, order) == bound)
    }

    /// What a ticket that is shown to who asks for nothing is bound to.
    pub fn probe_digest(&self, ring: &KeyRing) -> RequestDigest {
        probe_digest_under(ring.minting(), &self.service.name)
    }

    /// The order that a paid ticket of such a challenge buys, what it is bound to from then on, and
    /// whether the service sells that today: what was bound before needn't be sold any more.
    pub fn bought_by_probe(
        &self,
        ring: &KeyRing,
        ticket: &Genuine,
        bound: RequestDigest,
    ) -> Option<(Order, RequestDigest, bool)> {
        if !is_of_probe(self.service, ring, ticket, bound) {
            return None;
        }
        let keys = ring.get(ticket.key)?;
        let name = self.service.names().all().nth(ticket.name)?;
        let order = self.offer.rules.forms(self.head.uri.query(), &self.body).next()?;
        let digest = digest_under(keys, name, &order);
        Some((order, digest, self.judged().is_ok()))
    }

    /// What an order is to a ticket that was sold for another one; `None` if its secret is gone.
    pub fn digest_for(
        &self,
        ring: &KeyRing,
        ticket: &Genuine,
        order: &Order,
    ) -> Option<RequestDigest> {
        let name = self.service.names().all().nth(ticket.name)?;
        Some(digest_under(ring.get(ticket.key)?, name, order))
    }

    /// What a new ticket for an order is bound to.
    pub fn digest(&self, ring: &KeyRing, order: &Order) -> RequestDigest {
        digest_under(ring.minting(), &self.service.name, order)
    }
}

/// Whether a ticket was shown to all who asked for nothing: then others hold its macaroon too.
pub fn is_of_probe(
    service: &Service,
    ring: &KeyRing,
    ticket: &Genuine,
    bound: RequestDigest,
) -> bool {
    let of_probe = || {
        let keys = ring.get(ticket.key)?;
        let name = service.names().all().nth(ticket.name)?;
        Some(probe_digest_under(keys, name) == bound)
    };
    of_probe().unwrap_or(false)
}

fn probe_digest_under(keys: &Keys, service: &str) -> RequestDigest {
    let bound = Bound { service, binding: Bind::Exact, query: PROBE, body: b"" };
    digest::digest(keys.digest_key(), &bound)
}

fn digest_under(keys: &Keys, service: &str, order: &Order) -> RequestDigest {
    let bound = Bound {
        service,
        binding: order.bind(),
        query: order.query().unwrap_or_default(),
        body: order.body(),
    };
    digest::digest(keys.digest_key(), &bound)
}

/// The one `Content-Type`, if there is one; two are refused by not matching anything.
pub fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let line = lines.next();
    if lines.next().is_some() { None } else { line.map(HeaderValue::as_bytes) }
}
