//! One real request of the operator's own, without ticket or ledger, to see what a backend makes of
//! it.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::exchange::{Asker, Exchange, Reply, send};
use super::job::named_request;
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
    Some(Trial { outcome, status, words: said.and_then(|said| redact(&said, &secrets)) })
}
