//! A paid pass with one of the service's requests. A use of a counted pass is claimed as single-use
//! tickets are, by a name that is made of the pass and the number of the use; a pass without a
//! number of uses writes nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::exchange::{Asker, Exchange, Reply, send};
use super::finished::{Ending, MayChange, NotSent, Redeemed, WhoseTry, answer, refused_problem};
use super::in_flight::Entry;
use super::job::{Job, KeepAnswer, attempt_at, put_reference, request_of};
use super::run::Runner;
use super::stored_answer::passed_on;
use crate::answer::body::Held;
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::answer::stored::delivered;
use crate::cache::FifoCache;
use crate::code::Code;
use crate::ledger::state::{Attempt, retry_delay};
use crate::order::Order;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::record::request_log::RequestLog;
use crate::request_digest::RequestDigest;
use crate::service::request::PaidRequest;
use crate::service::validate;
use crate::ticket::VerifiedPass;

/// How soon it is looked again whether a use of an exhausted pass was given back.
const EXHAUSTED_FOR: Duration = Duration::from_secs(5);

/// Counted passes of which the number of used uses is remembered.
const PASSES_MAX: usize = 10_000;

/// Serves one request on a pass, or says why the pass doesn't do.
pub(super) async fn redeem(
    runner: &Arc<Runner>,
    uses: &PassUses,
    request: &PaidRequest<'_>,
    pass: &VerifiedPass,
    log: &mut RequestLog<'_>,
) -> Result<Redeemed, Problem> {
    let hash = pass.ticket().payment_hash;
    log.ticket(hash);
    let ledger = &runner.ledger;
    // Nothing else would stop a revoked pass.
    match ledger.is_revoked_for_certain(&hash) {
        None => return Err(problems::ledger_down()),
        Some(true) => return Ok(Redeemed::rejected(Code::TicketRevoked)),
        Some(false) => {}
    }
    // Judged at each use: only a single request was sold as it is.
    let order = validate::order(request)?;
    if pass.ticket().valid_until <= ledger.now().ledger.seconds() {
        return Ok(Redeemed::rejected(Code::TicketExpired));
    }
    ledger.pass_served(hash);
    let share = request.service.upstream.shares.of_ticket(hash);
    let share = share.ok_or_else(problems::too_many_of_pass)?;
    let mut redeemed = match pass.uses() {
        None => uncounted(runner, request, &order, pass, log).await,
        Some(uses_in_all) => {
            let life = ledger.life().ok_or_else(problems::ledger_down)?;
            if life.is_of_another_life(pass.ticket().era, pass.ticket().minted) {
                return Err(problems::pass_held());
            }
            let uses = uses.of(hash);
            counted(runner, &uses, request, &order, pass, uses_in_all, log).await
        }
    }?;
    if let Redeemed::Answer(answer) = &mut redeemed {
        answer.response.body_mut().hold(Held::OfTicket(share));
    }
    Ok(redeemed)
}

async fn uncounted(
    runner: &Runner,
    paid: &PaidRequest<'_>,
    order: &Order,
    pass: &VerifiedPass,
    log: &mut RequestLog<'_>,
) -> Result<Redeemed, Problem> {
    let request = request_of(paid.service, paid.offer, &paid.head.headers, order, None);
    let mut request = request.ok_or_else(problems::internal)?;
    let keys = runner.ring.get(pass.ticket().key).ok_or_else(problems::internal)?;
    put_reference(paid.service, keys, &pass.ticket().payment_hash, &mut request);
    let (service, started) = (paid.service, Instant::now());
    let deadline = started + service.upstream.timeout;
    let (answer_max, stopping) = (runner.answer_max(), &runner.stopping);
    let (ticket, segments) = (pass.ticket().payment_hash, None);
    let asker = Asker { service, ticket, order, segments, answer_max, stopping };
    let done = match send(service, request, None, deadline).await {
        // Nothing of it is kept, so it needn't be read to be passed on.
        Ok(Reply::Answer(response))
            if service.outcome_rules.is_delivered_by(response.status(), response.headers()) =>
        {
            log.upstream(started.elapsed());
            service.metrics.redemption(Outcome::Delivered, 0);
            service.upstream.sale_stop.worked();
            return Ok(Redeemed::Answer(passed_on(service, response)));
        }
        Ok(Reply::Answer(response)) => asker.judge(response, deadline).await,
        Ok(Reply::StatusOnly(line)) => asker.judge_status(&line),
        Err(outcome) => Exchange::nothing(outcome),
    };
    let Exchange { outcome, status, answer, refusal, overflow, .. } = done;
    if outcome == Outcome::Unknown {
        let (stop, pass) = (&service.upstream.sale_stop, pass.ticket().payment_hash);
        stop.parked(pass, status, Instant::now());
    }
    log.upstream(started.elapsed());
    service.metrics.redemption(outcome, 0);
    match (outcome, answer) {
        (Outcome::Delivered, Some(answer)) => delivered(&answer, overflow).map(Redeemed::Answer),
        (Outcome::NotSent, _) => Err(NotSent { refusal, retry_after: retry_delay(1) }.problem()),
        (Outcome::Refused, _) => Err(refused_problem(refusal.as_ref(), MayChange::Always)),
        (Outcome::Delivered | Outcome::Unknown, _) => Err(problems::pass_outcome_unknown()),
    }
}

