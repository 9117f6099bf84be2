//! A paid ticket with its request: claim durably, forward once, settle, answer. The part from claim to settle runs in a task of its
//! own, because a client that leaves takes its handler with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName};
use hyper::{Response, StatusCode};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{error, warn};

use super::admit::{VerifiedTicket, for_another_request};
use super::answer::{Answer, Problem, Retry, delivered};
use super::challenge::Sale;
use super::code::Code;
use super::site::Service;
use super::{Gate, Notes};
use crate::l402::PaymentHash;
use crate::redemption::kept::Kept;
use crate::redemption::ledger::{Claimed, LedgerError, Settled, Settlement};
use crate::redemption::memory::Boarding;
use crate::redemption::state::{Attempt, Claim, ClaimId, Outcome, Why, spacing};
use crate::time::UnixTime;
use crate::upstream::body::{RequestBody, ResponseBody};
use crate::upstream::forward::{Sent, forward};
use crate::upstream::outcome::{by_status, clean};
use crate::upstream::request::{self, strip_connection};

/// How long an answer waits for its settlement to be durable. Past that it is given, and the settlement goes on.
const SETTLE_PATIENCE: Duration = Duration::from_millis(250);

/// How long a claim may take until its payer is told to come again.
const CLAIM_PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of header fields that are kept with an answer.
const MAX_KEPT_HEADERS: usize = 8 * 1024;

/// Most bytes that are read of a refusal's body, for its words.
const MAX_REFUSAL: u64 = 16 * 1024;

/// How a redemption ended, for everybody who waits for it.
pub struct End {
    ending: Ending,
    upstream: Duration,
}

enum Ending {
    /// Delivered by this very redemption.
    Delivered(Kept),
    /// Delivered before.
    Replay(Option<Kept>),
    /// Certainly nothing happened.
    NotSent(NotSent),
    /// Nobody knows.
    Parked,
    /// Somebody else holds it.
    Busy,
    /// Tried again too soon.
    Spaced(Duration),
    /// It buys nothing any more.
    Worthless(Code),
    /// Unused, and bought for another request.
    OtherRequest,
    /// The claim could not be made durable; nothing was sent.
    LedgerDown,
}

struct NotSent {
    refusal: Option<Refusal>,
    retry_after: Duration,
}

struct Refusal {
    status: u16,
    words: Option<String>,
}

/// An answer that was delivered a while ago, in memory.
#[derive(Clone)]
pub struct Recent {
    request: [u8; 32],
    at: UnixTime,
    kept: Arc<Kept>,
}

/// What came of a ticket.
pub enum Redeemed {
    /// An answer for its holder.
    Answer(Answer),
    /// It buys nothing here: offer a new one, and say why.
    Worthless(Code),
}

/// The rest of an answer that is too long to keep: for the first asker only.
type Rest = (Bytes, ResponseBody);

/// Redeems a ticket, or says what became of it.
pub async fn redeem(sale: &Sale<'_>, verified: VerifiedTicket, notes: &mut Notes) -> Redeemed {
    let (gate, hash) = (sale.gate, verified.ticket().payment_hash);
    notes.ticket = Some(hash);
    if !verified.is_for_this_request() {
        return answer(misdirected(sale, &verified).await, true, None);
    }
    if let Some(kept) = recent(gate, &verified) {
        return Redeemed::Answer(delivered(&kept, true, None));
    }
    match gate.flights.board(hash) {
        Boarding::Full => Redeemed::Answer(too_busy()),
        Boarding::Passenger(mut end) => match timeout(gate.site.times.wait, published(&mut end)).await {
            Ok(Some(end)) => answer(end, true, None),
            Ok(None) => Redeemed::Answer(internal()),
            Err(_) => Redeemed::Answer(in_flight()),
        },
        Boarding::Pilot(publish, mut end) => {
            let (rest, mut first_asker) = oneshot::channel();
            let flight = Flight::new(sale, &verified, publish, rest);
            match flight {
                Some(flight) => drop(gate.tasks.spawn(flight.fly())),
                None => gate.flights.land(&hash),
            }
            match published(&mut end).await {
                Some(end) => {
                    notes.upstream = Some(end.upstream);
                    // Sent before the end was published, if there is any.
                    answer(end, false, first_asker.try_recv().ok())
                }
                None => Redeemed::Answer(internal()),
            }
        }
    }
}

