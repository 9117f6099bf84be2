//! `GET /l402/status`: how a ticket stands, for who holds its macaroon. As JSON at once, as a long
//! poll, or as server-sent events; once its invoice is paid, with the preimage, so that a person
//! who paid by QR code needn't copy it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::answer::body::Body;
use crate::answer::problem::Problem;
use crate::answer::{self, Answer, problems};
use crate::code::Code;
use crate::gate::{Gate, RequestLog};
use crate::l402::verify::{Genuine, Kind};
use crate::ledger::accounts::{Challenge, ChallengeState, JournalEntry, Minted};
use crate::ledger::changes::Subscription;
use crate::ledger::state::{State, first_claim_until};
use crate::payment::check::{self as invoice_state, InvoiceCheck};
use crate::payment::stream::Payments;
use crate::payment_hash::Preimage;
use crate::ticket::{HeldTicket, NotHeld};
use crate::time::UnixTime;

/// The header field that carries the preimage: never a URL or a body, which others may keep.
pub const PREIMAGE: HeaderName = HeaderName::from_static("l402-preimage");

/// Longest wait of a long poll, in seconds.
const WAIT_MAX_S: u64 = 60;

/// Longest life of a stream of events; whoever wants more asks again.
const STREAM_MAX: Duration = Duration::from_secs(3600);

/// How often a stream shows that it is alive.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// How soon it is looked again for what another instance did.
const OTHER_INSTANCE_POLL: Duration = Duration::from_secs(5);

/// How a ticket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TicketStatus {
    /// Its invoice can be paid, and isn't.
    Unpaid,
    /// It can be handed in.
    Paid,
    /// It is being redeemed.
    Sending,
    /// Its request was served.
    Delivered,
    /// Nobody knows whether its request was served.
    Parked,
    /// It is worth nothing any more.
    Expired,
    /// The operator took it back.
    Revoked,
}

impl TicketStatus {
    const ALL: [Self; 7] = [
        Self::Unpaid,
        Self::Paid,
        Self::Sending,
        Self::Delivered,
        Self::Parked,
        Self::Expired,
        Self::Revoked,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Paid => "paid",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == text)
    }

    /// Whether nothing comes after it by itself.
    fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Expired | Self::Revoked)
    }
}

/// Answers a request for the path.
pub async fn answer<'a, B>(
    gate: &'a Arc<Gate>,
    request: &Request<B>,
    log: &mut RequestLog<'a>,
) -> Result<Answer, Problem> {
    let payments = gate.payments.as_ref().ok_or_else(problems::no_status_here)?;
    if request.method() != Method::GET {
        let allow = HeaderValue::from_static("GET, OPTIONS");
        return Err(problems::method_not_allowed("GET", allow));
    }
    let query = StatusQuery::read(request.uri().query()).map_err(problems::bad_request)?;
    let catalogue = &gate.catalogue;
    let held = gate.tickets.held(&catalogue.services, &catalogue.times, request.headers());
    let held = held.map_err(|why| match why {
        NotHeld::Nothing => problems::status_without_macaroon(),
        NotHeld::Foreign => problems::status_of_foreign_ticket(),
    })?;
    log.service = catalogue.services.get(held.service.index).map(|service| &**service);
    log.ticket = Some(held.ticket.payment_hash);
    if wants_events(request.headers()) {
        return events(gate, payments, held).await;
    }
    let status = status_after(gate, payments, &held, &query).await?;
    let mut response = answer::json(StatusCode::OK, "application/json", &body(gate, &held, status));
    hand_over(gate, payments, &held, status, response.headers_mut()).await;
    Ok(Answer { response, code: Code::Status })
}

/// How the ticket stands: at once, or as soon as that is another state than the one known.
async fn status_after(
    gate: &Gate,
    payments: &Payments,
    held: &HeldTicket,
    query: &StatusQuery,
) -> Result<TicketStatus, Problem> {
    let mut status = ticket_status(gate, payments, held).await?;
    let Some(wait) = query.wait else { return Ok(status) };
    let until = Instant::now() + wait;
    let known = query.known.unwrap_or(status);
    // Where there is no place to wait, the answer comes at once.
    if let Some(mut changes) = gate.ledger.subscribe(held.ticket.payment_hash) {
        status = ticket_status(gate, payments, held).await?;
        while status == known && !gate.stopping.is_cancelled() && Instant::now() < until {
            wait_for_more(gate, &mut changes, until).await;
            status = ticket_status(gate, payments, held).await?;
        }
    }
    Ok(status)
}

