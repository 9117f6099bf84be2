//! One redemption: claim durably, forward once, settle. It runs in a task of its own, because a
//! client that leaves takes its handler with it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::exchange::{Asker, Exchange};
use super::finished::{Ending, Finished, MayChange, NotSent};
use super::in_flight::InFlight;
use super::job::{Job, KeepAnswer, LEASE_MARGIN};
use super::recent::RecentAnswers;
use super::stored_answer::UpstreamRefusal;
use crate::answer::stored::Overflow;
use crate::crash_point::crash_point;
use crate::keys::{KeyRing, WhichRequest};
use crate::ledger::Ledger;
use crate::ledger::accounts::JournalEntry;
use crate::ledger::error::LedgerError;
use crate::ledger::messages::RefusedNumber;
use crate::ledger::state::{Asked, Attempt, Claim, Resolution, State, retry_delay};
use crate::ledger::store::{Claimed, Settled, Settlement};
use crate::ledger::stored_answer::StoredAnswer;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::service::Service;
use crate::upstream::send_deadline::SendDeadline;

/// How long an answer waits for its settlement to be durable. Past that it is given, and the
/// settlement goes on.
const SETTLE_PATIENCE: Duration = Duration::from_millis(250);

/// How long a claim may take until its payer is told to come again.
pub(super) const CLAIM_PATIENCE: Duration = Duration::from_secs(5);

/// The two ends of what is published of a redemption, once it has finished.
pub(super) type Publish = watch::Sender<Option<Arc<Finished>>>;
pub(super) type Published = watch::Receiver<Option<Arc<Finished>>>;

/// What runs redemptions.
pub(super) struct Runner {
    pub(super) ring: Arc<KeyRing>,
    pub(super) ledger: Arc<Ledger>,
    /// Redemptions under way.
    pub(super) in_flight: InFlight<Arc<Finished>>,
    /// Answers that were delivered a while ago.
    pub(super) recent: RecentAnswers,
    /// See [`Runner::answer_max`]; a reload may change it.
    pub(super) answer_max: AtomicUsize,
    /// Cancelled once the process is to stop.
    pub(super) stopping: CancellationToken,
    /// The tasks that a stop waits for.
    pub(super) tasks: TaskTracker,
}

/// Ends the redemption whatever happens to its task.
struct LeaveOnDrop<'a> {
    in_flight: &'a InFlight<Arc<Finished>>,
    hash: PaymentHash,
}

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        self.in_flight.leave(&self.hash);
    }
}

/// Once a redemption has finished; `None` if its task is gone without a word.
pub(super) async fn published(finished: &mut Published) -> Option<Arc<Finished>> {
    finished.wait_for(Option::is_some).await.ok().and_then(|finished| finished.clone())
}

impl Runner {
    /// Longest answer that is kept, in bytes.
    pub(super) fn answer_max(&self) -> usize {
        self.answer_max.load(Ordering::Relaxed)
    }

    /// Runs a job that the caller leads, and gives how it finished, with the overflow of an answer
    /// that is too long to keep.
    pub(super) async fn start(
        self: &Arc<Self>,
        hash: PaymentHash,
        job: Option<Job>,
        publish: Publish,
        mut finished: Published,
    ) -> (Option<Arc<Finished>>, Option<Overflow>) {
        let (overflow, mut first_asker) = oneshot::channel();
        match job {
            Some(job) => {
                drop(self.tasks.spawn(Arc::clone(self).run(job, publish, overflow)));
            }
            None => {
                self.in_flight.leave(&hash);
                drop(publish);
            }
        }
        let finished = published(&mut finished).await;
        // Sent before the end was published, if there is any.
        (finished, first_asker.try_recv().ok())
    }

