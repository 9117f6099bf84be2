//! A paid ticket with its request: who of several takes off with it, and what each of them is
//! answered.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::admit::{VerifiedTicket, for_another_request};
use super::challenge::Sale;
use super::flight::{CLAIM_PATIENCE, End, Ending, Flight, NotSent, claim_id, lease, refused};
use super::in_flight::Entry;
use super::stored_answer::Rest;
use super::{Gate, Notes};
use crate::answer::{Answer, Problem, Retry, delivered};
use crate::code::Code;
use crate::ledger::state::Attempt;
use crate::ledger::stored_answer::Kept;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// How soon it is looked again whether another instance is through with a ticket.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// An answer that was delivered a while ago, in memory.
#[derive(Clone)]
pub struct Recent {
    request: [u8; 32],
    at: UnixTime,
    kept: Arc<Kept>,
}

impl Recent {
    /// Delivered just now.
    pub(super) fn new(request: [u8; 32], kept: Kept) -> Self {
        Self { request, at: UnixTime::now(), kept: Arc::new(kept) }
    }
}

/// What came of a ticket.
pub enum Redeemed {
    /// An answer for its holder.
    Answer(Answer),
    /// It buys nothing here: offer a new one, and say why.
    Worthless(Code),
}

/// Redeems a ticket, or says what became of it.
pub async fn redeem(sale: &Sale<'_>, verified: VerifiedTicket, notes: &mut Notes<'_>) -> Redeemed {
    let (gate, hash) = (sale.gate, verified.ticket().payment_hash);
    notes.ticket = Some(hash);
    if gate.revoked.contains(&hash) {
        return Redeemed::Worthless(Code::TicketRevoked);
    }
    if !verified.is_for_this_request() {
        return answer(misdirected(sale, &verified).await, true, None);
    }
    if let Some(kept) = recent(gate, &verified) {
        return Redeemed::Answer(delivered(&kept, true, None));
    }
    let patience = Instant::now() + gate.site.times.wait;
    loop {
        let (end, waited, rest) = match gate.in_flight.enter(hash) {
            Entry::Full => return Redeemed::Answer(too_busy()),
            Entry::Follower(mut end) => match timeout_at(patience, published(&mut end)).await {
                Ok(end) => (end, true, None),
                Err(_) => return Redeemed::Answer(in_flight()),
            },
            Entry::Leader(publish, end) => {
                let (end, rest) = take_off(
                    sale,
                    hash,
                    attempt(sale, &verified),
                    verified.ticket().key,
                    publish,
                    end,
                )
                .await;
                (end, false, rest)
            }
        };
        let Some(end) = end else { return Redeemed::Answer(internal()) };
        // Another instance has it: its answer comes by the ledger.
        if matches!(end.ending, Ending::Busy) && Instant::now() + LOOK_AGAIN < patience {
            sleep(LOOK_AGAIN).await;
            continue;
        }
        notes.upstream = (!waited).then_some(end.upstream);
        return answer(end, waited, rest);
    }
}

/// Flies, and gives the end of it, with the rest of an answer that is too long to keep. `key` is
/// the one that signed the ticket.
pub(super) async fn take_off(
    sale: &Sale<'_>,
    hash: PaymentHash,
    attempt: Option<Attempt>,
    key: usize,
    publish: watch::Sender<Option<Arc<End>>>,
    mut end: watch::Receiver<Option<Arc<End>>>,
) -> (Option<Arc<End>>, Option<Rest>) {
    let (rest, mut first_asker) = oneshot::channel();
    match attempt.and_then(|attempt| Flight::new(sale, attempt, key, publish, rest)) {
        Some(flight) => drop(sale.gate.tasks.spawn(flight.fly())),
        None => sale.gate.in_flight.leave(&hash),
    }
    let end = published(&mut end).await;
    // Sent before the end was published, if there is any.
    (end, first_asker.try_recv().ok())
}

/// The end of a flight, once there is one; `None` if its task is gone without a word.
async fn published(end: &mut watch::Receiver<Option<Arc<End>>>) -> Option<Arc<End>> {
    end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone())
}

