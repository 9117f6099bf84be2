//! One redemption: claim durably, forward once, settle. It runs in a task of its own, because a
//! client that leaves takes its handler with it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tracing::{error, warn};

use super::Gate;
use super::challenge::Sale;
use super::paid::Recent;
use super::stored_answer::{Read, Refusal, Rest, keep, read, refusal};
use crate::code::Code;
use crate::crash_point::crash_point;
use crate::ledger::accounts::Entry;
use crate::ledger::state::{Attempt, Claim, ClaimId, Why, spacing};
use crate::ledger::store::{Claimed, LedgerError, Settled, Settlement};
use crate::ledger::stored_answer::Kept;
use crate::order::Order;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::service::{Sells, Service};
use crate::upstream::body::{RequestBody, ResponseBody};
use crate::upstream::forward::{Sent, forward};
use crate::upstream::request;
use crate::upstream::window::SendWindow;

/// How long an answer waits for its settlement to be durable. Past that it is given, and the
/// settlement goes on.
const SETTLE_PATIENCE: Duration = Duration::from_millis(250);

/// How long a claim may take until its payer is told to come again.
pub(super) const CLAIM_PATIENCE: Duration = Duration::from_secs(5);

/// Pauses before a request whose outcome nobody knows is sent again, where the upstream throws
/// repeats away.
const REPEATS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];

/// A name for a try; `None` if the system has no randomness.
pub(super) fn claim_id() -> Option<ClaimId> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(ClaimId::from_bytes(bytes))
}

/// By how much a claim outlives the longest time that its try can take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The longest time that a try can take, with its repeats and a margin.
pub(super) fn lease(service: &Service) -> Duration {
    let repeats = if service.repeatable { REPEATS.as_slice() } else { &[] };
    let tries = u32::try_from(repeats.len()).unwrap_or(0) + 1;
    service.upstream.timeout.saturating_mul(tries) + repeats.iter().sum::<Duration>() + LEASE_MARGIN
}

/// How a redemption ended, for everybody who waits for it.
pub struct End {
    pub(super) ending: Ending,
    pub(super) upstream: Duration,
    /// Whether this try held the ticket; else it is what an earlier one left.
    pub(super) granted: bool,
}

