//! One redemption: claim durably, forward once, settle. It runs in a task of its own, because a
//! client that leaves takes its handler with it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use hyper::header::HeaderValue;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tracing::{error, warn};

use super::sealed_order;
use crate::answer::stored::Overflow;
use crate::code::Code;
use crate::crash_point::crash_point;
use crate::gate::Gate;
use crate::keys::Keys;
use crate::ledger::accounts::JournalEntry;
use crate::ledger::error::LedgerError;
use crate::ledger::state::{Attempt, Claim, ClaimId, RejectReason, retry_delay};
use crate::ledger::store::{Claimed, Settled, Settlement};
use crate::ledger::stored_answer::StoredAnswer;
use crate::order::Order;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::redeem::exchange::{self, Exchange, ask_until_known};
use crate::redeem::recent::Recent;
use crate::redeem::stored_answer::Refusal;
use crate::service::Service;
use crate::service::request::PaidRequest;
use crate::upstream::request;
use crate::upstream::window::SendWindow;

/// How long an answer waits for its settlement to be durable. Past that it is given, and the
/// settlement goes on.
const SETTLE_PATIENCE: Duration = Duration::from_millis(250);

/// How long a claim may take until its payer is told to come again.
pub(crate) const CLAIM_PATIENCE: Duration = Duration::from_secs(5);

/// A name for a try; `None` if the system has no randomness.
pub(crate) fn claim_id() -> Option<ClaimId> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(ClaimId::from_bytes(bytes))
}

/// By how much a claim outlives the longest time that its try can take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The longest time that a try can take, with its repeats and a margin.
pub(crate) fn lease(service: &Service) -> Duration {
    exchange::longest(service) + LEASE_MARGIN
}

/// How a redemption ended, for everybody who waits for it.
pub struct End {
    pub(crate) ending: Ending,
    pub(crate) upstream: Duration,
    /// Whether this try held the ticket; else it is what an earlier one left.
    pub(crate) granted: bool,
}

impl End {
    /// Of a try that never held the ticket, and so never asked the upstream.
    pub(crate) fn not_granted(ending: Ending) -> Self {
        Self { ending, upstream: Duration::ZERO, granted: false }
    }
}

pub(crate) enum Ending {
    /// Delivered by this very redemption.
    Delivered(StoredAnswer),
    /// Delivered before.
    Replay(Option<StoredAnswer>),
    /// Certainly nothing happened.
    NotSent(NotSent),
    /// Nobody knows.
    Parked,
    /// Somebody else holds it.
    Busy,
    /// Tried again too soon.
    RetryLater(Duration),
    /// It buys nothing any more.
    Rejected(Code),
    /// Unused, and bought for another request.
    OtherRequest,
    /// The claim could not be made durable; nothing was sent.
    LedgerDown,
}

pub(crate) struct NotSent {
    pub(crate) refusal: Option<Refusal>,
    pub(crate) retry_after: Duration,
}

/// An answer of the ledger's that grants nothing.
pub(crate) fn refused(claimed: Claimed) -> Ending {
    match claimed.claim {
        Claim::Replay => Ending::Replay(claimed.answer),
        // A grant that nobody can use; not reached by who asks for one.
        Claim::Granted | Claim::Busy => Ending::Busy,
        Claim::Parked => Ending::Parked,
        Claim::RetryLater { retry_after } => Ending::RetryLater(retry_after),
        Claim::OtherRequest => Ending::OtherRequest,
        Claim::Rejected(why) => Ending::Rejected(match why {
            RejectReason::Expired => Code::TicketExpired,
            RejectReason::UsedForAnother => Code::TicketUsed,
            RejectReason::Spent => Code::TicketSpent,
            RejectReason::Revoked => Code::TicketRevoked,
        }),
    }
}

/// One redemption, from claim to settle, whoever still waits for it.
pub(crate) struct Flight {
    gate: Arc<Gate>,
    service: Arc<Service>,
    attempt: Attempt,
    order: Order,
    request: Request<Bytes>,
    /// Whether its answer is kept for repeats.
    keeps: bool,
    publish: watch::Sender<Option<Arc<End>>>,
    overflow: oneshot::Sender<Overflow>,
}

