//! `GET /l402/status`: how a ticket stands, for a client that holds its macaroon. As JSON at once,
//! as a long poll, or as server-sent events; once its invoice is paid, with the preimage, so that
//! a person who paid by QR code needn't copy it.

mod determine;
mod events;
mod query;
mod state;

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use self::query::StatusQuery;
use self::state::{Standing, TicketStatus};
use crate::answer::problem::Problem;
use crate::answer::{self, Answer, problems};
use crate::client::Client;
use crate::code::{Code, Retry};
use crate::keys::KeyRing;
use crate::l402::verify::Kind;
use crate::ledger::Ledger;
use crate::ledger::changes::Subscription;
use crate::payment::Payments;
use crate::payment_hash::Preimage;
use crate::record::request_log::RequestLog;
use crate::send_end::SendEnd;
use crate::service::request::is_of_probe;
use crate::service::{Catalogue, STATUS_PATH, Service};
use crate::shares::Shares;
use crate::ticket::{HeldTicket, NotHeld, Tickets};

/// The header field that carries the preimage: never a URL or a body, which others may keep.
pub const PREIMAGE: HeaderName = HeaderName::from_static("l402-preimage");

/// How soon it is looked again for what another instance did.
const OTHER_INSTANCE_POLL: Duration = Duration::from_secs(5);

/// Most that one client may wait for at once.
const WAITING_PER_CLIENT_MAX: usize = 100;

/// Tells holders how their tickets stand.
pub struct Status {
    tickets: Arc<Tickets>,
    ring: Arc<KeyRing>,
    ledger: Arc<Ledger>,
    payments: Arc<Payments>,
    /// How long an invoice can be paid.
    invoice_expiry: Duration,
    /// Each client's part of the places of those who wait.
    shares: Arc<Shares>,
    /// Cancelled once the process is to stop.
    stopping: CancellationToken,
}

impl Status {
    /// From its parts.
    pub fn new(
        tickets: Arc<Tickets>,
        ring: Arc<KeyRing>,
        ledger: Arc<Ledger>,
        payments: Arc<Payments>,
        invoice_expiry: Duration,
        stopping: CancellationToken,
    ) -> Self {
        let shares = Shares::new(WAITING_PER_CLIENT_MAX);
        Self { tickets, ring, ledger, payments, invoice_expiry, shares, stopping }
    }

    /// Answers a request for the path.
    pub async fn answer<'a, B>(
        self: &Arc<Self>,
        catalogue: &'a Catalogue,
        request: &Request<B>,
        client: &Client,
        send_end: &SendEnd,
        log: &mut RequestLog<'a>,
    ) -> Result<Answer, Problem> {
        let query = StatusQuery::read(request.uri().query()).map_err(problems::bad_request)?;
        let held = self.tickets.held(catalogue, request.headers());
        let held = held.map_err(|why| match why {
            NotHeld::Nothing => problems::status_without_macaroon(),
            NotHeld::Foreign => problems::status_of_foreign_ticket(),
        })?;
        let is_its = |service: &&Arc<Service>| Arc::ptr_eq(service, &held.service);
        if let Some(service) = catalogue.services.iter().find(is_its) {
            log.service(&service.metrics, STATUS_PATH);
        }
        log.ticket(held.ticket.payment_hash);
        if wants_events(request.headers()) {
            // Its end is how a client leaves a stream.
            send_end.let_go();
            let share = self.shares.of_client(client).ok_or_else(problems::too_many_streams)?;
            return self.events(held, share).await;
        }
        let standing = self.standing_after(&held, &query, client, send_end).await?;
        let body = self.body(&held, standing);
        let mut response = answer::json(StatusCode::OK, "application/json", &body);
        self.hand_over(&held, standing.status, response.headers_mut()).await;
        Ok(Answer { response, code: Code::Status })
    }

    /// How the ticket stands: at once, or as soon as that is another state than the one known.
    async fn standing_after(
        &self,
        held: &HeldTicket,
        query: &StatusQuery,
        client: &Client,
        send_end: &SendEnd,
    ) -> Result<Standing, Problem> {
        let mut standing = self.standing(held).await?;
        let Some(wait) = query.wait else { return Ok(standing) };
        let until = Instant::now() + wait;
        let known = query.known.unwrap_or(standing.status);
        let delivery = |now: &Standing| now.delivery.map(|delivery| delivery.state);
        let known_delivery = query.known_delivery.or(delivery(&standing));
        let is_known =
            |now: &Standing| now.status.word() == known.word() && delivery(now) == known_delivery;
        // Where there is no place to wait, the answer comes at once.
        if let Some(_share) = self.shares.of_client(client)
            && let Some(mut changes) = self.ledger.subscribe(held.ticket.payment_hash)
        {
            standing = self.standing(held).await?;
            // A client that sends no more may be gone: it isn't waited for.
            let is_over =
                || self.stopping.is_cancelled() || Instant::now() >= until || send_end.has_ended();
            while is_known(&standing) && !is_over() {
                tokio::select! {
                    () = self.wait_for_more(&mut changes, until) => {}
                    () = send_end.ended() => {}
                }
                standing = self.standing(held).await?;
            }
        }
        Ok(standing)
    }

    async fn wait_for_more(&self, changes: &mut Subscription, until: Instant) {
        tokio::select! {
            _ = timeout_at(until, changes.changed()) => {}
            () = sleep(OTHER_INSTANCE_POLL) => {}
            () = self.stopping.cancelled() => {}
        }
    }

    fn body(&self, held: &HeldTicket, standing: Standing) -> Value {
        let keys = self.ring.get(held.ticket.key);
        let mut body = json!({
            "reference": keys.map(|keys| keys.reference(&held.ticket.payment_hash)),
            "state": standing.status.word(),
            "paymentHash": held.ticket.payment_hash.to_string(),
            "service": &*held.service.name,
            "validUntil": held.ticket.valid_until,
        });
        if let (TicketStatus::Refused { may_change }, Some(members)) =
            (standing.status, body.as_object_mut())
        {
            let retry = if may_change { Retry::ChangedRequest } else { Retry::Never };
            members.insert("retry".to_owned(), retry.word().into());
        }
        if let (Some(delivery), Some(members)) = (standing.delivery, body.as_object_mut()) {
            let said = json!({ "state": delivery.state.word(), "at": delivery.at.rfc_3339() });
            members.insert("delivery".to_owned(), said);
        }
        body
    }

    /// The preimage, to the client that holds the macaroon and has paid.
    async fn hand_over(&self, held: &HeldTicket, status: TicketStatus, headers: &mut HeaderMap) {
        // Of one that was shown to all who asked for nothing, each of them holds the macaroon.
        if let Kind::SingleUse { request } = held.ticket.kind
            && is_of_probe(&held.service, &self.ring, &held.ticket, request)
        {
            return;
        }
        if matches!(status, TicketStatus::Unpaid | TicketStatus::Expired | TicketStatus::Revoked) {
            return;
        }
        let (hash, expires) = (held.ticket.payment_hash, held.invoice_expires);
        if let Ok(Some(preimage)) = self.payments.preimage(hash, expires).await
            && let Some(value) = header(&preimage)
        {
            headers.insert(PREIMAGE, value);
        }
    }
}

fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/event-stream")))
}

fn header(preimage: &Preimage) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&hex::encode(preimage.as_bytes())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