    async fn run(self: Arc<Self>, job: Job, publish: Publish, overflow: oneshot::Sender<Overflow>) {
        let Job { service, ticket, attempt, order, segments, refused, request, keep } = job;
        let _leave = LeaveOnDrop { in_flight: &self.in_flight, hash: attempt.hash };
        let finish = |finished| drop(publish.send(Some(Arc::new(finished))));
        crash_point("before-claim");
        // From before the claim: so it is over well before the lease ends, by whatever clock.
        let send_within = attempt.lease.saturating_sub(service.upstream.timeout + LEASE_MARGIN / 2);
        let send_by = SendDeadline::after(send_within);
        let late = || finish(Finished::not_granted(Ending::LedgerDown));
        let claimed = self.claim_again_if_wronged(&service, &attempt, late).await;
        let maybe_delivered = match claimed {
            Some(Ok(Claimed { claim: Claim::Granted, maybe_delivered, .. })) => maybe_delivered,
            Some(Ok(refused)) => return finish(Finished::not_granted(Ending::of_refused(refused))),
            Some(Err(_)) => return finish(Finished::not_granted(Ending::LedgerDown)),
            None => return,
        };
        crash_point("after-claim");

        let may_change = may_change(keep, attempt.asked);
        let started = Instant::now();
        let (answer_max, stopping) = (self.answer_max(), &self.stopping);
        let asker =
            Asker { service: &service, ticket, order: &order, segments, answer_max, stopping };
        let asking = asker.ask_until_known(request, send_by, maybe_delivered, attempt.remembered);
        // Should it panic, the ticket is parked instead of being claimed for ever.
        let done = catch_panic(pin!(asking)).await;
        let Exchange { outcome, status, answer, refusal, overflow: more, .. } =
            done.unwrap_or_else(|| Exchange::nothing(Outcome::Unknown));
        let upstream = started.elapsed();

        crash_point("after-send");
        service.metrics.redemption(outcome, attempt.price_msat);
        if outcome == Outcome::Unknown {
            self.say_parked(&service, &attempt);
            service.upstream.sale_stop.parked(ticket, status, Instant::now());
        }
        let kept = answer.clone().filter(|_| keep == KeepAnswer::Yes);
        let refused = refused.filter(|_| outcome == Outcome::Refused);
        let settlement = settlement(&attempt, settled_as(outcome, may_change), &kept, refused);
        let mut settling = pin!(self.settle(settlement));
        let settled = timeout(SETTLE_PATIENCE, &mut settling).await;
        crash_point("after-settle");
        if outcome == Outcome::Delivered {
            self.ledger.append(JournalEntry::Served(attempt.hash));
            if let Some(kept) = kept {
                self.recent.insert(attempt.hash, attempt.request, kept);
            }
        }
        if let Some(more) = more {
            let _ = overflow.send(more);
        }
        let attempts = settled.as_ref().ok().copied().flatten().unwrap_or(1);
        let ending = ending(outcome, answer, refusal, attempts, may_change);
        finish(Finished { ending, upstream, granted: true });
        if settled.is_err() {
            settling.await;
        }
    }

    /// Claims; once more where the ticket's order was refused for good as everybody's was, which
    /// says nothing of it.
    async fn claim_again_if_wronged(
        &self,
        service: &Service,
        attempt: &Attempt,
        late: impl Fn(),
    ) -> Option<Result<Claimed, LedgerError>> {
        let claimed = self.claim(attempt.clone(), &late).await;
        let is_refused =
            matches!(&claimed, Some(Ok(one)) if matches!(one.claim, Claim::Refused { .. }));
        if !is_refused || !service.upstream.sale_stop.takes_back_refusal(&attempt.hash) {
            return claimed;
        }
        if let Ok(Some(row)) = self.ledger.show(attempt.hash).await
            && row.state == State::Refused
            && let Ok(Settled::Done { .. }) =
                self.ledger.resolve(attempt.hash, row.claim, Resolution::Release).await
        {
            let (ticket, service) = (attempt.hash, &*service.name);
            info!(%ticket, service, "refused for good as everybody was: it is tried again");
        }
        self.claim(attempt.clone(), late).await
    }