/// What goes upstream; `None` if it can't be written.
pub(crate) fn upstream_request(paid: &PaidRequest<'_>, order: &Order) -> Option<Request<Bytes>> {
    request::paid(
        &paid.service.upstream,
        &paid.service.method,
        &paid.head.headers,
        &paid.offer.forward_headers,
        // What was sold without a body has no media type, whatever the service takes by now.
        paid.offer.content_type.as_ref().filter(|_| order.query().is_none()),
        order.query(),
        order.body().clone(),
    )
}

/// Tells the backend the name by which payer and operator may speak of the request.
pub(crate) fn put_reference(
    service: &Service,
    keys: &Keys,
    hash: &PaymentHash,
    request: &mut Request<Bytes>,
) {
    if let Some(name) = &service.reference
        && let Ok(value) = HeaderValue::from_str(&keys.reference(hash))
    {
        request.headers_mut().insert(name.clone(), value);
    }
}

/// What a flight is made of.
pub(crate) struct NewFlight<'a> {
    pub(crate) paid: &'a PaidRequest<'a>,
    pub(crate) order: &'a Order,
    pub(crate) attempt: Attempt,
    /// Whether its answer is kept for repeats.
    pub(crate) keeps: bool,
}

/// Ends the flight whatever happens to its task.
struct LeaveOnDrop {
    gate: Arc<Gate>,
    hash: PaymentHash,
}

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        self.gate.in_flight.leave(&self.hash);
    }
}

impl Flight {
    /// `None` if its request can't be written.
    pub(crate) fn new(
        gate: &Arc<Gate>,
        flight: NewFlight<'_>,
        publish: watch::Sender<Option<Arc<End>>>,
        overflow: oneshot::Sender<Overflow>,
    ) -> Option<Self> {
        let NewFlight { paid, order, mut attempt, keeps } = flight;
        let keys = gate.ring.of(attempt.key)?;
        let mut request = upstream_request(paid, order)?;
        put_reference(paid.service, keys, &attempt.hash, &mut request);
        attempt.sealed = sealed_order::seal(
            keys,
            &attempt.hash,
            &paid.service.name,
            order,
            &paid.head.headers,
            &paid.offer.forward_headers,
        );
        if let Some(place) = &paid.service.key {
            let is_named = place.put(&mut request, &keys.idempotency_key(&attempt.hash)).is_some();
            // Sold before the key had to be a member of its body: it goes without, and so once.
            attempt.remembered = attempt.remembered.filter(|_| is_named);
            attempt.place = attempt.place.filter(|_| is_named);
        }
        Some(Self {
            gate: Arc::clone(gate),
            service: Arc::clone(paid.service),
            attempt,
            keeps,
            order: order.clone(),
            request,
            publish,
            overflow,
        })
    }

    pub(crate) async fn fly(self) {
        let Self { gate, service, attempt, order, request, keeps, publish, overflow } = self;
        let _leave_on_drop = LeaveOnDrop { gate: Arc::clone(&gate), hash: attempt.hash };
        let publish_end = |end| drop(publish.send(Some(Arc::new(end))));
        crash_point("before-claim");
        // From before the claim: so it closes well before the lease ends, by whatever clock.
        let open_for = attempt.lease.saturating_sub(service.upstream.timeout + LEASE_MARGIN / 2);
        let window = SendWindow::open_for(open_for);
        let late = || publish_end(End::not_granted(Ending::LedgerDown));
        let maybe_delivered = match claim(&gate, attempt.clone(), late).await {
            Some(Ok(Claimed { claim: Claim::Granted, maybe_delivered, .. })) => maybe_delivered,
            Some(Ok(refusal)) => return publish_end(End::not_granted(refused(refusal))),
            Some(Err(_)) => return publish_end(End::not_granted(Ending::LedgerDown)),
            None => return,
        };
        crash_point("after-claim");

        let started = Instant::now();
        let repeats = attempt.remembered;
        let asking =
            ask_until_known(&gate, &service, &order, request, window, maybe_delivered, repeats);
        // Should it panic, the ticket is parked instead of being claimed for ever.
        let done =
            caught(pin!(asking)).await.unwrap_or_else(|| Exchange::nothing(Outcome::Unknown));
        let Exchange { outcome, answer, refusal, overflow: more } = done;
        let upstream = started.elapsed();

        crash_point("after-send");
        service.metrics.redemption(outcome, attempt.price_msat);
        if outcome == Outcome::Unknown {
            say_parked(&gate, &service, &attempt);
        }
        let settlement = Settlement {
            hash: attempt.hash,
            claim: attempt.claim,
            outcome,
            answer: answer.clone().filter(|_| keeps),
        };
        let settling = settle(&gate, settlement);
        tokio::pin!(settling);
        let settled = timeout(SETTLE_PATIENCE, &mut settling).await;
        crash_point("after-settle");
        if outcome == Outcome::Delivered {
            gate.ledger.append(JournalEntry::Served(attempt.hash));
        }
        if let (true, Outcome::Delivered, Some(answer)) = (keeps, outcome, &answer) {
            let recent = Recent::new(attempt.request, answer.clone());
            gate.recent.insert(attempt.hash, recent, answer.weight());
        }
        if let Some(more) = more {
            let _ = overflow.send(more);
        }
        let attempts = settled.as_ref().ok().copied().flatten().unwrap_or(1);
        let ending = ending(outcome, answer, refusal, attempts);
        publish_end(End { ending, upstream, granted: true });
        if settled.is_err() {
            settling.await;
        }
    }
}