/// What the query asks for.
struct StatusQuery {
    wait: Option<Duration>,
    known: Option<TicketStatus>,
}

impl StatusQuery {
    fn read(query: Option<&str>) -> Result<Self, String> {
        let mut asked = Self { wait: None, known: None };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "wait" => {
                    let seconds =
                        value.parse().ok().filter(|seconds| (1..=WAIT_MAX_S).contains(seconds));
                    asked.wait = Some(Duration::from_secs(
                        seconds
                            .ok_or(format!("`wait` is between 1 and {WAIT_MAX_S}, in seconds."))?,
                    ));
                }
                "state" => {
                    asked.known = Some(
                        TicketStatus::read(&value)
                            .ok_or("`state` is a state that this path has told before.")?,
                    )
                }
                _ => return Err("This path takes `wait` and `state` only.".to_owned()),
            }
        }
        Ok(asked)
    }
}

fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/event-stream")))
}

async fn wait_for_more(gate: &Gate, changes: &mut Subscription, until: Instant) {
    tokio::select! {
        _ = timeout_at(until, changes.changed()) => {}
        () = sleep(OTHER_INSTANCE_POLL) => {}
        () = gate.stopping.cancelled() => {}
    }
}

async fn ticket_status(
    gate: &Gate,
    payments: &Payments,
    held: &HeldTicket,
) -> Result<TicketStatus, Problem> {
    let (hash, now) = (held.ticket.payment_hash, gate.ledger.now().ledger.seconds());
    if gate.ledger.is_revoked(&hash) {
        return Ok(TicketStatus::Revoked);
    }
    let row = gate.ledger.show(hash).await.map_err(|_| problems::status_ledger_down())?;
    match row.map(|row| row.state) {
        Some(State::Claimed) => return Ok(TicketStatus::Sending),
        Some(State::Delivered) => return Ok(TicketStatus::Delivered),
        Some(State::Parked) => return Ok(TicketStatus::Parked),
        Some(State::Revoked) => return Ok(TicketStatus::Revoked),
        // A ticket that was handed in doesn't expire.
        Some(State::Free) => return Ok(TicketStatus::Paid),
        None => {}
    }
    let challenge = gate.ledger.challenge(hash).await;
    let challenge = challenge.map_err(|_| problems::status_ledger_down())?;
    let status = match challenge {
        Some(Challenge { state: ChallengeState::Paid, .. }) => TicketStatus::Paid,
        Some(Challenge { state: ChallengeState::Closed, .. }) => TicketStatus::Expired,
        Some(Challenge { state: ChallengeState::Open, .. }) if payments.state().is_ok() => {
            TicketStatus::Unpaid
        }
        Some(_) => ask_node(gate, payments, held, challenge).await?,
        // So old that it may have been forgotten: not to be accounted for once more.
        None if last_use(&held.ticket) <= now => TicketStatus::Expired,
        None => {
            note_down(gate, held);
            ask_node(gate, payments, held, None).await?
        }
    };
    Ok(match status {
        TicketStatus::Paid if last_use(&held.ticket) <= now => TicketStatus::Expired,
        // Handed in, it is parked: what became of it in an earlier life of the ledger, nobody
        // knows.
        TicketStatus::Paid if is_held_back(gate, &held.ticket)? => TicketStatus::Parked,
        status => status,
    })
}

/// Until when, by the ledger's clock in Unix seconds, a ticket is taken that was never handed in.
fn last_use(ticket: &Genuine) -> u64 {
    match ticket.kind {
        Kind::SingleUse { .. } => first_claim_until(ticket.minted_valid_until, ticket.valid_until),
        Kind::Pass { .. } => ticket.valid_until,
    }
}

fn is_held_back(gate: &Gate, ticket: &Genuine) -> Result<bool, Problem> {
    let life = gate.ledger.life().ok_or_else(problems::status_ledger_down)?;
    let is_counted = !matches!(ticket.kind, Kind::Pass { uses: None });
    Ok(is_counted && life.is_of_another_life(ticket.era, ticket.minted))
}