pub(super) enum Ending {
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

pub(super) struct NotSent {
    pub(super) refusal: Option<Refusal>,
    pub(super) retry_after: Duration,
}

/// An answer of the ledger's that grants nothing.
pub(super) fn refused(claimed: Claimed) -> Ending {
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
pub(super) struct Flight {
    gate: Arc<Gate>,
    service: Arc<Service>,
    attempt: Attempt,
    order: Order,
    request: Request<Bytes>,
    /// Whether its answer is kept for repeats.
    keeps: bool,
    publish: watch::Sender<Option<Arc<End>>>,
    rest: oneshot::Sender<Rest>,
}

/// What goes upstream; `None` if it can't be written.
pub(super) fn upstream_request(sale: &Sale<'_>) -> Option<Request<Bytes>> {
    request::paid(
        &sale.service.upstream,
        &sale.service.method,
        &sale.head.headers,
        &sale.offer.forward_headers,
        sale.offer.content_type.as_ref(),
        sale.order.query(),
        sale.order.body().clone(),
    )
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
    pub(super) fn new(
        sale: &Sale<'_>,
        attempt: Attempt,
        key: usize,
        publish: watch::Sender<Option<Arc<End>>>,
        rest: oneshot::Sender<Rest>,
    ) -> Option<Self> {
        let (service, offer) = (sale.service, sale.offer);
        let mut request = upstream_request(sale)?;
        if let Some(place) = &service.key {
            let key = sale.gate.ring.all().nth(key)?.idempotency_key(&attempt.hash);
            place.put(&mut request, &key)?;
        }
        Some(Self {
            gate: Arc::clone(sale.gate),
            service: Arc::clone(service),
            attempt,
            keeps: offer.sells == Sells::SingleUse,
            order: sale.order.clone(),
            request,
            publish,
            rest,
        })
    }

    pub(super) async fn fly(self) {
        let Self { gate, service, attempt, order, request, keeps, publish, rest } = self;
        let _leave_on_drop = LeaveOnDrop { gate: Arc::clone(&gate), hash: attempt.hash };
        let tell = |ending, upstream, granted| {
            drop(publish.send(Some(Arc::new(End { ending, upstream, granted }))))
        };
        crash_point("before-claim");
        // From before the claim: so it closes well before the lease ends, by whatever clock.
        let window = SendWindow::open_for(
            attempt.lease.saturating_sub(service.upstream.timeout + LEASE_MARGIN / 2),
        );
        let doubtful =
            match claim(&gate, attempt.clone(), || tell(Ending::LedgerDown, Duration::ZERO, false))
                .await
            {
                Some(Ok(Claimed { claim: Claim::Granted, doubtful, .. })) => doubtful,
                Some(Ok(refusal)) => return tell(refused(refusal), Duration::ZERO, false),
                Some(Err(_)) => return tell(Ending::LedgerDown, Duration::ZERO, false),
                None => return,
            };
        crash_point("after-claim");
        gate.watchers.tell(&attempt.hash);

        let started = Instant::now();
        let asking = pin!(ask_until_known(
            Arc::clone(&gate),
            Arc::clone(&service),
            order,
            request,
            window,
            doubtful
        ));
        // Should it panic, the ticket is parked instead of being claimed for ever.
        let done = caught(asking).await.unwrap_or_else(|| Done::nothing(Outcome::Unknown));
        let Done { outcome, kept, refusal, rest: rest_of_body } = done;
        let upstream = started.elapsed();

        crash_point("after-send");
        service.metrics.redemption(outcome, attempt.price_msat);
        let settlement = Settlement {
            hash: attempt.hash,
            claim: attempt.claim,
            outcome,
            kept: kept.clone().filter(|_| keeps),
        };
        let settling = settle(&gate, settlement);
        tokio::pin!(settling);
        let settled = timeout(SETTLE_PATIENCE, &mut settling).await;
        crash_point("after-settle");
        if outcome == Outcome::Delivered {
            gate.books.enter(Entry::Served(attempt.hash));
        }
        gate.watchers.tell(&attempt.hash);
        if let (true, Outcome::Delivered, Some(kept)) = (keeps, outcome, &kept) {
            let recent = Recent::new(attempt.request, kept.clone());
            gate.recent.insert(attempt.hash, recent, kept.weight());
        }
        if let Some(rest_of_body) = rest_of_body {
            let _ = rest.send(rest_of_body);
        }
        let attempts = settled.as_ref().ok().copied().flatten().unwrap_or(1);
        tell(ending(outcome, kept, refusal, attempts), upstream, true);
        if settled.is_err() {
            settling.await;
        }
    }
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
        settle(gate, Settlement { hash, claim: id, outcome: Outcome::NotSent, kept: None }).await;
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

/// What the upstream did.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) kept: Option<Kept>,
    pub(super) refusal: Option<Refusal>,
    pub(super) rest: Option<Rest>,
}

impl Done {
    /// Without an answer.
    pub(super) fn nothing(outcome: Outcome) -> Self {
        Self { outcome, kept: None, refusal: None, rest: None }
    }
}

/// Asks once; again only if nobody knows what became of it and the upstream itself throws repeats
/// away. What may have happened once (`doubtful`: before this) can't become "not sent" by a later
/// refusal.
async fn ask_until_known(
    gate: Arc<Gate>,
    service: Arc<Service>,
    order: Order,
    request: Request<Bytes>,
    window: SendWindow,
    mut doubtful: bool,
) -> Done {
    let mut pauses = if service.repeatable { REPEATS.iter() } else { [].iter() };
    loop {
        let done = ask(&gate, &service, &order, request.clone(), window).await;
        match done.outcome {
            Outcome::Delivered => return done,
            Outcome::NotSent if !doubtful => return done,
            Outcome::NotSent | Outcome::Unknown => doubtful = true,
        }
        let Some(pause) = pauses.next() else { return Done::nothing(Outcome::Unknown) };
        tokio::select! {
            () = tokio::time::sleep(*pause) => {}
            // A stop waits for redemptions, but not for all of their repeats.
            () = gate.stopping.cancelled() => return Done::nothing(Outcome::Unknown),
        }
    }
}

async fn ask(
    gate: &Gate,
    service: &Service,
    order: &Order,
    request: Request<Bytes>,
    window: SendWindow,
) -> Done {
    let deadline = Instant::now() + service.upstream.timeout;
    match send(service, request, Some(window), deadline).await {
        Ok(response) => judge(gate, service, order, response, deadline).await,
        Err(outcome) => Done::nothing(outcome),
    }
}

/// Sends a request, and waits for the head of the answer. `Err` is what it comes to without one.
pub(super) async fn send(
    service: &Service,
    request: Request<Bytes>,
    window: Option<SendWindow>,
    deadline: Instant,
) -> Result<Response<ResponseBody>, Outcome> {
    let request = request.map(|body| RequestBody::Whole(Full::new(body)));
    match forward(&service.upstream, request, service.reuse, deadline, window).await {
        Sent::Yes(response) => Ok(response),
        Sent::No(why) => {
            warn!(service = %service.name, "not sent: {why}");
            Err(Outcome::NotSent)
        }
        Sent::Unknown(why) => {
            warn!(service = %service.name, "outcome unknown: {why}");
            Err(Outcome::Unknown)
        }
    }
}

/// Reads an answer and says what it means.
pub(super) async fn judge(
    gate: &Gate,
    service: &Service,
    order: &Order,
    response: Response<ResponseBody>,
    deadline: Instant,
) -> Done {
    let Read { head, body, rest } = read(response, gate.site.limits.stored_answer, deadline).await;
    let outcome = service.meaning.of(head.status, &head.headers, body.as_deref());
    match outcome {
        Outcome::Delivered => Done { kept: Some(keep(head, body)), rest, ..Done::nothing(outcome) },
        Outcome::NotSent => {
            let status = head.status.as_u16();
            warn!(service = %service.name, status, "the upstream refused: nothing was sent");
            Done {
                refusal: Some(refusal(service, &head, body.as_ref(), order)),
                ..Done::nothing(outcome)
            }
        }
        Outcome::Unknown => {
            let status = head.status.as_u16();
            warn!(service = %service.name, status, "outcome unknown: by the upstream's answer");
            Done::nothing(outcome)
        }
    }
}

fn ending(outcome: Outcome, kept: Option<Kept>, refusal: Option<Refusal>, attempts: u32) -> Ending {
    match (outcome, kept) {
        (Outcome::Delivered, Some(kept)) => Ending::Delivered(kept),
        (Outcome::Delivered, None) => Ending::Replay(None),
        (Outcome::NotSent, _) => {
            Ending::NotSent(NotSent { refusal, retry_after: spacing(attempts) })
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
