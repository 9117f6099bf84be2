//! A paid ticket with its request: which of several requests takes off with it, and what each of
//! them is answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::answer::problem::Problem;
use crate::answer::stored::{Overflow, delivered, replayed};
use crate::answer::{Answer, problems};
use crate::code::Code;
use crate::gate::{Gate, RequestLog};
use crate::l402::verify::Genuine;
use crate::ledger::state::Attempt;
use crate::ledger::stored_answer::StoredAnswer;
use crate::payment_hash::PaymentHash;
use crate::redeem::in_flight::Entry;
use crate::redeem::run::{
    CLAIM_PATIENCE, End, Ending, Flight, NewFlight, NotSent, claim_id, lease, refused,
};
use crate::request_digest::RequestDigest;
use crate::service::Service;
use crate::service::request::PaidRequest;
use crate::service::validate;
use crate::ticket::{Rejected, VerifiedTicket};

/// How soon it is looked again whether another instance is through with a ticket.
const OTHER_INSTANCE_POLL: Duration = Duration::from_millis(200);

/// What came of a ticket.
pub enum Redeemed {
    /// An answer for its holder.
    Answer(Answer),
    /// It buys nothing here: offer a new one, and say why.
    Rejected(Rejected),
}

impl Redeemed {
    /// It buys nothing here.
    pub(crate) fn rejected(why: Code) -> Self {
        Self::Rejected(Rejected::because(why))
    }
}

/// Whose try an answer is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Try {
    /// This request's own.
    Own,
    /// Another request's, which this one waited for.
    Another,
}

/// Redeems a ticket, or says what became of it.
pub async fn redeem(
    gate: &Arc<Gate>,
    request: &PaidRequest<'_>,
    verified: VerifiedTicket,
    log: &mut RequestLog<'_>,
) -> Result<Redeemed, Problem> {
    let hash = verified.ticket().payment_hash;
    log.ticket = Some(hash);
    if gate.ledger.is_revoked(&hash) {
        return Ok(Redeemed::rejected(Code::TicketRevoked));
    }
    let Some(order) = verified.order() else {
        // A request that couldn't be bought is told so first.
        validate::order(request, &gate.catalogue.limits)?;
        let ending = misdirected(gate, request, &verified).await;
        return answer(&ending, Try::Another, None);
    };
    if let Some(stored) = recent(gate, &verified) {
        return replayed(&stored).map(Redeemed::Answer);
    }
    let patience = Instant::now() + gate.catalogue.times.wait;
    loop {
        let (end, whose, overflow) = match gate.in_flight.enter(hash) {
            Entry::Full => return Err(problems::too_many_redemptions()),
            Entry::Follower(mut end) => match timeout_at(patience, published(&mut end)).await {
                Ok(end) => (end, Try::Another, None),
                Err(_) => return Err(problems::in_flight()),
            },
            Entry::Leader(publish, end) => {
                let flight = |attempt| NewFlight { paid: request, order, attempt, keeps: true };
                let flight = attempt(gate, request, &verified).map(flight);
                let (end, overflow) = take_off(gate, hash, flight, publish, end).await;
                (end, Try::Own, overflow)
            }
        };
        let end = end.ok_or_else(problems::internal)?;
        // Another instance has it: its answer comes by the ledger.
        let is_busy = matches!(end.ending, Ending::Busy);
        if is_busy && Instant::now() + OTHER_INSTANCE_POLL < patience {
            sleep(OTHER_INSTANCE_POLL).await;
            continue;
        }
        log.upstream = (whose == Try::Own).then_some(end.upstream);
        return answer(&end.ending, whose, overflow);
    }
}

