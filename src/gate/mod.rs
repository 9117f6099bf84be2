//! The way of a request, and the only place that knows its order.

pub(crate) mod body;
pub mod current;
mod free;
mod navigation;
mod own;
mod own_paths;
mod reading;
mod route;
mod shadow;
mod without_preimage;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::STRICT_TRANSPORT_SECURITY;
use hyper::{Method, Request, Response};

use self::navigation::is_navigation;
use self::reading::ReadingPlaces;
use self::route::Route;
use crate::answer::body::Body;
use crate::answer::html::sandbox;
use crate::answer::problem::Problem;
use crate::answer::{Answer, cors, problems};
use crate::client::{self, Client};
use crate::code::Code;
use crate::pages::Pages;
use crate::payment::Payments;
use crate::record::request_log::{Recorder, RequestLog};
use crate::redeem::{Redeem, Redeemed};
use crate::reports::Reports;
use crate::sale::Sale;
use crate::send_end::SendEnd;
use crate::service::request::PaidRequest;
use crate::service::{Catalogue, Service};
use crate::status::Status;
use crate::ticket::{Presented, Rejected, Tickets};
use crate::trace::Trace;

/// The rooms that a request goes through, and what is served when it comes.
pub struct Gate {
    catalogue: Arc<Catalogue>,
    tickets: Arc<Tickets>,
    /// `None` where payments aren't detected.
    payments: Option<Arc<Payments>>,
    redeem: Arc<Redeem>,
    sale: Arc<Sale>,
    /// `None` where payments aren't detected.
    status: Option<Arc<Status>>,
    reports: Arc<Reports>,
    pages: Pages,
    recorder: Recorder,
    /// Places for requests whose bodies are waited for.
    reading: Arc<ReadingPlaces>,
}

/// The rooms that requests go through.
pub struct Rooms {
    /// Verifies what clients hand in.
    pub tickets: Arc<Tickets>,
    /// What the node says was paid; `None` where payments aren't detected.
    pub payments: Option<Arc<Payments>>,
    /// From a verified ticket to one outcome.
    pub redeem: Arc<Redeem>,
    /// From no ticket to a 402.
    pub sale: Arc<Sale>,
    /// How tickets stand; `None` where payments aren't detected.
    pub status: Option<Arc<Status>>,
    /// Hears backends.
    pub reports: Arc<Reports>,
}

/// Most header fields of a request, as hyper has it for HTTP/1: in HTTP/2 one may be a byte.
const FIELDS_MAX: usize = 100;

impl Gate {
    /// For what is served, from the rooms.
    pub fn new(catalogue: Arc<Catalogue>, rooms: Rooms, recorder: Recorder) -> Self {
        let Rooms { tickets, payments, redeem, sale, status, reports } = rooms;
        let (reading, pages) = (Arc::default(), Pages::new(Arc::clone(&catalogue)));
        Self {
            catalogue,
            tickets,
            payments,
            redeem,
            sale,
            status,
            reports,
            pages,
            recorder,
            reading,
        }
    }

    /// The same rooms, for what another catalogue has.
    fn with_catalogue(&self, catalogue: Arc<Catalogue>) -> Self {
        Self {
            pages: Pages::new(Arc::clone(&catalogue)),
            catalogue,
            tickets: Arc::clone(&self.tickets),
            payments: self.payments.clone(),
            redeem: Arc::clone(&self.redeem),
            sale: Arc::clone(&self.sale),
            status: self.status.clone(),
            reports: Arc::clone(&self.reports),
            recorder: self.recorder.clone(),
            reading: Arc::clone(&self.reading),
        }
    }
}

