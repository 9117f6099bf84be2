//! A paid pass with one of the service's requests. A use of a counted pass is claimed as single-use
//! tickets are, by a name that is made of the pass and the number of the use; a pass without a
//! number of uses writes nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::answer::stored::delivered;
use crate::code::Code;
use crate::gate::{Gate, RequestLog};
use crate::keys::KeyIndex;
use crate::ledger::state::{Attempt, retry_delay};
use crate::order::Order;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::redeem::exchange::{Exchange, judge, send};
use crate::redeem::in_flight::Entry;
use crate::redeem::run::{Ending, NewFlight, NotSent, put_reference, upstream_request};
use crate::redeem::stored_answer::passed_on;
use crate::redeem::ticket::{Redeemed, Try, answer, attempt_at, not_sent_problem, take_off};
use crate::service::request::PaidRequest;
use crate::service::validate;
use crate::ticket::VerifiedPass;

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
    match gate.ledger.is_revoked_for_certain(&hash) {
        None => return Err(problems::ledger_down()),
        Some(true) => return Ok(Redeemed::rejected(Code::TicketRevoked)),
        Some(false) => {}
    }
    // Judged at each use: only a single request was sold as it is.
    let order = validate::order(request, &gate.catalogue.limits)?;
    if pass.ticket().valid_until <= gate.ledger.now().ledger.seconds() {
        return Ok(Redeemed::rejected(Code::TicketExpired));
    }
    gate.ledger.pass_served(hash);
    match pass.uses() {
        None => uncounted(gate, request, &order, hash, pass.ticket().key, log).await,
        Some(uses) => {
            let life = gate.ledger.life().ok_or_else(problems::ledger_down)?;
            if life.is_of_another_life(pass.ticket().era, pass.ticket().minted) {
                return Err(problems::pass_held());
            }
            counted(gate, request, &order, pass, uses, log).await
        }
    }
}

async fn uncounted(
    gate: &Gate,
    paid: &PaidRequest<'_>,
    order: &Order,
    hash: PaymentHash,
    key: KeyIndex,
    log: &mut RequestLog<'_>,
) -> Result<Redeemed, Problem> {
    let mut request = upstream_request(paid, order).ok_or_else(problems::internal)?;
    let keys = gate.ring.get(key).ok_or_else(problems::internal)?;
    put_reference(paid.service, keys, &hash, &mut request);
    let (service, started) = (paid.service, Instant::now());
    let deadline = started + service.upstream.timeout;
    let sent = send(service, request, None, deadline).await;
    let done = match sent {
        // Nothing of it is kept, so it needn't be read to be passed on.
        Ok(response) if service.meaning.is_delivered_by(response.status(), response.headers()) => {
            log.upstream = Some(started.elapsed());
            service.metrics.redemption(Outcome::Delivered, 0);
            return Ok(Redeemed::Answer(passed_on(response)));
        }
        Ok(response) => judge(gate, service, order, response, deadline).await,
        Err(outcome) => Exchange::nothing(outcome),
    };
    let Exchange { outcome, answer, refusal, overflow } = done;
    log.upstream = Some(started.elapsed());
    service.metrics.redemption(outcome, 0);
    match (outcome, answer) {
        (Outcome::Delivered, Some(answer)) => delivered(&answer, overflow).map(Redeemed::Answer),
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
    order: &Order,
    pass: &VerifiedPass,
    uses: u32,
    log: &mut RequestLog<'_>,
) -> Result<Redeemed, Problem> {
    let hash = pass.ticket().payment_hash;
    let ride = ride_of(gate, hash);
    if ride.is_exhausted(uses) {
        return Ok(Redeemed::rejected(Code::TicketSpent));
    }
    let known = ride.next.load(Ordering::Relaxed).min(uses);
    let (mut soonest, mut under_way, mut parked): (Option<Duration>, _, _) = (None, false, false);
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
        let flight = |attempt| NewFlight { paid: request, order, attempt, keeps: false };
        let flight = attempt(gate, request, pass, name, number).map(flight);
        let (end, overflow) = take_off(gate, name, flight, publish, end).await;
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
            ride.exhaust(uses);
            Ok(Redeemed::rejected(Code::TicketSpent))
        }
    }
}

/// What is known here of a counted pass; forgotten without harm.
#[derive(Default)]
pub struct Ride {
    /// From this number on nothing was tried yet.
    next: AtomicU32,
    /// How many uses, from the first on, were all found used, and when: a holder may have narrowed
    /// its copy. Looking again costs a look at each.
    exhausted: Mutex<Option<(u32, std::time::Instant)>>,
}

impl Ride {
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

fn ride_of(gate: &Gate, hash: PaymentHash) -> Arc<Ride> {
    if let Some(ride) = gate.rides.get(&hash) {
        return ride;
    }
    gate.rides.insert(hash, Arc::default(), 1);
    gate.rides.get(&hash).unwrap_or_default()
}

fn attempt(
    gate: &Gate,
    paid: &PaidRequest<'_>,
    pass: &VerifiedPass,
    name: PaymentHash,
    number: u32,
) -> Option<Attempt> {
    let ticket = pass.ticket();
    // The pass was paid once.
    let price_msat = if number == 0 { ticket.price_msat } else { 0 };
    Some(Attempt { hash: name, price_msat, ..attempt_at(gate, paid.service, ticket)? })
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