/// So that the operator can match the ticket to what the backend has.
fn say_parked(gate: &Gate, service: &Service, attempt: &Attempt) {
    let keys = gate.ring.of(attempt.key);
    let reference = keys.map(|keys| keys.reference(&attempt.hash)).unwrap_or_default();
    warn!(
        ticket = %attempt.hash,
        reference,
        service = %service.name,
        "parked: nobody knows whether it was sent; `farebox tickets show` tells what it was for"
    );
}

/// What a future gives; `None` if it panics, after which it isn't touched again. A task of its own
/// would do the same and cost two switches.
async fn caught<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Claims, and never lets a grant lie about that nobody knows of. `None`: too late, `late` was
/// called, and a grant was taken back.
async fn claim(
    gate: &Arc<Gate>,
    attempt: Attempt,
    late: impl FnOnce(),
) -> Option<Result<Claimed, LedgerError>> {
    let (hash, id) = (attempt.hash, attempt.claim);
    let claiming = gate.ledger.claim(attempt);
    tokio::pin!(claiming);
    if let Ok(claimed) = timeout(CLAIM_PATIENCE, &mut claiming).await {
        return Some(claimed);
    }
    late();
    if let Ok(Claimed { claim: Claim::Granted, .. }) = claiming.await {
        settle(gate, Settlement { hash, claim: id, outcome: Outcome::NotSent, answer: None }).await;
    }
    None
}

/// Writes how a try ended, again and again until it is written. Gives the number of tries that did
/// nothing.
async fn settle(gate: &Gate, settlement: Settlement) -> Option<u32> {
    let (ticket, outcome) = (settlement.hash, settlement.outcome.word());
    let mut pause = Duration::from_millis(50);
    loop {
        match gate.ledger.settle(settlement.clone()).await {
            Ok(Settled::Done { attempts }) => return Some(attempts),
            Ok(Settled::Stale) => {
                warn!(%ticket, outcome, "the ticket was changed by somebody else meanwhile");
                return None;
            }
            Err(error) => {
                error!(%ticket, outcome, %error, "not settled yet; tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    }
}

fn ending(
    outcome: Outcome,
    answer: Option<StoredAnswer>,
    refusal: Option<Refusal>,
    attempts: u32,
) -> Ending {
    match (outcome, answer) {
        (Outcome::Delivered, Some(answer)) => Ending::Delivered(answer),
        (Outcome::Delivered, None) => Ending::Replay(None),
        (Outcome::NotSent, _) => {
            Ending::NotSent(NotSent { refusal, retry_after: retry_delay(attempts) })
        }
        (Outcome::Unknown, _) => Ending::Parked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_end_too() {
        assert_eq!(caught(pin!(async { 7 })).await, Some(7));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert_eq!(caught::<()>(pin!(panics)).await, None);
    }
}
