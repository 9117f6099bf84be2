//! A paid pass with one of the service's requests. A use of a counted pass is claimed as single-use
//! tickets are, by a name that is made of the pass and the number of the use; a pass without a
//! number of uses writes nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::exchange::{Exchange, judge, send};
use super::flight::{Ending, NotSent, claim_id, lease, upstream_request};
use super::in_flight::Entry;
use super::paid::{Redeemed, Try, answer, not_sent_problem, take_off};
use super::stored_answer::passed_on;
use super::{Gate, RequestLog};
use crate::answer::problem::Problem;
use crate::answer::stored::delivered;
use crate::answer::{Answer, problems};
use crate::code::Code;
use crate::ledger::state::{Attempt, retry_delay};
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;
use crate::service::request::PaidRequest;
use crate::ticket::VerifiedPass;
use crate::time::UnixTime;

/// How soon it is looked again whether a use of an exhausted pass was given back.
const EXHAUSTED_FOR: Duration = Duration::from_secs(5);

/// Serves one request on a pass, or says why the pass doesn't do.
pub async fn ride(
    gate: &Arc<Gate>,
    request: &PaidRequest<'_>,
    pass: &VerifiedPass,
    log: &mut RequestLog<'_>,
) -> Result<Redeemed, Problem> {
    let hash = pass.ticket().payment_hash;
    log.ticket = Some(hash);
    // Nothing else would stop a revoked pass.
    match gate.revoked.contains_for_certain(&hash) {
        None => return Err(problems::ledger_down()),
        Some(true) => return Ok(Redeemed::rejected(Code::TicketRevoked)),
        Some(false) => {}
    }
    if pass.ticket().valid_until <= UnixTime::now().seconds() {
        return Ok(Redeemed::rejected(Code::TicketExpired));
    }
    gate.journal.pass_served(hash);
    match pass.uses() {
        None => uncounted(gate, request, log).await.map(Redeemed::Answer),
        Some(uses) => counted(gate, request, pass, uses, log).await,
    }
}

async fn uncounted(
    gate: &Gate,
    paid: &PaidRequest<'_>,
    log: &mut RequestLog<'_>,
) -> Result<Answer, Problem> {
    let request = upstream_request(paid).ok_or_else(problems::internal)?;
    let (service, started) = (paid.service, Instant::now());
    let deadline = started + service.upstream.timeout;
    let sent = send(service, request, None, deadline).await;
    let done = match sent {
        // Nothing of it is kept, so it needn't be read to be passed on.
        Ok(response) if service.meaning.is_delivered_by(response.status(), response.headers()) => {
            log.upstream = Some(started.elapsed());
            service.metrics.redemption(Outcome::Delivered, 0);
            return Ok(passed_on(response));
        }
        Ok(response) => judge(gate, service, &paid.order, response, deadline).await,
        Err(outcome) => Exchange::nothing(outcome),
    };
    let Exchange { outcome, answer, refusal, overflow } = done;
    log.upstream = Some(started.elapsed());
    service.metrics.redemption(outcome, 0);
    match (outcome, answer) {
        (Outcome::Delivered, Some(answer)) => delivered(&answer, overflow),
        (Outcome::NotSent, _) => {
            Err(not_sent_problem(&NotSent { refusal, retry_after: retry_delay(1) }))
        }
        (Outcome::Delivered | Outcome::Unknown, _) => Err(problems::pass_outcome_unknown()),
    }
}

/// Takes the first use that is left: after the ones that are known here to be used, then those that
/// were given back.
async fn counted(
    gate: &Arc<Gate>,
    request: &PaidRequest<'_>,
    pass: &VerifiedPass,
    uses: u32,
    log: &mut RequestLog<'_>,
) -> Result<Redeemed, Problem> {
    let hash = pass.ticket().payment_hash;
    let ride = ride_of(gate, hash);
    if ride.is_exhausted() {
        return Ok(Redeemed::rejected(Code::TicketSpent));
    }
    let known = ride.next.load(Ordering::Relaxed).min(uses);
    let (mut soonest, mut under_way): (Option<Duration>, bool) = (None, false);
    for number in (known..uses).chain(0..known) {
        let name = name_of_use(&hash, number);
        let (publish, end) = match gate.in_flight.enter(name) {
            Entry::Leader(publish, end) => (publish, end),
            // That use is being made at this moment, and may be given back.
            Entry::Follower(_) => {
                under_way = true;
                continue;
            }
            Entry::Full => return Err(problems::too_many_redemptions()),
        };
        let (attempt, key) = (attempt(request, pass, name, number), pass.ticket().key);
        let (end, overflow) = take_off(gate, request, name, attempt, key, publish, end).await;
        let end = end.ok_or_else(problems::internal)?;
        ride.next.fetch_max(number + 1, Ordering::Relaxed);
        if end.granted {
            log.upstream = Some(end.upstream);
            return answer(&end.ending, Try::Own, overflow);
        }
        match &end.ending {
            Ending::LedgerDown | Ending::Rejected(Code::TicketExpired | Code::TicketRevoked) => {
                return answer(&end.ending, Try::Own, None);
            }
            Ending::RetryLater(pause) => {
                soonest = Some(soonest.map_or(*pause, |before| before.min(*pause)));
            }
            Ending::Busy => under_way = true,
            // Used before.
            _ => {}
        }
    }
    match soonest {
        Some(pause) => Err(problems::pass_retry_later(pause)),
        // Not spent yet: nobody is asked to pay for what may come back.
        None if under_way => Err(problems::in_flight()),
        None => {
            ride.exhaust();
            Ok(Redeemed::rejected(Code::TicketSpent))
        }
    }
}

/// What is known here of a counted pass; forgotten without harm.
#[derive(Default)]
pub struct Ride {
    /// From this number on nothing was tried yet.
    next: AtomicU32,
    /// When every use was found used. Looking again costs a look at each.
    exhausted: Mutex<Option<std::time::Instant>>,
}

impl Ride {
    fn is_exhausted(&self) -> bool {
        self.exhausted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|since| since.elapsed() < EXHAUSTED_FOR)
    }

    fn exhaust(&self) {
        *self.exhausted.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(std::time::Instant::now());
    }
}

fn ride_of(gate: &Gate, hash: PaymentHash) -> Arc<Ride> {
    if let Some(ride) = gate.rides.get(&hash) {
        return ride;
    }
    gate.rides.insert(hash, Arc::default(), 1);
    gate.rides.get(&hash).unwrap_or_default()
}

fn attempt(
    paid: &PaidRequest<'_>,
    pass: &VerifiedPass,
    name: PaymentHash,
    number: u32,
) -> Option<Attempt> {
    let ticket = pass.ticket();
    Some(Attempt {
        hash: name,
        service: Arc::clone(&paid.service.name),
        request: RequestDigest::NONE,
        own_request: true,
        minted_valid_until: ticket.minted_valid_until,
        valid_until: ticket.valid_until,
        // The pass was paid once.
        price_msat: if number == 0 { paid.price.get() } else { 0 },
        repeatable: false,
        lease: lease(paid.service),
        claim: claim_id()?,
    })
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