/// The end of a flight, once there is one; `None` if its task is gone without a word.
async fn published(end: &mut watch::Receiver<Option<Arc<End>>>) -> Option<Arc<End>> {
    end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone())
}

/// What the ledger says of a ticket that came with another request than its own. It is never claimed by this.
async fn misdirected(sale: &Sale<'_>, verified: &VerifiedTicket) -> Arc<End> {
    let ending = if sale.gate.flights.is_under_way(&verified.ticket().payment_hash) {
        Ending::Worthless(Code::TicketUsed)
    } else {
        match attempt(sale, verified) {
            Some(attempt) => match timeout(CLAIM_PATIENCE, sale.gate.ledger.claim(attempt)).await {
                Ok(Ok(claimed)) => refused(claimed),
                Ok(Err(_)) | Err(_) => Ending::LedgerDown,
            },
            None => Ending::LedgerDown,
        }
    };
    Arc::new(End { ending, upstream: Duration::ZERO })
}

fn recent(gate: &Gate, verified: &VerifiedTicket) -> Option<Arc<Kept>> {
    let recent = gate.recent.get(&verified.ticket().payment_hash)?;
    let young = UnixTime::now().since(recent.at).is_none_or(|age| age <= gate.site.times.replay);
    (young && recent.request == verified.ticket().request).then_some(recent.kept)
}

fn attempt(sale: &Sale<'_>, verified: &VerifiedTicket) -> Option<Attempt> {
    let mut claim = [0_u8; 16];
    getrandom::fill(&mut claim).ok()?;
    let ticket = verified.ticket();
    Some(Attempt {
        hash: ticket.payment_hash,
        service: Arc::clone(&sale.service.name),
        request: ticket.request,
        own_request: verified.is_for_this_request(),
        minted_valid_until: ticket.minted_valid_until,
        valid_until: ticket.valid_until,
        price_msat: sale.offer.price.msat(),
        claim: ClaimId::from_bytes(claim),
    })
}

/// An answer of the ledger's that grants nothing.
fn refused(claimed: Claimed) -> Ending {
    match claimed.claim {
        Claim::Replay => Ending::Replay(claimed.kept),
        // A grant that nobody can use; not reached by who asks for one.
        Claim::Granted | Claim::Busy => Ending::Busy,
        Claim::Parked => Ending::Parked,
        Claim::Spaced { retry_after } => Ending::Spaced(retry_after),
        Claim::OtherRequest => Ending::OtherRequest,
        Claim::Worthless(why) => Ending::Worthless(match why {
            Why::Expired => Code::TicketExpired,
            Why::UsedForAnother => Code::TicketUsed,
            Why::Spent => Code::TicketSpent,
            Why::Revoked => Code::TicketRevoked,
        }),
    }
}

/// One redemption, from claim to settle, whoever still waits for it.
struct Flight {
    gate: Arc<Gate>,
    service: Arc<Service>,
    attempt: Attempt,
    request: hyper::Request<RequestBody>,
    private_texts: Box<dyn FnOnce() -> Vec<String> + Send>,
    publish: watch::Sender<Option<Arc<End>>>,
    rest: oneshot::Sender<Rest>,
}

/// Ends the flight whatever happens to its task.
struct Landing {
    gate: Arc<Gate>,
    hash: PaymentHash,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.gate.flights.land(&self.hash);
    }
}