/// A challenge that no row tells of was handed out a moment before a crash. It gets one, so that
/// its payment counts.
fn note_down(gate: &Gate, held: &HeldTicket) {
    gate.ledger.append(JournalEntry::Found(Minted {
        hash: held.ticket.payment_hash,
        service: Arc::clone(&held.service.name),
        price_msat: held.ticket.price_msat,
        at: held.invoice_expires.minus(gate.catalogue.times.invoice_expiry).min(UnixTime::now()),
        expires: held.invoice_expires.seconds(),
        valid_until: held.ticket.minted_valid_until,
        is_pass: matches!(held.ticket.kind, Kind::Pass { .. }),
        address: Arc::clone(&held.service.address),
    }));
}

async fn ask_node(
    gate: &Gate,
    payments: &Payments,
    held: &HeldTicket,
    row: Option<Challenge>,
) -> Result<TicketStatus, Problem> {
    let (hash, expires) = (held.ticket.payment_hash, held.invoice_expires);
    match invoice_state::asked(gate, payments, hash, row, expires).await {
        Ok(InvoiceCheck::Paid(_)) => Ok(TicketStatus::Paid),
        Ok(InvoiceCheck::Open { .. }) => Ok(TicketStatus::Unpaid),
        Ok(InvoiceCheck::Over) => Ok(TicketStatus::Expired),
        Err(_) => Err(problems::status_node_down()),
    }
}

fn body(gate: &Gate, held: &HeldTicket, status: TicketStatus) -> Value {
    let keys = gate.ring.get(held.ticket.key);
    json!({
        "reference": keys.map(|keys| keys.reference(&held.ticket.payment_hash)),
        "state": status.word(),
        "paymentHash": held.ticket.payment_hash.to_string(),
        "service": &*held.service.name,
        "validUntil": held.ticket.valid_until,
    })
}

/// The preimage, to the one that holds the macaroon and has paid.
async fn hand_over(
    gate: &Gate,
    payments: &Payments,
    held: &HeldTicket,
    status: TicketStatus,
    headers: &mut HeaderMap,
) {
    if matches!(status, TicketStatus::Unpaid | TicketStatus::Expired | TicketStatus::Revoked) {
        return;
    }
    let (hash, expires) = (held.ticket.payment_hash, held.invoice_expires);
    let preimage = invoice_state::preimage(gate, payments, hash, expires, false).await;
    if let Ok(Some(preimage)) = preimage
        && let Some(value) = header(&preimage)
    {
        headers.insert(PREIMAGE, value);
    }
}

fn header(preimage: &Preimage) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&hex::encode(preimage.as_bytes())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// An event for each state from now on, until one after which nothing comes.
async fn events(
    gate: &Arc<Gate>,
    payments: &Payments,
    held: HeldTicket,
) -> Result<Answer, Problem> {
    let changes = gate.ledger.subscribe(held.ticket.payment_hash);
    let changes = changes.ok_or_else(problems::too_many_streams)?;
    let first = ticket_status(gate, payments, &held).await?;
    let (sender, events) = mpsc::channel(4);
    let mut response = Response::new(Body::Events(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    hand_over(gate, payments, &held, first, headers).await;
    tokio::spawn(send_events(Arc::clone(gate), held, first, changes, sender));
    Ok(Answer { response, code: Code::Status })
}

async fn send_events(
    gate: Arc<Gate>,
    held: HeldTicket,
    first: TicketStatus,
    mut changes: Subscription,
    sender: mpsc::Sender<Bytes>,
) {
    let Some(payments) = &gate.payments else { return };
    let end = Instant::now() + STREAM_MAX;
    let (mut told, mut status, mut heard) = (None, first, Instant::now());
    loop {
        let text = if told != Some(status) {
            told = Some(status);
            format!("event: state\ndata: {}\n\n", body(&gate, &held, status))
        } else if heard.elapsed() >= HEARTBEAT_INTERVAL {
            ":\n\n".to_owned()
        } else {
            String::new()
        };
        if !text.is_empty() {
            heard = Instant::now();
            if sender.send(text.into()).await.is_err() {
                return;
            }
        }
        if status.is_final() || Instant::now() >= end || gate.stopping.is_cancelled() {
            return;
        }
        tokio::select! {
            () = wait_for_more(&gate, &mut changes, end) => {}
            () = sender.closed() => return,
        }
        if let Ok(now) = ticket_status(&gate, payments, &held).await {
            status = now;
        }
    }
}