/// Flies, and gives the end of it, with the overflow of an answer that is too long to keep.
pub(crate) async fn take_off(
    gate: &Arc<Gate>,
    hash: PaymentHash,
    flight: Option<NewFlight<'_>>,
    publish: watch::Sender<Option<Arc<End>>>,
    mut end: watch::Receiver<Option<Arc<End>>>,
) -> (Option<Arc<End>>, Option<Overflow>) {
    let (overflow, mut first_asker) = oneshot::channel();
    let flight = flight.and_then(|flight| Flight::new(gate, flight, publish, overflow));
    match flight {
        Some(flight) => drop(gate.tasks.spawn(flight.fly())),
        None => gate.in_flight.leave(&hash),
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
async fn misdirected(gate: &Gate, request: &PaidRequest<'_>, verified: &VerifiedTicket) -> Ending {
    if gate.in_flight.is_under_way(&verified.ticket().payment_hash) {
        return Ending::Rejected(Code::TicketUsed);
    }
    let Some(attempt) = attempt(gate, request, verified) else { return Ending::LedgerDown };
    match timeout(CLAIM_PATIENCE, gate.ledger.claim(attempt)).await {
        Ok(Ok(claimed)) => refused(claimed),
        Ok(Err(_)) | Err(_) => Ending::LedgerDown,
    }
}

fn recent(gate: &Gate, verified: &VerifiedTicket) -> Option<Arc<StoredAnswer>> {
    let recent = gate.recent.get(&verified.ticket().payment_hash)?;
    recent.for_request(verified.request(), gate.catalogue.times.replay)
}

/// A try at a ticket, with a name of its own; `None` if the system has no randomness.
fn attempt(gate: &Gate, request: &PaidRequest<'_>, verified: &VerifiedTicket) -> Option<Attempt> {
    Some(Attempt {
        request: verified.request(),
        own_request: verified.order().is_some(),
        remembered: request.service.remembered,
        ..attempt_at(gate, request.service, verified.ticket())?
    })
}

/// A try that is bound to no request yet.
pub(crate) fn attempt_at(gate: &Gate, service: &Service, ticket: &Genuine) -> Option<Attempt> {
    Some(Attempt {
        hash: ticket.payment_hash,
        service: Arc::clone(&service.name),
        request: RequestDigest::NONE,
        own_request: true,
        key: gate.ring.get(ticket.key)?.fingerprint(),
        minted: ticket.minted,
        era: ticket.era,
        minted_valid_until: ticket.minted_valid_until,
        valid_until: ticket.valid_until,
        price_msat: ticket.price_msat,
        place: service.place(ticket.key),
        remembered: None,
        sealed: None,
        lease: lease(service),
        claim: claim_id()?,
    })
}

/// From how it ended to what is said.
pub(crate) fn answer(
    ending: &Ending,
    whose: Try,
    overflow: Option<Overflow>,
) -> Result<Redeemed, Problem> {
    let answer = match ending {
        Ending::Delivered(answer) if whose == Try::Own => delivered(answer, overflow),
        Ending::Delivered(answer) | Ending::Replay(Some(answer)) => replayed(answer),
        Ending::Replay(None) => {
            replayed(&StoredAnswer { status: 200, headers: Vec::new(), body: None })
        }
        Ending::NotSent(not_sent) => Err(not_sent_problem(not_sent)),
        Ending::Parked => Err(problems::parked()),
        Ending::Busy => Err(problems::in_flight()),
        Ending::RetryLater(pause) => Err(problems::retry_later(*pause)),
        Ending::OtherRequest => Err(problems::for_another_request()),
        Ending::LedgerDown => Err(problems::ledger_down()),
        Ending::Rejected(why) => return Ok(Redeemed::rejected(*why)),
    };
    answer.map(Redeemed::Answer)
}

pub(crate) fn not_sent_problem(NotSent { refusal, retry_after }: &NotSent) -> Problem {
    match refusal {
        None => problems::upstream_unreachable(*retry_after),
        Some(refusal) => {
            problems::upstream_refused(refusal.status, refusal.words.as_deref(), *retry_after)
        }
    }
}
