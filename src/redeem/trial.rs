//! One real request of the operator's own, without ticket or ledger, to see what a backend makes of
//! it.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::exchange::{Asker, Exchange, Reply, send};
use super::job::named_request;
use super::look_up::{LookupAnswer, question};
use crate::keys::{Keys, WhichRequest};
use crate::order::Order;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::service::{BODY_DEFAULT, Offer, Service};
use crate::upstream::redact::redact;

/// What came of it.
pub struct Trial {
    /// What it would be for a ticket.
    pub outcome: Outcome,
    /// The upstream's status, if it answered.
    pub status: Option<StatusCode>,
    /// Its own words, without secrets.
    pub words: Option<String>,
    /// Whether a few such answers would stop the sales.
    pub is_trouble: bool,
    /// Whether the upstream's look-up knows what it took, where it has one.
    pub look_up: Option<TrialLookUp>,
}

/// What a look-up says of a request that was taken.
pub enum TrialLookUp {
    /// It knows it.
    Found,
    /// It doesn't, and a parked ticket would be freed by that.
    NotFound,
    /// Nothing that counts.
    Nothing,
}

/// Sends an order as for a ticket that nobody bought. `None` if its request can't be written.
pub async fn send_once(
    service: &Arc<Service>,
    offer: &Offer,
    keys: &Keys,
    order: &Order,
) -> Option<Trial> {
    let mut name = [0; 32];
    getrandom::fill(&mut name).ok()?;
    let ticket = PaymentHash::from_bytes(name);
    // No header field of a client's goes with it.
    let segments = offer.price(order).ok().and_then(|(_, segments)| segments);
    let name = (&ticket, WhichRequest::Bought);
    let (request, is_named) =
        named_request(service, offer, &HeaderMap::new(), (order, segments), keys, name)?;
    if !is_named {
        return None;
    }
    let stopping = &CancellationToken::new();
    let asker = Asker { service, ticket, order, segments, answer_max: BODY_DEFAULT, stopping };
    let deadline = Instant::now() + service.upstream.timeout;
    let done = match send(service, request, None, deadline).await {
        Ok(Reply::Answer(response)) => asker.judge(response, deadline).await,
        Ok(Reply::StatusOnly(line)) => asker.judge_status(&line),
        Err(outcome) => Exchange::nothing(outcome),
    };
    let Exchange { outcome, status, said, .. } = done;
    let mut secrets = order.private_texts();
    secrets.extend(service.upstream.secrets.iter().cloned());
    let words = said.and_then(|said| redact(&said, &secrets));
    let is_trouble = service.upstream.sale_stop.has_trouble();
    let look_up = match outcome {
        Outcome::Delivered => look_up(service, keys, &ticket).await,
        Outcome::NotSent | Outcome::Refused | Outcome::Unknown => None,
    };
    Some(Trial { outcome, status, words, is_trouble, look_up })
}

/// Asks about what was taken just now, as about a parked ticket.
async fn look_up(service: &Service, keys: &Keys, ticket: &PaymentHash) -> Option<TrialLookUp> {
    let name = keys.idempotency_key(ticket, WhichRequest::Bought);
    let answer = question(service, service.lookup.as_ref()?, &name, BODY_DEFAULT).await;
    Some(match answer {
        LookupAnswer::Found => TrialLookUp::Found,
        LookupAnswer::NotFound => TrialLookUp::NotFound,
        LookupAnswer::Nothing => TrialLookUp::Nothing,
    })
}
