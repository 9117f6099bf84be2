//! From a verified ticket to one outcome: which of several requests redeems it, and what each of
//! them is answered.

mod decoded;
mod exchange;
mod finished;
mod in_flight;
mod job;
mod look_up;
mod pass;
mod recent;
mod run;
pub mod sealed_order;
mod stored_answer;
pub mod trial;
mod wanted;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::finished::Redeemed;
use self::finished::{Ending, Finished, WhoseTry, answer};
use self::in_flight::{Entry, InFlight};
use self::job::{Job, KeepAnswer, attempt_at};
pub use self::look_up::LookUp;
use self::look_up::LookUps;
use self::pass::PassUses;
use self::recent::RecentAnswers;
use self::run::{CLAIM_PATIENCE, Runner, published};
use self::wanted::{Wanted, wanted};
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::answer::stored::replayed;
use crate::code::Code;
use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::ledger::state::{Asked, Attempt};
use crate::record::request_log::RequestLog;
use crate::service::request::PaidRequest;
use crate::service::{Catalogue, RequestLimits, validate};
use crate::ticket::{VerifiedPass, VerifiedTicket};

/// How soon it is looked again whether another instance is through with a ticket.
const OTHER_INSTANCE_POLL: Duration = Duration::from_millis(200);

/// Redeems tickets and passes.
pub struct Redeem {
    ledger: Arc<Ledger>,
    runner: Arc<Runner>,
    pass_uses: PassUses,
    look_ups: LookUps,
}

impl Redeem {
    /// At most `in_flight_max` at once; an answer is given back for as long as `replay`; `stopping`
    /// is cancelled once the process is to stop.
    pub fn new(
        ring: Arc<KeyRing>,
        ledger: Arc<Ledger>,
        limits: &RequestLimits,
        in_flight_max: usize,
        replay: Duration,
        stopping: CancellationToken,
    ) -> Self {
        let runner = Runner {
            ring,
            ledger: Arc::clone(&ledger),
            in_flight: InFlight::new(in_flight_max),
            recent: RecentAnswers::new(replay),
            answer_max: AtomicUsize::new(limits.stored_answer),
            stopping,
            tasks: TaskTracker::new(),
        };
        Self {
            ledger,
            runner: Arc::new(runner),
            pass_uses: PassUses::default(),
            look_ups: LookUps::default(),
        }
    }

    /// Other bounds, from here on.
    pub fn limit(&self, limits: &RequestLimits, in_flight_max: usize) {
        self.runner.answer_max.store(limits.stored_answer, Ordering::Relaxed);
        self.runner.in_flight.limit(in_flight_max);
    }

    /// Redeems a ticket, or says what became of it.
    pub async fn ticket(
        &self,
        request: &PaidRequest<'_>,
        verified: VerifiedTicket,
        log: &mut RequestLog<'_>,
    ) -> Result<Redeemed, Problem> {
        let hash = verified.ticket().payment_hash;
        log.ticket(hash);
        if self.ledger.is_revoked(&hash) {
            return Ok(Redeemed::rejected(Code::TicketRevoked));
        }
        let Some(wanted) = wanted(&self.runner, request, &verified).await? else {
            // A request that couldn't be bought is told so first.
            validate::order(request)?;
            let ending = self.misdirected(request, &verified).await;
            return answer(&ending, WhoseTry::Another, None);
        };
        if verified.needs_row() {
            self.refuse_unless_begun(request, &verified).await?;
        }
        if let Some(stored) = self.runner.recent.get(&hash, wanted.digest) {
            return replayed(&stored).map(Redeemed::Answer);
        }
        self.one_redemption(request, &verified, &wanted, log).await
    }