impl Flight {
    fn new(
        sale: &Sale<'_>,
        verified: &VerifiedTicket,
        publish: watch::Sender<Option<Arc<End>>>,
        rest: oneshot::Sender<Rest>,
    ) -> Option<Self> {
        let (service, offer) = (sale.service, sale.offer);
        let request = request::paid(
            &service.upstream,
            &service.method,
            &sale.head.headers,
            &offer.forward_headers,
            offer.content_type.as_ref(),
            sale.order.body().clone(),
        );
        let order = sale.order.clone();
        Some(Self {
            gate: Arc::clone(sale.gate),
            service: Arc::clone(service),
            attempt: attempt(sale, verified)?,
            request,
            private_texts: Box::new(move || order.private_texts()),
            publish,
            rest,
        })
    }

    async fn fly(self) {
        let Self { gate, service, attempt, request, private_texts, publish, rest } = self;
        let _landing = Landing { gate: Arc::clone(&gate), hash: attempt.hash };
        let tell = |ending, upstream| drop(publish.send(Some(Arc::new(End { ending, upstream }))));
        match claim(&gate, attempt.clone(), || tell(Ending::LedgerDown, Duration::ZERO)).await {
            Some(Ok(Claimed { claim: Claim::Granted, .. })) => {}
            Some(Ok(refusal)) => return tell(refused(refusal), Duration::ZERO),
            Some(Err(_)) => return tell(Ending::LedgerDown, Duration::ZERO),
            None => return,
        }
        gate.unpaid.redeemed(&attempt.hash, std::time::Instant::now());

        let started = Instant::now();
        let Done { outcome, kept, refusal, rest: rest_of_body } = ask_upstream(&gate, &service, request, private_texts).await;
        let upstream = started.elapsed();

        service.metrics.redemption(outcome, attempt.price_msat);
        let settlement = Settlement { hash: attempt.hash, claim: attempt.claim, outcome, kept: kept.clone() };
        let settling = settle(&gate, settlement);
        tokio::pin!(settling);
        let settled = timeout(SETTLE_PATIENCE, &mut settling).await.is_ok();
        if let (Outcome::Delivered, Some(kept)) = (outcome, &kept) {
            let recent = Recent { request: attempt.request, at: UnixTime::now(), kept: Arc::new(kept.clone()) };
            gate.recent.insert(attempt.hash, recent, kept.weight());
        }
        if let Some(rest_of_body) = rest_of_body {
            let _ = rest.send(rest_of_body);
        }
        tell(ending(outcome, kept, refusal), upstream);
        if !settled {
            settling.await;
        }
    }
}

/// Claims, and never lets a grant lie about that nobody knows of. `None`: too late, `late` was called, and a grant was taken back.
async fn claim(gate: &Arc<Gate>, attempt: Attempt, late: impl FnOnce()) -> Option<Result<Claimed, LedgerError>> {
    let (hash, id) = (attempt.hash, attempt.claim);
    let claiming = gate.ledger.claim(attempt);
    tokio::pin!(claiming);
    if let Ok(claimed) = timeout(CLAIM_PATIENCE, &mut claiming).await {
        return Some(claimed);
    }
    late();
    if let Ok(Claimed { claim: Claim::Granted, .. }) = claiming.await {
        settle(gate, Settlement { hash, claim: id, outcome: Outcome::NotSent, kept: None }).await;
    }
    None
}