/// Takes the first use that is left: after the ones that are known here to be used, then those that
/// were given back.
async fn counted(
    runner: &Arc<Runner>,
    known: &UsesOfOne,
    request: &PaidRequest<'_>,
    order: &Order,
    pass: &VerifiedPass,
    uses: u32,
    log: &mut RequestLog<'_>,
) -> Result<Redeemed, Problem> {
    if known.is_exhausted(uses) {
        return Ok(Redeemed::rejected(Code::TicketSpent));
    }
    let next = known.next.load(Ordering::Relaxed).min(uses);
    let (mut soonest, mut under_way, mut parked): (Option<Duration>, _, _) = (None, false, false);
    for number in (next..uses).chain(0..next) {
        let name = name_of_use(&pass.ticket().payment_hash, number);
        let (publish, finished) = match runner.in_flight.enter(name, RequestDigest::NONE) {
            Entry::Leader(publish, finished) => (publish, finished),
            // That use is being made at this moment, and may be given back.
            Entry::Follower(_) | Entry::OfAnother => {
                under_way = true;
                continue;
            }
            Entry::Full => return Err(problems::too_many_redemptions()),
        };
        let (ring, hash) = (&runner.ring, pass.ticket().payment_hash);
        let job = |attempt| Job::new(ring, request, hash, (order, None), attempt, KeepAnswer::No);
        let job = attempt(runner, request, pass, name, number).and_then(job);
        let (finished, overflow) = runner.start(name, job, publish, finished).await;
        let finished = finished.ok_or_else(problems::internal)?;
        known.next.fetch_max(number + 1, Ordering::Relaxed);
        if finished.granted {
            log.upstream(finished.upstream);
            return answer(&finished.ending, WhoseTry::Own, overflow);
        }
        match &finished.ending {
            Ending::LedgerDown | Ending::Rejected(Code::TicketExpired | Code::TicketRevoked) => {
                return answer(&finished.ending, WhoseTry::Own, None);
            }
            Ending::RetryLater(pause) => {
                soonest = Some(soonest.map_or(*pause, |before| before.min(*pause)));
            }
            Ending::Busy => under_way = true,
            Ending::Parked => parked = true,
            // Used before.
            _ => {}
        }
    }
    match soonest {
        Some(pause) => Err(problems::pass_retry_later(pause)),
        // Not spent yet: nobody is asked to pay for what may come back.
        None if under_way => Err(problems::in_flight()),
        None if parked => Err(problems::pass_outcome_unknown()),
        None => {
            known.exhaust(uses);
            Ok(Redeemed::rejected(Code::TicketSpent))
        }
    }
}

/// What is known here of counted passes; forgotten without harm. Bounded.
pub(super) struct PassUses(FifoCache<PaymentHash, Arc<UsesOfOne>>);

impl Default for PassUses {
    fn default() -> Self {
        Self(FifoCache::new(PASSES_MAX))
    }
}

impl PassUses {
    fn of(&self, pass: PaymentHash) -> Arc<UsesOfOne> {
        if let Some(known) = self.0.get(&pass) {
            return known;
        }
        self.0.insert(pass, Arc::default(), 1);
        self.0.get(&pass).unwrap_or_default()
    }
}

/// What is known here of one counted pass.
#[derive(Default)]
struct UsesOfOne {
    /// From this number on nothing was tried yet.
    next: AtomicU32,
    /// How many uses, from the first on, were all found used, and when: a holder may have narrowed
    /// its copy. Looking again costs a look at each.
    exhausted: Mutex<Option<(u32, std::time::Instant)>>,
}

impl UsesOfOne {
    fn is_exhausted(&self, uses: u32) -> bool {
        self.exhausted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|(used, since)| uses <= used && since.elapsed() < EXHAUSTED_FOR)
    }

    fn exhaust(&self, uses: u32) {
        *self.exhausted.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((uses, std::time::Instant::now()));
    }
}

fn attempt(
    runner: &Runner,
    paid: &PaidRequest<'_>,
    pass: &VerifiedPass,
    name: PaymentHash,
    number: u32,
) -> Option<Attempt> {
    let ticket = pass.ticket();
    // The pass was paid once.
    let price_msat = if number == 0 { ticket.price_msat } else { 0 };
    Some(Attempt { hash: name, price_msat, ..attempt_at(&runner.ring, paid.service, ticket)? })
}

/// By which the ledger knows one use of a pass. No invoice has such a hash but by finding a
/// preimage of SHA-256.
fn name_of_use(pass: &PaymentHash, number: u32) -> PaymentHash {
    let mut hash = Sha256::new();
    hash.update(b"farebox/use/v1");
    hash.update(pass.as_bytes());
    hash.update(number.to_be_bytes());
    PaymentHash::from_bytes(hash.finalize().into())
}
