//! The way of a request, and the only place that knows its order.

pub mod admit;
pub mod challenge;
pub mod flight;
pub mod free;
pub mod guard;
pub mod in_flight;
mod invoice_state;
pub mod lookup;
pub mod paid;
pub mod pass;
pub mod payments;
pub mod read;
pub mod route;
pub mod status;
pub mod stock;
mod stored_answer;
pub mod validate;
pub mod watchers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue};
use hyper::{Request, Response};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::admit::{Admitted, Buyer, CacheKey};
use self::flight::End;
use self::guard::Unpaid;
use self::in_flight::InFlight;
use self::paid::Redeemed;
use self::payments::Payments;
use self::route::Route;
use self::watchers::Watchers;
use crate::answer::{Answer, Body};
use crate::cache::FifoCache;
use crate::client::{Client, Peer};
use crate::l402::verify::Paid;
use crate::ledger::journal::Books;
use crate::ledger::revoked::Revoked;
use crate::ledger::store::Ledger;
use crate::lightning::Node;
use crate::record::access_log::{AccessLog, Line};
use crate::record::metrics::Metrics;
use crate::service::{Offer, Service, Site};
use crate::{keys::KeyRing, payment_hash::PaymentHash};

/// Everything that requests share.
pub struct Gate {
    /// What is served.
    pub site: Site,
    /// Signs and verifies tickets.
    pub ring: KeyRing,
    /// Makes invoices.
    pub node: Arc<dyn Node>,
    /// Remembers tickets that were handed in.
    pub ledger: Arc<dyn Ledger>,
    /// Challenges that are not paid.
    pub unpaid: Unpaid,
    /// Tickets that were verified before.
    pub verified: FifoCache<CacheKey, Paid>,
    /// Answers that were delivered a while ago.
    pub recent: FifoCache<PaymentHash, paid::Recent>,
    /// Tickets that were taken back.
    pub revoked: Revoked,
    /// What is known of counted passes.
    pub rides: FifoCache<PaymentHash, Arc<pass::Ride>>,
    /// What was asked for and paid, written beside the way.
    pub books: Books,
    /// What the node tells of payments, if it is to be asked.
    pub payments: Option<Payments>,
    /// Who waits to hear of a ticket.
    pub watchers: Watchers,
    /// Redemptions under way.
    pub in_flight: InFlight<Arc<End>>,
    /// Cancelled once the process is to stop.
    pub stopping: CancellationToken,
    /// The tasks that a stop waits for.
    pub tasks: TaskTracker,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// A line for each request.
    pub access: AccessLog,
}

/// What is noted about a request on its way, for its log line and the counters.
#[derive(Default)]
pub struct Notes<'a> {
    /// The service that it was for.
    pub service: Option<&'a Service>,
    /// The ticket that it brought or was offered.
    pub ticket: Option<PaymentHash>,
    /// How long the upstream took.
    pub upstream: Option<Duration>,
    /// How long it was made to wait on purpose.
    pub put_off: Duration,
}

/// Answers a request. Infallible: whatever goes wrong is an answer too.
pub async fn handle(gate: &Arc<Gate>, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let mut notes = Notes::default();
    let method = request.method().clone();
    let client = crate::client::client(peer, request.headers(), &gate.site.limits.trusted_proxies);
    let Answer { mut response, code } = match way(gate, peer, &client, request, &mut notes).await {
        Ok(answer) | Err(answer) => answer,
    };
    allow_browsers(&mut response);
    let took = started.elapsed();
    let service = notes.service;
    match service {
        Some(service) => service
            .metrics
            .request(code, took.saturating_sub(notes.upstream.unwrap_or_default() + notes.put_off)),
        None => gate.metrics.unrouted(code),
    }
    gate.access.write(&Line {
        client: &client,
        method: &method,
        service: service.map(|service| &*service.name),
        status: response.status(),
        code: code.word(),
        ticket: notes.ticket,
        took,
    });
    response
}

/// accept - route - read - validate - admit - sell or redeem. `Err` is an answer that ends the way
/// early.
async fn way<'a>(
    gate: &'a Arc<Gate>,
    peer: &Peer,
    client: &Client,
    request: Request<Incoming>,
    notes: &mut Notes<'a>,
) -> Result<Answer, Answer> {
    let service = match route::route(&gate.site, &request) {
        Ok(Route::Service(service)) => service,
        Ok(Route::Status) => return Box::pin(status::answer(gate, &request, notes)).await,
        Err(answer) => {
            read::drain(request.into_body(), &gate.site.limits).await;
            return Err(answer);
        }
    };
    notes.service = Some(service);
    let Some(offer) = &service.offer else {
        return Ok(free::pass(gate, service, peer, client, request, notes).await);
    };
    // Boxed, so that a free request doesn't carry about what only a paid one needs.
    Box::pin(paid_way(gate, service, offer, peer, client, request, notes)).await
}

async fn paid_way(
    gate: &Arc<Gate>,
    service: &Arc<Service>,
    offer: &Offer,
    peer: &Peer,
    client: &Client,
    request: Request<Incoming>,
    notes: &mut Notes<'_>,
) -> Result<Answer, Answer> {
    let whole = read::whole(request, &gate.site.limits).await?;
    let order = validate::order(offer, &whole.head, whole.body)?;
    let sale =
        challenge::Sale { gate, service, offer, order: &order, head: &whole.head, peer, client };
    let admitted = admit::admit(gate, service, offer, &whole.head.headers, &order);
    let redeemed = match admit::paid_meanwhile(gate, service, offer, &order, admitted).await? {
        Admitted::Buyer(buyer) => return challenge::sell(&sale, buyer, notes).await,
        Admitted::Holder(ticket) => paid::redeem(&sale, ticket, notes).await,
        Admitted::Passenger(pass) => pass::ride(&sale, &pass, notes).await,
    };
    match redeemed {
        Redeemed::Answer(answer) => Ok(answer),
        Redeemed::Worthless(why) => {
            challenge::sell(&sale, Buyer { why, pending: None }, notes).await
        }
    }
}

/// Lets a wallet in any page read what it needs. There are no cookies, so there is nothing to
/// protect from other origins.
fn allow_browsers(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "WWW-Authenticate, Retry-After, Idempotent-Replayed, L402-Preimage",
            ),
        );
    }
}
