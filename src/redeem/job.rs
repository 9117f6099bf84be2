//! All that a run owns: it goes on whoever still waits for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use hyper::header::{HeaderMap, HeaderValue};
use tracing::error;

use super::{exchange, sealed_order};
use crate::keys::{KeyRing, Keys, WhichRequest};
use crate::l402::verify::Genuine;
use crate::ledger::messages::{RefusedBy, RefusedNumber};
use crate::ledger::state::{Asked, Attempt, ClaimId};
use crate::order::Order;
use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;
use crate::service::request::PaidRequest;
use crate::service::sms::{SentMessage, number};
use crate::service::{Offer, Service};
use crate::upstream::request;
use crate::upstream::template::Message;

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
    /// How many segments of a text message it was sold with.
    pub(super) segments: Option<u32>,
    /// Its number, should nothing ever get to it.
    pub(super) refused: Option<RefusedNumber>,
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
        let request = named_request(
            paid.service,
            paid.offer,
            &paid.head.headers,
            (order, segments),
            keys,
            (&attempt.hash, attempt.asked.which_request()),
        );
        let Some((request, is_named)) = request else {
            let service = &*paid.service.name;
            error!(service, ticket = %attempt.hash, "what was sold can't be said to the upstream");
            return None;
        };
        attempt.sealed = sealed_order::seal(
            keys,
            &attempt.hash,
            &paid.service.name,
            // As the backend has it.
            &paid.offer.sent(order, segments),
            &paid.head.headers,
            &paid.offer.forward_headers,
        );
        let (offer, service) = (paid.offer, paid.service);
        let reports = service.mapping.as_ref().and_then(|mapping| mapping.reports.as_ref());
        let name = reports
            .and_then(|rules| rules.name_of(keys, &attempt.hash, attempt.asked.which_request()));
        attempt.message = service.message_claim(offer, ring, order, name).map(Arc::new);
        let number = number(offer.sms.as_ref(), order);
        let refused = offer.numbers.as_ref().zip(number);
        let refused = refused.and_then(|(rules, number)| {
            service.refused_number(ring, rules, &number, RefusedBy::Others)
        });
        if !is_named {
            // Sold before the key had to be a member of its body: it goes without, and so once.
            (attempt.remembered, attempt.place) = (None, None);
        }
        let (service, order) = (Arc::clone(service), order.clone());
        Some(Self { service, ticket, attempt, order, segments, refused, request, keep })
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
        asked: Asked::Bought,
        key: ring.get(ticket.key)?.fingerprint(),
        minted: ticket.minted,
        era: ticket.era,
        minted_valid_until: ticket.minted_valid_until,
        valid_until: ticket.valid_until,
        price_msat: ticket.price_msat,
        place: service.place(ticket.key),
        remembered: None,
        sealed: None,
        message: None,
        // The longest time that it can take, with its repeats and a margin.
        lease: exchange::longest(service) + LEASE_MARGIN,
        claim: ClaimId::from_bytes(claim),
    })
}

/// What goes upstream for an order that was sold with so many segments, with our names for it, and
/// whether it has the one that it is to be known by. `None` if it can't be written.
pub(super) fn named_request(
    service: &Service,
    offer: &Offer,
    headers: &HeaderMap,
    (order, segments): (&Order, Option<u32>),
    keys: &Keys,
    (hash, which): (&PaymentHash, WhichRequest),
) -> Option<(Request<Bytes>, bool)> {
    let key = service.key.as_ref().map(|_| keys.idempotency_key(hash, which));
    let mut request = match &service.mapping {
        Some(mapping) => {
            let SentMessage { to, text, measure } = offer.message(order, segments)?;
            let reference = keys.reference(hash);
            let reports = mapping.reports.as_ref();
            let report = reports.map(|rules| rules.address(&service.name, keys, hash, which));
            let message = Message {
                to: &to,
                text: &text,
                encoding: measure.encoding,
                reference: &reference,
                report: report.as_deref().unwrap_or_default(),
                key: key.as_deref().unwrap_or_default(),
            };
            mapping.template.request(&service.upstream, &message)?
        }
        None => request_of(service, offer, headers, order, segments)?,
    };
    put_reference(service, keys, hash, &mut request);
    let is_named = match (&service.key, &key) {
        (Some(place), Some(key)) => place.put(&mut request, key).is_some(),
        _ => true,
    };
    Some((request, is_named))
}

/// The same as it came, without our names for it.
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
