//! `GET /l402/status`: how a ticket stands, for who holds its macaroon. As JSON at once, as a long
//! poll, or as server-sent events; once its invoice is paid, with the preimage, so that a person
//! who paid by QR code needn't copy it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::invoice_state::{self, Left};
use super::payments::Payments;
use super::watchers::Watcher;
use super::{Gate, Notes, challenge, paid};
use crate::answer::{self, Answer, Body, Problem, Retry};
use crate::code::Code;
use crate::l402::credential::{self, Credential, Handed};
use crate::l402::verify::{self, Genuine, Refusal};
use crate::ledger::accounts::{Challenge, ChallengeState, Entry, Minted};
use crate::ledger::state::State;
use crate::payment_hash::Preimage;
use crate::price::Msat;
use crate::service::{Sells, Service};
use crate::time::UnixTime;

/// The path; no service can have it.
pub const PATH: &str = "/l402/status";

/// The header field that carries the preimage: never a URL or a body, which others may keep.
pub const PREIMAGE: HeaderName = HeaderName::from_static("l402-preimage");

/// Longest wait of a long poll, in seconds.
const MAX_WAIT: u64 = 60;

/// Longest life of a stream of events; whoever wants more asks again.
const MAX_STREAM: Duration = Duration::from_secs(3600);

/// How often a stream shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon it is looked again for what another instance did.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How a ticket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
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

impl Word {
    const ALL: [Self; 7] = [
        Self::Unpaid,
        Self::Paid,
        Self::Sending,
        Self::Delivered,
        Self::Parked,
        Self::Expired,
        Self::Revoked,
    ];

    const fn text(self) -> &'static str {
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
        Self::ALL.into_iter().find(|word| word.text() == text)
    }

    /// Whether nothing comes after it by itself.
    fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Expired | Self::Revoked)
    }
}

/// A ticket of ours that somebody holds, paid or not.
struct Held {
    service: Arc<Service>,
    ticket: Genuine,
    price: Msat,
    /// Till when its invoice can be paid, by its own word.
    expires: UnixTime,
}

/// Answers a request for the path.
pub async fn answer<'a, B>(
    gate: &'a Arc<Gate>,
    request: &Request<B>,
    notes: &mut Notes<'a>,
) -> Result<Answer, Answer> {
    let Some(payments) = &gate.payments else {
        let detail = "This gate does not watch for payments, so it can't tell how a ticket stands.";
        return Err(Problem::new(StatusCode::NOT_FOUND, Code::NotFound, detail).into_answer());
    };
    if request.method() != Method::GET {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::MethodNotAllowed,
            "This path takes GET.",
        )
        .with_header(ALLOW, HeaderValue::from_static("GET, OPTIONS"))
        .into_answer());
    }
    let asked = Asked::read(request.uri().query()).map_err(|what| bad_request(&what))?;
    let held = held(gate, request.headers())?;
    notes.service = gate
        .site
        .services
        .iter()
        .find(|service| Arc::ptr_eq(service, &held.service))
        .map(|service| &**service);
    notes.ticket = Some(held.ticket.payment_hash);
    if wants_events(request.headers()) {
        return events(gate, payments, held).await;
    }
    let mut word = standing(gate, payments, &held).await?;
    if let Some(wait) = asked.wait {
        let until = Instant::now() + wait;
        let known = asked.known.unwrap_or(word);
        // Where there is no place to wait, the answer comes at once.
        if let Some(mut watcher) = Watcher::new(gate, held.ticket.payment_hash) {
            word = standing(gate, payments, &held).await?;
            while word == known && !gate.stopping.is_cancelled() && Instant::now() < until {
                wait_for_more(gate, &mut watcher, until).await;
                word = standing(gate, payments, &held).await?;
            }
        }
    }
    let mut response = answer::json(StatusCode::OK, "application/json", &body(&held, word));
    hand_over(gate, payments, &held, word, response.headers_mut()).await;
    Ok(Answer { response, code: Code::Status })
}

