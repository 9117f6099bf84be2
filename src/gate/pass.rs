//! A paid pass with one of the service's requests. A use of a counted pass is claimed as single-use
//! tickets are, by a name that is made of the pass and the number of the use; a pass without a
//! number of uses writes nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::Notes;
use super::admit::VerifiedPass;
use super::challenge::Sale;
use super::flight::{Done, Ending, NotSent, claim_id, judge, lease, send, upstream_request};
use super::in_flight::Entry;
use super::paid::{
    Redeemed, answer, in_flight, internal, ledger_down, not_sent_problem, take_off, too_busy,
};
use super::stored_answer::passed_on;
use crate::answer::{Answer, Problem, Retry, delivered};
use crate::code::Code;
use crate::ledger::state::{Attempt, spacing};
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// How soon it is looked again whether a use of an exhausted pass was given back.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Serves one request on a pass, or says why the pass doesn't do.
pub async fn ride(sale: &Sale<'_>, pass: &VerifiedPass, notes: &mut Notes<'_>) -> Redeemed {
    let hash = pass.ticket().payment_hash;
    notes.ticket = Some(hash);
    // Nothing else would stop a revoked pass.
    match sale.gate.revoked.contains_for_certain(&hash) {
        None => return Redeemed::Answer(ledger_down()),
        Some(true) => return Redeemed::Worthless(Code::TicketRevoked),
        Some(false) => {}
    }
    if pass.ticket().valid_until <= UnixTime::now().seconds() {
        return Redeemed::Worthless(Code::TicketExpired);
    }
    sale.gate.books.pass_served(hash);
    match pass.uses() {
        None => Redeemed::Answer(uncounted(sale, notes).await),
        Some(uses) => counted(sale, pass, uses, notes).await,
    }
}

async fn uncounted(sale: &Sale<'_>, notes: &mut Notes<'_>) -> Answer {
    let Some(request) = upstream_request(sale) else { return internal() };
    let (service, started) = (sale.service, Instant::now());
    let deadline = started + service.upstream.timeout;
    let sent = send(service, request, None, deadline).await;
    let done = match sent {
        // Nothing of it is kept, so it needn't be read to be passed on.
        Ok(response) if service.meaning.is_delivered_by(response.status(), response.headers()) => {
            notes.upstream = Some(started.elapsed());
            service.metrics.redemption(Outcome::Delivered, 0);
            return passed_on(response);
        }
        Ok(response) => judge(sale.gate, service, sale.order, response, deadline).await,
        Err(outcome) => Done::nothing(outcome),
    };
    let Done { outcome, kept, refusal, rest } = done;
    notes.upstream = Some(started.elapsed());
    service.metrics.redemption(outcome, 0);
    match (outcome, kept) {
        (Outcome::Delivered, Some(kept)) => delivered(&kept, false, rest),
        (Outcome::NotSent, _) => {
            not_sent_problem(&NotSent { refusal, retry_after: spacing(1) }).into_answer()
        }
        (Outcome::Delivered | Outcome::Unknown, _) => {
            let detail = "The service behind this gate took the request and gave no answer that \
                          can be read. The pass stays valid.";
            let problem = Problem::new(StatusCode::GATEWAY_TIMEOUT, Code::OutcomeUnknown, detail);
            problem.retry(Retry::SameTicket).into_answer()
        }
    }
}

/// Takes the first use that is left: after the ones that are known here to be used, then those that
/// were given back.
async fn counted(
    sale: &Sale<'_>,
    pass: &VerifiedPass,
    uses: u32,
    notes: &mut Notes<'_>,
) -> Redeemed {
    let hash = pass.ticket().payment_hash;
    let ride = ride_of(sale, hash);
    if ride.is_exhausted() {
        return Redeemed::Worthless(Code::TicketSpent);
    }
    let known = ride.next.load(Ordering::Relaxed).min(uses);
    let (mut soonest, mut under_way): (Option<Duration>, bool) = (None, false);
    for number in (known..uses).chain(0..known) {
        let name = name_of_use(&hash, number);
        let (publish, end) = match sale.gate.in_flight.enter(name) {
            Entry::Leader(publish, end) => (publish, end),
            // That use is being made at this moment, and may be given back.
            Entry::Follower(_) => {
                under_way = true;
                continue;
            }
            Entry::Full => return Redeemed::Answer(too_busy()),
        };
        let (end, rest) = take_off(
            sale,
            name,
            attempt(sale, pass, name, number),
            pass.ticket().key,
            publish,
            end,
        )
        .await;
        let Some(end) = end else { return Redeemed::Answer(internal()) };
        ride.next.fetch_max(number + 1, Ordering::Relaxed);
        if end.granted {
            notes.upstream = Some(end.upstream);
            return answer(end, false, rest);
        }
        match &end.ending {
            Ending::LedgerDown | Ending::Worthless(Code::TicketExpired | Code::TicketRevoked) => {
                return answer(end, false, None);
            }
            Ending::Spaced(pause) => {
                soonest = Some(soonest.map_or(*pause, |before| before.min(*pause)))
            }
            Ending::Busy => under_way = true,
            // Used before.
            _ => {}
        }
    }
    match soonest {
        Some(pause) => {
            let detail = "The last use of this pass was given back a moment ago. Send the same \
                          request again later.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RetryLater, detail);
            Redeemed::Answer(problem.retry(Retry::SameTicket).after(pause).into_answer())
        }
        // Not spent yet: nobody is asked to pay for what may come back.
        None if under_way => Redeemed::Answer(in_flight()),
        None => {
            ride.exhaust();
            Redeemed::Worthless(Code::TicketSpent)
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
            .is_some_and(|since| since.elapsed() < LOOK_AGAIN)
    }

    fn exhaust(&self) {
        *self.exhausted.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(std::time::Instant::now());
    }
}

fn ride_of(sale: &Sale<'_>, hash: PaymentHash) -> Arc<Ride> {
    if let Some(ride) = sale.gate.rides.get(&hash) {
        return ride;
    }
    sale.gate.rides.insert(hash, Arc::default(), 1);
    sale.gate.rides.get(&hash).unwrap_or_default()
}

fn attempt(
    sale: &Sale<'_>,
    pass: &VerifiedPass,
    name: PaymentHash,
    number: u32,
) -> Option<Attempt> {
    let ticket = pass.ticket();
    Some(Attempt {
        hash: name,
        service: Arc::clone(&sale.service.name),
        request: [0; 32],
        own_request: true,
        minted_valid_until: ticket.minted_valid_until,
        valid_until: ticket.valid_until,
        // The pass was paid once.
        price_msat: if number == 0 { sale.offer.price.get() } else { 0 },
        repeatable: false,
        lease: lease(sale.service),
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
