//! All that a run owns: it goes on whoever still waits for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use hyper::header::{HeaderMap, HeaderValue};

use super::{exchange, sealed_order};
use crate::keys::{KeyRing, Keys};
use crate::l402::verify::Genuine;
use crate::ledger::state::{Attempt, ClaimId};
use crate::order::Order;
use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;
use crate::service::request::PaidRequest;
use crate::service::{Offer, Service};
use crate::upstream::request;

/// By how much a claim outlives the longest time that its try can take.
pub(super) const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Whether a delivered answer is kept, to be given back to repeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeepAnswer {
    /// It is: a single-use ticket buys its answer too.
    Yes,
    /// It isn't: the next use of a pass is another request.
    No,
}

/// What is claimed, and what is sent once it is.
pub(super) struct Job {
    pub(super) service: Arc<Service>,
    /// The ticket that pays for it: of a use of a pass, the pass.
    pub(super) ticket: PaymentHash,
    pub(super) attempt: Attempt,
    pub(super) order: Order,
    pub(super) request: Request<Bytes>,
    pub(super) keep: KeepAnswer,
}

impl Job {
    /// `None` if its request can't be written, or its secret is gone.
    pub(super) fn new(
        ring: &KeyRing,
        paid: &PaidRequest<'_>,
        ticket: PaymentHash,
        (order, segments): (&Order, Option<u32>),
        mut attempt: Attempt,
        keep: KeepAnswer,
    ) -> Option<Self> {
        let keys = ring.of(attempt.key)?;
        let mut request = upstream_request(paid, order, segments)?;
        put_reference(paid.service, keys, &attempt.hash, &mut request);
        attempt.sealed = sealed_order::seal(
            keys,
            &attempt.hash,
            &paid.service.name,
            // As the backend has it.
            &paid.offer.sent(order, segments),
            &paid.head.headers,
            &paid.offer.forward_headers,
        );
        if let Some(place) = &paid.service.key {
            let is_named = place.put(&mut request, &keys.idempotency_key(&attempt.hash)).is_some();
            // Sold before the key had to be a member of its body: it goes without, and so once.
            attempt.remembered = attempt.remembered.filter(|_| is_named);
            attempt.place = attempt.place.filter(|_| is_named);
        }
        let (service, order) = (Arc::clone(paid.service), order.clone());
        Some(Self { service, ticket, attempt, order, request, keep })
    }
}

/// A try at a ticket that is bound to no request yet, with a name of its own; `None` if the system
/// has no randomness.
pub(super) fn attempt_at(ring: &KeyRing, service: &Service, ticket: &Genuine) -> Option<Attempt> {
    let mut claim = [0_u8; 16];
    getrandom::fill(&mut claim).ok()?;
    Some(Attempt {
        hash: ticket.payment_hash,
        service: Arc::clone(&service.name),
        request: RequestDigest::NONE,
        own_request: true,
        key: ring.get(ticket.key)?.fingerprint(),
        minted: ticket.minted,
        era: ticket.era,
        minted_valid_until: ticket.minted_valid_until,
        valid_until: ticket.valid_until,
        price_msat: ticket.price_msat,
        place: service.place(ticket.key),
        remembered: None,
        sealed: None,
        // The longest time that it can take, with its repeats and a margin.
        lease: exchange::longest(service) + LEASE_MARGIN,
        claim: ClaimId::from_bytes(claim),
    })
}

/// What goes upstream; `None` if it can't be written.
pub(super) fn upstream_request(
    paid: &PaidRequest<'_>,
    order: &Order,
    segments: Option<u32>,
) -> Option<Request<Bytes>> {
    request_of(paid.service, paid.offer, &paid.head.headers, order, segments)
}

/// The same of a client that sends these header fields, for an order that was sold with so many
/// segments.
pub(super) fn request_of(
    service: &Service,
    offer: &Offer,
    headers: &HeaderMap,
    order: &Order,
    segments: Option<u32>,
) -> Option<Request<Bytes>> {
    let sent = offer.sent(order, segments);
    // What was sold without a body has no media type, whatever the service takes by now.
    let content_type = offer.content_type.as_ref().filter(|_| sent.query().is_none());
    let (upstream, method, forwarded) =
        (&service.upstream, &service.method, &offer.forward_headers);
    let (query, body) = (sent.query(), sent.body().clone());
    request::paid(upstream, method, headers, forwarded, content_type, query, body)
}

/// Tells the backend the name by which payer and operator may speak of the request.
pub(super) fn put_reference(
    service: &Service,
    keys: &Keys,
    hash: &PaymentHash,
    request: &mut Request<Bytes>,
) {
    if let Some(name) = &service.reference
        && let Ok(value) = HeaderValue::from_str(&keys.reference(hash))
    {
        request.headers_mut().insert(name.clone(), value);
    }
}
