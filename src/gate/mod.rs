//! The way of a request, and the only place that knows its order.

pub mod body;
pub mod free;
pub mod route;
mod without_preimage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue};
use hyper::{Request, Response};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::route::Route;
use crate::answer::problem::Problem;
use crate::answer::{Answer, body::Body, preflight};
use crate::cache::FifoCache;
use crate::client::{Client, Peer};
use crate::code::Code;
use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::lightning::Node;
use crate::payment::stream::Payments;
use crate::payment_hash::PaymentHash;
use crate::record::access_log::{AccessLog, Line};
use crate::record::metrics::Metrics;
use crate::redeem::in_flight::InFlight;
use crate::redeem::run::End;
use crate::redeem::ticket::Redeemed;
use crate::redeem::{pass, recent, ticket};
use crate::sale::sell;
use crate::sale::stock::Stocks;
use crate::sale::unpaid_limit::Unpaid;
use crate::service::request::PaidRequest;
use crate::service::{Catalogue, Service};
use crate::status;
use crate::ticket::{Presented, Rejected, Tickets};

/// Everything that requests share.
pub struct Gate {
    /// What is served.
    pub catalogue: Catalogue,
    /// Signs and verifies tickets.
    pub ring: Arc<KeyRing>,
    /// Verifies what is handed in, and remembers what it found.
    pub tickets: Tickets,
    /// Makes invoices.
    pub node: Arc<dyn Node>,
    /// Invoices that were made ahead.
    pub stocks: Stocks,
    /// Remembers tickets that were handed in, and tells whoever waits for one.
    pub ledger: Ledger,
    /// Challenges that are not paid.
    pub unpaid: Arc<Unpaid>,
    /// Answers that were delivered a while ago.
    pub recent: FifoCache<PaymentHash, recent::Recent>,
    /// What is known of counted passes.
    pub rides: FifoCache<PaymentHash, Arc<pass::Ride>>,
    /// What the node tells of payments, if it is to be asked.
    pub payments: Option<Payments>,
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
pub struct RequestLog<'a> {
    /// The service that it was for.
    pub service: Option<&'a Service>,
    /// The ticket that it brought or was offered.
    pub ticket: Option<PaymentHash>,
    /// How long the upstream took.
    pub upstream: Option<Duration>,
    /// How long it was made to wait on purpose.
    pub delay: Duration,
}

/// Answers a request. Infallible: whatever goes wrong is an answer too, and is said here.
pub async fn handle(gate: &Arc<Gate>, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let mut log = RequestLog::default();
    let method = request.method().clone();
    let trusted_proxies = &gate.catalogue.limits.trusted_proxies;
    let client = crate::client::client(peer, request.headers(), trusted_proxies);
    let answer = serve(gate, peer, &client, request, &mut log).await;
    let Answer { mut response, code } = answer.unwrap_or_else(Problem::into_answer);
    allow_browsers(&mut response);
    let took = started.elapsed();
    let service = log.service;
    match service {
        Some(service) => {
            let elsewhere = log.upstream.unwrap_or_default() + log.delay;
            service.metrics.request(code, took.saturating_sub(elsewhere));
        }
        None => gate.metrics.unrouted(code),
    }
    gate.access.write(&Line {
        client: &client,
        method: &method,
        service: service.map(|service| &*service.name),
        status: response.status(),
        code: code.word(),
        ticket: log.ticket,
        took,
    });
    response
}

/// accept - route - read - validate - ticket - redeem or sell. `Err` ends the way early.
async fn serve<'a>(
    gate: &'a Arc<Gate>,
    peer: &Peer,
    client: &Client,
    request: Request<Incoming>,
    log: &mut RequestLog<'a>,
) -> Result<Answer, Problem> {
    let (service, is_for_sale_here) = match route::route(&gate.catalogue, &request) {
        Ok(Route::Service(service)) => (service, true),
        Ok(Route::Formerly(service)) => (service, false),
        Ok(Route::Status) => return Box::pin(status::answer(gate, &request, log)).await,
        Ok(Route::Preflight(methods)) => {
            body::drain(request.into_body(), &gate.catalogue.limits).await;
            return Ok(preflight(methods));
        }
        Err(problem) => {
            body::drain(request.into_body(), &gate.catalogue.limits).await;
            return Err(problem);
        }
    };
    log.service = Some(service);
    let Some(offer) = &service.offer else {
        return free::pass(gate, service, peer, client, request, log).await;
    };
    // Boxed, so that a free request doesn't carry about what only a paid one needs.
    let paid = |whole: body::Whole| PaidRequest {
        service,
        offer,
        head: whole.head,
        body: whole.body,
        is_for_sale_here,
        peer,
        client,
    };
    Box::pin(async move {
        let whole = body::whole(request, &gate.catalogue.limits).await?;
        serve_paid(gate, &paid(whole), log).await
    })
    .await
}

async fn serve_paid(
    gate: &Arc<Gate>,
    request: &PaidRequest<'_>,
    log: &mut RequestLog<'_>,
) -> Result<Answer, Problem> {
    let mut first = None;
    for presented in gate.tickets.present(request, &gate.catalogue.times) {
        let redeemed = match without_preimage::accept(gate, request, presented).await? {
            Presented::Nothing(rejected) => Redeemed::Rejected(rejected),
            Presented::Ticket(ticket) => ticket::redeem(gate, request, ticket, log).await?,
            Presented::Pass(pass) => pass::ride(gate, request, &pass, log).await?,
        };
        match redeemed {
            Redeemed::Answer(answer) => return Ok(answer),
            // The next one may be good.
            Redeemed::Rejected(rejected) => drop(first.get_or_insert(rejected)),
        }
    }
    let rejected = first.unwrap_or_else(|| Rejected::because(Code::PaymentRequired));
    sell::sell(gate, request, rejected, log).await
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