/// Answers a request. Infallible: whatever goes wrong is an answer too, and is said here.
pub async fn handle(
    gate: &Gate,
    peer: &Client,
    send_end: &SendEnd,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let is_head = request.method() == Method::HEAD;
    let trace = Trace::take_on(request.headers_mut(), gate.recorder.access.takes_spans());
    let mut log = RequestLog::begin(request.method(), trace);
    let trusted_proxies = &gate.catalogue.limits.trusted_proxies;
    let client = client::client(peer, request.headers(), trusted_proxies);
    // What a browser shows is a page, also where something is wrong.
    let page =
        (gate.pages.are_on() && is_navigation(&request)).then(|| request.uri().path().to_owned());
    let answer = serve(gate, &client, send_end, request, &mut log).await;
    let answer = answer.unwrap_or_else(|problem| match page {
        Some(path) => gate.pages.problem(problem, &path),
        None => problem.into_answer(),
    });
    let Answer { mut response, code } = answer;
    cors::allow(&mut response);
    if let Some(hsts) = gate.catalogue.hsts.as_ref().filter(|_| client.scheme() == "https") {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    if is_head {
        Body::leave_out(&mut response);
    }
    log.finish(&gate.recorder, &client, response.status(), code);
    response
}

/// accept - route - read - validate - ticket - redeem or sell. `Err` ends the way early.
async fn serve<'a>(
    gate: &'a Gate,
    client: &Client,
    send_end: &SendEnd,
    request: Request<Incoming>,
    log: &mut RequestLog<'a>,
) -> Result<Answer, Problem> {
    let limits = &gate.catalogue.limits;
    let routed = match request.headers().len() {
        0..=FIELDS_MAX => route::route(&gate.catalogue, &request),
        _ => Err(problems::too_many_fields(FIELDS_MAX)),
    };
    let (service, is_for_sale_here) = match routed {
        Ok(Route::Service(service)) => (service, true),
        Ok(Route::Formerly(service)) => (service, false),
        Ok(Route::Own(own)) => {
            return Box::pin(gate.own(own, client, send_end, request, log)).await;
        }
        Ok(Route::SeeService(service)) => {
            send_end.let_go();
            let answer = gate.pages.see_service(service, request.uri().path());
            body::discard(request, limits).await;
            return Ok(answer);
        }
        Ok(Route::Probe(service)) => {
            return Box::pin(gate.probe(service, client, send_end, request, log)).await;
        }
        Ok(Route::Elsewhere) => {
            send_end.let_go();
            return Box::pin(gate.elsewhere(client, request)).await;
        }
        Ok(Route::Preflight(methods)) => {
            send_end.let_go();
            let answer = cors::preflight(methods, request.headers());
            body::discard(request, limits).await;
            return Ok(answer);
        }
        Err(problem) => {
            send_end.let_go();
            body::discard(request, limits).await;
            return Err(problem);
        }
    };
    serve_service(gate, service, is_for_sale_here, client, send_end, request, log).await
}

/// At one of the operator's services.
async fn serve_service<'a>(
    gate: &'a Gate,
    service: &'a Arc<Service>,
    is_for_sale_here: bool,
    client: &Client,
    send_end: &SendEnd,
    request: Request<Incoming>,
    log: &mut RequestLog<'a>,
) -> Result<Answer, Problem> {
    let limits = &gate.catalogue.limits;
    log.service(&service.metrics, &service.path);
    let Some(offer) = &service.offer else {
        send_end.let_go();
        let mut answer = match &service.shadow {
            None => free::pass(service, limits, client, request, None, log).await,
            Some(offer) => {
                Box::pin(gate.pass_in_shadow(service, offer, client, request, log)).await
            }
        }?;
        if gate.pages.are_on() && !service.trusts_html {
            sandbox(answer.response.headers_mut());
        }
        return Ok(answer);
    };
    let accepts_page = gate.pages.are_on() && is_navigation(&request);
    // Boxed, so that a free request doesn't carry about what only a paid one needs.
    let paid = |whole: body::Whole| PaidRequest {
        catalogue: &gate.catalogue,
        service,
        offer,
        head: whole.head,
        body: whole.body,
        is_for_sale_here,
        client,
        accepts_page,
    };
    Box::pin(async move {
        let (reading, forward_headers) = (&gate.reading, &offer.forward_headers);
        let asking = body::Asking { client, send_end, reading, forward_headers };
        let whole = body::whole(request, limits, asking).await?;
        serve_paid(gate, &paid(whole), log).await
    })
    .await
}

async fn serve_paid(
    gate: &Gate,
    request: &PaidRequest<'_>,
    log: &mut RequestLog<'_>,
) -> Result<Answer, Problem> {
    if Gate::is_probe(request) {
        return gate.sale.probe(request, log).await;
    }
    let mut first = None;
    for presented in gate.tickets.present(request) {
        let (tickets, sale, payments) = (&gate.tickets, &gate.sale, gate.payments.as_deref());
        let presented =
            without_preimage::accept(tickets, sale, payments, request, presented).await?;
        let redeemed = match presented {
            Presented::Nothing(rejected) => Redeemed::Rejected(rejected),
            Presented::Ticket(ticket) => gate.redeem.ticket(request, ticket, log).await?,
            Presented::Pass(pass) => gate.redeem.pass(request, &pass, log).await?,
        };
        match redeemed {
            Redeemed::Answer(mut answer) => {
                if gate.pages.are_on() {
                    sandbox(answer.response.headers_mut());
                }
                return Ok(answer);
            }
            // The next one may be good.
            Redeemed::Rejected(rejected) => drop(first.get_or_insert(rejected)),
        }
    }
    let rejected = first.unwrap_or_else(|| Rejected::because(Code::PaymentRequired));
    gate.sale.sell(request, rejected, log).await
}