/// Writes how a try ended, again and again until it is written.
async fn settle(gate: &Gate, settlement: Settlement) {
    let mut pause = Duration::from_millis(50);
    loop {
        match gate.ledger.settle(settlement.clone()).await {
            Ok(Settled::Done) => return,
            Ok(Settled::Stale) => {
                warn!(ticket = %settlement.hash, outcome = settlement.outcome.word(), "the ticket was changed by somebody else meanwhile");
                return;
            }
            Err(error) => {
                error!(ticket = %settlement.hash, outcome = settlement.outcome.word(), %error, "not settled yet; tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    }
}

/// What the upstream did.
struct Done {
    outcome: Outcome,
    kept: Option<Kept>,
    refusal: Option<Refusal>,
    rest: Option<Rest>,
}

async fn ask_upstream(
    gate: &Gate,
    service: &Service,
    request: hyper::Request<RequestBody>,
    private_texts: Box<dyn FnOnce() -> Vec<String> + Send>,
) -> Done {
    let deadline = Instant::now() + service.upstream.timeout;
    let nothing = |outcome| Done { outcome, kept: None, refusal: None, rest: None };
    let response = match forward(&service.upstream, request, service.reuse, deadline).await {
        Sent::Yes(response) => response,
        Sent::No(why) => {
            warn!(service = %service.name, "not sent: {why}");
            return nothing(Outcome::NotSent);
        }
        Sent::Unknown(why) => {
            warn!(service = %service.name, "outcome unknown: {why}");
            return nothing(Outcome::Unknown);
        }
    };
    match by_status(response.status()) {
        Outcome::Delivered => {
            let (kept, rest) = keep(response, gate.site.limits.stored_answer, deadline).await;
            Done { kept: Some(kept), rest, ..nothing(Outcome::Delivered) }
        }
        Outcome::NotSent => {
            let refusal = read_refusal(service, response, deadline, private_texts).await;
            warn!(service = %service.name, status = refusal.status, "the upstream refused: nothing was sent");
            Done { refusal: Some(refusal), ..nothing(Outcome::NotSent) }
        }
        Outcome::Unknown => {
            warn!(service = %service.name, status = response.status().as_u16(), "outcome unknown: by the upstream's status");
            nothing(Outcome::Unknown)
        }
    }
}

/// Reads an answer, up to what is kept. What goes beyond is left to the first asker; what breaks off is kept without its body.
async fn keep(response: Response<ResponseBody>, limit: usize, deadline: Instant) -> (Kept, Option<Rest>) {
    let (parts, mut body) = response.into_parts();
    let mut kept = Kept { status: parts.status.as_u16(), headers: kept_headers(parts.headers), body: None };
    let mut read = BytesMut::new();
    loop {
        match timeout_at(deadline, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                read.extend_from_slice(&data);
                if read.len() > limit {
                    return (kept, Some((read.freeze(), body)));
                }
            }
            Ok(Some(Err(_))) | Err(_) => return (kept, None),
        }
    }
    kept.body = Some(read.freeze());
    (kept, None)
}

/// The fields that belong to the answer, without those about the connection, about us, or about accounts.
fn kept_headers(mut headers: HeaderMap) -> Vec<(String, String)> {
    const NOT_KEPT: [&str; 8] = [
        "www-authenticate",
        "authentication-info",
        "set-cookie",
        "alt-svc",
        "strict-transport-security",
        "date",
        "cache-control",
        "access-control-allow-origin",
    ];
    strip_connection(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let mut weight = 0;
    let text = |(name, value): (&HeaderName, &hyper::header::HeaderValue)| {
        let value = value.to_str().ok()?.to_owned();
        (!NOT_KEPT.contains(&name.as_str())).then(|| (name.as_str().to_owned(), value))
    };
    let fits = |(name, value): &(String, String)| {
        weight += name.len() + value.len();
        weight <= MAX_KEPT_HEADERS
    };
    headers.iter().filter_map(text).filter(fits).collect()
}

/// A refusal's status and cleaned words. Neither the operator's secrets nor the buyer's own texts are among them.
async fn read_refusal(
    service: &Service,
    response: Response<ResponseBody>,
    deadline: Instant,
    private_texts: Box<dyn FnOnce() -> Vec<String> + Send>,
) -> Refusal {
    let status = response.status().as_u16();
    let media = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let readable = media.starts_with("text/plain") || media.contains("json");
    let limited = http_body_util::Limited::new(response.into_body(), MAX_REFUSAL as usize).collect();
    let words = match timeout_at(deadline, limited).await {
        Ok(Ok(body)) if readable => {
            let mut secrets = private_texts();
            secrets.extend(service.upstream.secrets.iter().cloned());
            clean(&body.to_bytes(), &secrets)
        }
        _ => None,
    };
    Refusal { status, words }
}

fn ending(outcome: Outcome, kept: Option<Kept>, refusal: Option<Refusal>) -> Ending {
    match (outcome, kept) {
        (Outcome::Delivered, Some(kept)) => Ending::Delivered(kept),
        (Outcome::Delivered, None) => Ending::Replay(None),
        (Outcome::NotSent, _) => Ending::NotSent(NotSent { refusal, retry_after: spacing(1) }),
        (Outcome::Unknown, _) => Ending::Parked,
    }
}

/// From how it ended to what is said. `waited`: it was somebody else's try.
fn answer(end: Arc<End>, waited: bool, rest: Option<Rest>) -> Redeemed {
    Redeemed::Answer(match &end.ending {
        Ending::Delivered(kept) => delivered(kept, waited, rest),
        Ending::Replay(Some(kept)) => delivered(kept, true, None),
        Ending::Replay(None) => delivered(&Kept { status: 200, headers: Vec::new(), body: None }, true, None),
        Ending::NotSent(not_sent) => not_sent_problem(not_sent).into_answer(),
        Ending::Parked => parked(),
        Ending::Busy => in_flight(),
        Ending::Spaced(pause) => {
            let detail =
                "The last try with this ticket was a moment ago and did nothing. Send the same request again later; no second payment.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RetryLater, detail);
            problem.retry(Retry::SameTicket).after(*pause).into_answer()
        }
        Ending::OtherRequest => for_another_request(),
        Ending::LedgerDown => {
            let detail =
                "The ticket can't be recorded at the moment, so nothing was sent. It stays valid: send the same request again later.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::LedgerDown, detail);
            problem.retry(Retry::SameTicket).after(Duration::from_secs(5)).into_answer()
        }
        Ending::Worthless(code) => return Redeemed::Worthless(*code),
    })
}

fn not_sent_problem(not_sent: &NotSent) -> Problem {
    let problem = match &not_sent.refusal {
        None => {
            let detail = "The service behind this gate does not answer. Nothing was sent, and the ticket stays valid: \
                          send the same request again later, no second payment.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::UpstreamUnreachable, detail)
        }
        Some(refusal) => {
            let detail = "The service behind this gate refused the request. Nothing was sent, and the ticket stays valid: \
                          send the same request again later, no second payment.";
            let problem = Problem::new(StatusCode::BAD_GATEWAY, Code::UpstreamRefused, detail);
            let problem = problem.with("upstream_status", refusal.status);
            match &refusal.words {
                Some(words) => problem.with("upstream_says", words.as_str()),
                None => problem,
            }
        }
    };
    problem.retry(Retry::SameTicket).after(not_sent.retry_after)
}

fn parked() -> Answer {
    let detail = "Nobody knows whether your request was delivered. It is not sent again, so that it is not sent twice; \
                  the operator of this gate can find out. Send the same request again later to see what became of it.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, Code::OutcomeUnknown, detail).charged().retry(Retry::SameTicket).into_answer()
}

fn in_flight() -> Answer {
    let detail = "This ticket is being redeemed at this moment. Send the same request again to get its answer; nothing is sent twice.";
    let problem = Problem::new(StatusCode::CONFLICT, Code::InFlight, detail);
    problem.retry(Retry::SameTicket).after(Duration::from_secs(2)).into_answer()
}

fn too_busy() -> Answer {
    let detail = "Too many tickets are being redeemed at once. Nothing was sent, and this one stays valid: send the same request again.";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::TooBusy, detail);
    problem.retry(Retry::SameTicket).after(Duration::from_secs(1)).into_answer()
}

fn internal() -> Answer {
    let detail = "Something went wrong here. The ticket is not lost: send the same request again to see what became of it.";
    let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail);
    problem.retry(Retry::SameTicket).after(Duration::from_secs(1)).into_answer()
}