/// What the ledger says of a ticket that came with another request than its own. It is never
/// claimed by this.
async fn misdirected(sale: &Sale<'_>, verified: &VerifiedTicket) -> Arc<End> {
    let ending = if sale.gate.in_flight.is_under_way(&verified.ticket().payment_hash) {
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
    Arc::new(End { ending, upstream: Duration::ZERO, granted: false })
}

fn recent(gate: &Gate, verified: &VerifiedTicket) -> Option<Arc<Kept>> {
    let recent = gate.recent.get(&verified.ticket().payment_hash)?;
    let young = UnixTime::now().since(recent.at).is_none_or(|age| age <= gate.site.times.replay);
    (young && recent.request == verified.request()).then_some(recent.kept)
}

/// A try at a ticket, with a name of its own; `None` if the system has no randomness.
fn attempt(sale: &Sale<'_>, verified: &VerifiedTicket) -> Option<Attempt> {
    let ticket = verified.ticket();
    Some(Attempt {
        hash: ticket.payment_hash,
        service: Arc::clone(&sale.service.name),
        request: verified.request(),
        own_request: verified.is_for_this_request(),
        minted_valid_until: ticket.minted_valid_until,
        valid_until: ticket.valid_until,
        price_msat: sale.offer.price.get(),
        repeatable: sale.service.repeatable,
        lease: lease(sale.service),
        claim: claim_id()?,
    })
}

/// From how it ended to what is said. `waited`: it was somebody else's try.
pub(super) fn answer(end: Arc<End>, waited: bool, rest: Option<Rest>) -> Redeemed {
    Redeemed::Answer(match &end.ending {
        Ending::Delivered(kept) => delivered(kept, waited, rest),
        Ending::Replay(Some(kept)) => delivered(kept, true, None),
        Ending::Replay(None) => {
            delivered(&Kept { status: 200, headers: Vec::new(), body: None }, true, None)
        }
        Ending::NotSent(not_sent) => not_sent_problem(not_sent).into_answer(),
        Ending::Parked => parked(),
        Ending::Busy => in_flight(),
        Ending::Spaced(pause) => {
            let detail = "The last try with this ticket was a moment ago and did nothing. Send \
                          the same request again later; no second payment.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RetryLater, detail);
            problem.retry(Retry::SameTicket).after(*pause).into_answer()
        }
        Ending::OtherRequest => for_another_request(),
        Ending::LedgerDown => {
            let detail = "The ticket can't be recorded at the moment, so nothing was sent. It \
                          stays valid: send the same request again later.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::LedgerDown, detail);
            problem.retry(Retry::SameTicket).after(Duration::from_secs(5)).into_answer()
        }
        Ending::Worthless(code) => return Redeemed::Worthless(*code),
    })
}

pub(super) fn not_sent_problem(not_sent: &NotSent) -> Problem {
    let problem = match &not_sent.refusal {
        None => {
            let detail = "The service behind this gate does not answer. Nothing was sent, and the \
                          ticket stays valid: \
                          send the same request again later, no second payment.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::UpstreamUnreachable, detail)
        }
        Some(refusal) => {
            let detail = "The service behind this gate refused the request. Nothing was sent, and \
                          the ticket stays valid: \
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
    let detail = "Nobody knows whether your request was delivered. It is not sent again, so that \
                  it is not sent twice; \
                  the operator of this gate can find out. Send the same request again later to \
                  see what became of it.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, Code::OutcomeUnknown, detail)
        .charged()
        .retry(Retry::SameTicket)
        .into_answer()
}

pub(super) fn ledger_down() -> Answer {
    let detail = "The ticket can't be recorded at the moment, so nothing was sent. It stays \
                  valid: send the same request again later.";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::LedgerDown, detail);
    problem.retry(Retry::SameTicket).after(Duration::from_secs(5)).into_answer()
}

pub(super) fn in_flight() -> Answer {
    let detail = "This ticket is being redeemed at this moment. Send the same request again to \
                  get its answer; nothing is sent twice.";
    let problem = Problem::new(StatusCode::CONFLICT, Code::InFlight, detail);
    problem.retry(Retry::SameTicket).after(Duration::from_secs(2)).into_answer()
}

pub(super) fn too_busy() -> Answer {
    let detail = "Too many tickets are being redeemed at once. Nothing was sent, and this one \
                  stays valid: send the same request again.";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::TooBusy, detail);
    problem.retry(Retry::SameTicket).after(Duration::from_secs(1)).into_answer()
}

pub(super) fn internal() -> Answer {
    let detail = "Something went wrong here. The ticket is not lost: send the same request again \
                  to see what became of it.";
    let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail);
    problem.retry(Retry::SameTicket).after(Duration::from_secs(1)).into_answer()
}