/// What the query asks for.
struct Asked {
    wait: Option<Duration>,
    known: Option<Word>,
}

impl Asked {
    fn read(query: Option<&str>) -> Result<Self, String> {
        let mut asked = Self { wait: None, known: None };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "wait" => {
                    let seconds =
                        value.parse().ok().filter(|seconds| (1..=MAX_WAIT).contains(seconds));
                    asked.wait = Some(Duration::from_secs(
                        seconds
                            .ok_or(format!("`wait` is between 1 and {MAX_WAIT}, in seconds."))?,
                    ));
                }
                "state" => {
                    asked.known = Some(
                        Word::read(&value)
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

async fn wait_for_more(gate: &Gate, watcher: &mut Watcher, until: Instant) {
    tokio::select! {
        _ = timeout_at(until, watcher.changed()) => {}
        () = sleep(LOOK_AGAIN) => {}
        () = gate.stopping.cancelled() => {}
    }
}

/// The ticket that is handed in, with its preimage or without.
fn held(gate: &Gate, headers: &HeaderMap) -> Result<Held, Answer> {
    let handed = credential::read(
        headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes),
        std::iter::empty(),
    );
    let credentials = match handed {
        Handed::Credentials(credentials) => credentials,
        Handed::Nothing | Handed::Unreadable => {
            return Err(bad_request(
                "Send the macaroon along, as `Authorization: L402 <macaroon>:`.",
            ));
        }
    };
    let found = credentials.iter().find_map(|credential| genuine(gate, credential));
    found.ok_or_else(|| {
        let detail = "What was handed in is no ticket of this gate's. Ask its service for one.";
        Problem::new(StatusCode::FORBIDDEN, Code::TicketForged, detail).into_answer()
    })
}

fn genuine(gate: &Gate, credential: &Credential) -> Option<Held> {
    for service in &gate.site.services {
        let Some(offer) = &service.offer else { continue };
        let ticket = match verify::ticket(
            &gate.ring,
            &service.name,
            offer.sells != Sells::SingleUse,
            credential,
        ) {
            Ok(paid) => *paid.ticket(),
            Err(Refusal::NotPaid(ticket)) => ticket,
            Err(_) => continue,
        };
        let expires = challenge::expires(gate, offer, &ticket);
        return Some(Held { service: Arc::clone(service), ticket, price: offer.price, expires });
    }
    None
}

async fn standing(gate: &Gate, payments: &Payments, held: &Held) -> Result<Word, Answer> {
    let hash = held.ticket.payment_hash;
    if gate.revoked.contains(&hash) {
        return Ok(Word::Revoked);
    }
    let row = gate.ledger.show(hash).await.map_err(|_| paid::ledger_down())?;
    match row.map(|row| row.state) {
        Some(State::Claimed) => return Ok(Word::Sending),
        Some(State::Delivered) => return Ok(Word::Delivered),
        Some(State::Parked) => return Ok(Word::Parked),
        Some(State::Revoked) => return Ok(Word::Revoked),
        // A ticket that was handed in doesn't expire.
        Some(State::Free) => return Ok(Word::Paid),
        None => {}
    }
    let challenge = gate.ledger.challenge(hash).await.map_err(|_| paid::ledger_down())?;
    let word = match challenge {
        Some(Challenge { state: ChallengeState::Paid, .. }) => Word::Paid,
        Some(Challenge { state: ChallengeState::Closed, .. }) => Word::Expired,
        Some(Challenge { state: ChallengeState::Open, .. }) if payments.state().is_ok() => {
            Word::Unpaid
        }
        Some(_) => asked_of_the_node(gate, payments, held, challenge).await?,
        // So old that it may have been forgotten: not to be accounted for once more.
        None if held.ticket.minted_valid_until <= UnixTime::now().seconds() => Word::Expired,
        None => {
            note_down(gate, held);
            asked_of_the_node(gate, payments, held, None).await?
        }
    };
    let is_over = word == Word::Paid && held.ticket.valid_until <= UnixTime::now().seconds();
    Ok(if is_over { Word::Expired } else { word })
}

/// A challenge that no row tells of was handed out a moment before a crash. It gets one, so that
/// its payment counts.
fn note_down(gate: &Gate, held: &Held) {
    gate.books.enter(Entry::Found(Minted {
        hash: held.ticket.payment_hash,
        service: Arc::clone(&held.service.name),
        price_msat: held.price.get(),
        at: held.expires.minus(gate.site.times.invoice_expiry).min(UnixTime::now()),
        expires: held.expires.seconds(),
        valid_until: held.ticket.minted_valid_until,
    }));
}

async fn asked_of_the_node(
    gate: &Gate,
    payments: &Payments,
    held: &Held,
    row: Option<Challenge>,
) -> Result<Word, Answer> {
    match invoice_state::asked(gate, payments, held.ticket.payment_hash, row, held.expires).await {
        Ok(Left::Paid(_)) => Ok(Word::Paid),
        Ok(Left::Open { .. }) => Ok(Word::Unpaid),
        Ok(Left::Over) => Ok(Word::Expired),
        Err(_) => Err(node_down()),
    }
}

fn body(held: &Held, word: Word) -> Value {
    json!({
        "state": word.text(),
        "paymentHash": held.ticket.payment_hash.to_string(),
        "service": &*held.service.name,
        "validUntil": held.ticket.valid_until,
    })
}

/// The preimage, to who holds the macaroon and has paid.
async fn hand_over(
    gate: &Gate,
    payments: &Payments,
    held: &Held,
    word: Word,
    headers: &mut HeaderMap,
) {
    if matches!(word, Word::Unpaid | Word::Expired | Word::Revoked) {
        return;
    }
    if let Ok(Some(preimage)) =
        invoice_state::preimage(gate, payments, held.ticket.payment_hash, held.expires, false).await
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
async fn events(gate: &Arc<Gate>, payments: &Payments, held: Held) -> Result<Answer, Answer> {
    let watcher = Watcher::new(gate, held.ticket.payment_hash).ok_or_else(paid::too_busy)?;
    let first = standing(gate, payments, &held).await?;
    let (sender, events) = mpsc::channel(4);
    let mut response = Response::new(Body::Events(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    hand_over(gate, payments, &held, first, headers).await;
    tokio::spawn(tell(Arc::clone(gate), held, first, watcher, sender));
    Ok(Answer { response, code: Code::Status })
}

async fn tell(
    gate: Arc<Gate>,
    held: Held,
    first: Word,
    mut watcher: Watcher,
    sender: mpsc::Sender<Bytes>,
) {
    let Some(payments) = &gate.payments else { return };
    let end = Instant::now() + MAX_STREAM;
    let (mut told, mut word, mut heard) = (None, first, Instant::now());
    loop {
        let text = if told != Some(word) {
            told = Some(word);
            format!("event: state\ndata: {}\n\n", body(&held, word))
        } else if heard.elapsed() >= HEARTBEAT {
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
        if word.is_final() || Instant::now() >= end || gate.stopping.is_cancelled() {
            return;
        }
        tokio::select! {
            () = wait_for_more(&gate, &mut watcher, end) => {}
            () = sender.closed() => return,
        }
        if let Ok(now) = standing(&gate, payments, &held).await {
            word = now;
        }
    }
}

fn bad_request(what: &str) -> Answer {
    Problem::new(StatusCode::BAD_REQUEST, Code::BadRequest, what).into_answer()
}

fn node_down() -> Answer {
    let detail = "Whether this was paid can't be found out at the moment. A payment is not lost: \
                  ask again later.";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::NodeDown, detail);
    problem.retry(Retry::SameTicket).after(Duration::from_secs(5)).into_answer()
}