    /// So that the operator can match the ticket to what the backend has.
    fn say_parked(&self, service: &Service, attempt: &Attempt) {
        let keys = self.ring.of(attempt.key);
        let reference = keys.map(|keys| keys.reference(&attempt.hash)).unwrap_or_default();
        warn!(
            ticket = %attempt.hash,
            reference,
            service = %service.name,
            "parked: nobody knows whether it was sent; `farebox tickets show` tells what it was for"
        );
    }

    /// Claims. Where the ledger takes too long, `late` is called, a grant that comes after all is
    /// taken back, and `None` is given.
    async fn claim(
        &self,
        attempt: Attempt,
        late: impl FnOnce(),
    ) -> Option<Result<Claimed, LedgerError>> {
        let (hash, claim) = (attempt.hash, attempt.claim);
        let claiming = self.ledger.claim(attempt);
        tokio::pin!(claiming);
        if let Ok(claimed) = timeout(CLAIM_PATIENCE, &mut claiming).await {
            return Some(claimed);
        }
        late();
        if let Ok(Claimed { claim: Claim::Granted, .. }) = claiming.await {
            let outcome = Outcome::NotSent;
            self.settle(Settlement {
                hash,
                claim,
                outcome,
                answer: None,
                refused: None,
                uncounted: None,
            })
            .await;
        }
        None
    }

    /// Writes how a try ended, again and again until it is written. Gives the number of tries that
    /// did nothing.
    async fn settle(&self, settlement: Settlement) -> Option<u32> {
        let (ticket, outcome) = (settlement.hash, settlement.outcome.word());
        let mut pause = Duration::from_millis(50);
        loop {
            match self.ledger.settle(settlement.clone()).await {
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
}

/// Whether another request may take the place of this one, should it be refused.
fn may_change(keep: KeepAnswer, asked: Asked) -> MayChange {
    match (keep, asked.which_request()) {
        (KeepAnswer::No, _) => MayChange::Always,
        (KeepAnswer::Yes, WhichRequest::Bought) => MayChange::Once,
        (KeepAnswer::Yes, WhichRequest::Rebound) => MayChange::No,
    }
}

fn settlement(
    attempt: &Attempt,
    outcome: Outcome,
    answer: &Option<StoredAnswer>,
    refused: Option<RefusedNumber>,
) -> Settlement {
    let (hash, claim, answer) = (attempt.hash, attempt.claim, answer.clone());
    // What certainly never goes out isn't counted.
    let uncounted = attempt.message.clone().filter(|_| outcome == Outcome::Refused);
    Settlement { hash, claim, outcome, answer, refused, uncounted }
}

/// The next request on a pass is another one anyway: a use that was refused is free again.
fn settled_as(outcome: Outcome, may_change: MayChange) -> Outcome {
    match outcome {
        Outcome::Refused if may_change == MayChange::Always => Outcome::NotSent,
        outcome => outcome,
    }
}

/// What a future gives; `None` if it panics, after which it isn't touched again. A task of its own
/// would do the same and cost two switches.
async fn catch_panic<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

fn ending(
    outcome: Outcome,
    answer: Option<StoredAnswer>,
    refusal: Option<UpstreamRefusal>,
    attempts: u32,
    may_change: MayChange,
) -> Ending {
    match (outcome, answer) {
        (Outcome::Delivered, Some(answer)) => Ending::Delivered(answer),
        (Outcome::Delivered, None) => Ending::Replay(None),
        (Outcome::NotSent, _) => {
            Ending::NotSent(NotSent { refusal, retry_after: retry_delay(attempts) })
        }
        (Outcome::Refused, _) => Ending::Refused(refusal, may_change),
        (Outcome::Unknown, _) => Ending::Parked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_end_too() {
        assert_eq!(catch_panic(pin!(async { 7 })).await, Some(7));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert_eq!(catch_panic::<()>(pin!(panics)).await, None);
    }
}