    /// Leads the redemption of a ticket, or waits for whoever does.
    async fn one_redemption(
        &self,
        request: &PaidRequest<'_>,
        verified: &VerifiedTicket,
        wanted: &Wanted<'_>,
        log: &mut RequestLog<'_>,
    ) -> Result<Redeemed, Problem> {
        let hash = verified.ticket().payment_hash;
        let patience = Instant::now() + request.catalogue.times.wait;
        loop {
            let (finished, whose, overflow) = match self.runner.in_flight.enter(hash, wanted.digest)
            {
                Entry::Full => return Err(problems::too_many_redemptions()),
                Entry::OfAnother => return Ok(Redeemed::rejected(Code::TicketUsed)),
                Entry::Follower(mut leader) => {
                    match timeout_at(patience, published(&mut leader)).await {
                        Ok(finished) => (finished, WhoseTry::Another, None),
                        Err(_) => return Err(problems::in_flight()),
                    }
                }
                Entry::Leader(publish, finished) => {
                    let ring = &self.runner.ring;
                    let job = |attempt| {
                        let sold = (&*wanted.order, wanted.segments);
                        Job::new(ring, request, hash, sold, attempt, KeepAnswer::Yes)
                    };
                    let attempt = self.attempt(request, verified, wanted);
                    let job = attempt.and_then(job);
                    let (finished, overflow) =
                        self.runner.start(hash, job, publish, finished).await;
                    (finished, WhoseTry::Own, overflow)
                }
            };
            let finished: Arc<Finished> = finished.ok_or_else(problems::internal)?;
            // Another instance has it: its answer comes by the ledger.
            let is_busy = matches!(finished.ending, Ending::Busy);
            if is_busy && Instant::now() + OTHER_INSTANCE_POLL < patience {
                sleep(OTHER_INSTANCE_POLL).await;
                continue;
            }
            if whose == WhoseTry::Own {
                log.upstream(finished.upstream);
            }
            return answer(&finished.ending, whose, overflow);
        }
    }

    /// Serves one request on a pass, or says why the pass doesn't do.
    pub async fn pass(
        &self,
        request: &PaidRequest<'_>,
        pass: &VerifiedPass,
        log: &mut RequestLog<'_>,
    ) -> Result<Redeemed, Problem> {
        pass::redeem(&self.runner, &self.pass_uses, request, pass, log).await
    }

    /// From here on upstreams are asked what became of parked tickets by what these services say of
    /// them; each look-up that begins by it is to be followed. A ticket that was tried at another
    /// place of one of them is still asked about there.
    pub fn look_up_at(&self, catalogue: &Catalogue) -> Vec<Arc<LookUp>> {
        let waits = catalogue.limits.body_time + catalogue.times.wait;
        self.look_ups.open(&catalogue.services, waits)
    }

    /// Asks, for as long as it is polled and the look-up is needed.
    pub async fn follow(&self, look_up: &Arc<LookUp>) {
        self.look_ups.follow(&self.runner, look_up).await;
    }

    /// How many redemptions are under way, by their tickets.
    pub fn in_flight(&self) -> usize {
        self.runner.in_flight.count()
    }

    /// Waits for the redemptions that are under way; no new ones may come by now.
    pub async fn drained(&self) {
        self.runner.tasks.close();
        self.runner.tasks.wait().await;
    }

    /// How many redemptions a stop still waits for.
    pub fn unfinished(&self) -> usize {
        self.runner.tasks.len()
    }

    /// `Err` unless the ticket was handed in with this request before: the service doesn't sell it
    /// today.
    async fn refuse_unless_begun(
        &self,
        request: &PaidRequest<'_>,
        verified: &VerifiedTicket,
    ) -> Result<(), Problem> {
        let row = self.ledger.show(verified.ticket().payment_hash).await;
        let row = row.map_err(|_| problems::ledger_down())?;
        if row.is_none_or(|row| row.request != verified.request()) {
            validate::order(request)?;
        }
        Ok(())
    }

    /// What the ledger says of a ticket that came with another request than its own. It is never
    /// claimed by this.
    async fn misdirected(&self, request: &PaidRequest<'_>, verified: &VerifiedTicket) -> Ending {
        if self.runner.in_flight.is_under_way(&verified.ticket().payment_hash) {
            return Ending::Rejected(Code::TicketUsed);
        }
        let ring = &self.runner.ring;
        let Some(attempt) = attempt_at(ring, request.service, verified.ticket()) else {
            return Ending::LedgerDown;
        };
        let (request, asked) = (verified.request(), Asked::Other);
        let attempt = Attempt { request, asked, ..attempt };
        match timeout(CLAIM_PATIENCE, self.ledger.claim(attempt)).await {
            Ok(Ok(claimed)) => Ending::of_refused(claimed),
            Ok(Err(_)) | Err(_) => Ending::LedgerDown,
        }
    }

    /// A try at a ticket, with a name of its own; `None` if the system has no randomness.
    fn attempt(
        &self,
        request: &PaidRequest<'_>,
        verified: &VerifiedTicket,
        wanted: &Wanted<'_>,
    ) -> Option<Attempt> {
        Some(Attempt {
            request: wanted.digest,
            asked: wanted.asked,
            remembered: request.service.remembered,
            ..attempt_at(&self.runner.ring, request.service, verified.ticket())?
        })
    }
}
