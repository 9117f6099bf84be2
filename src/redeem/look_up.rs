//! Asks upstreams what became of parked tickets, where they can tell. A find settles the ticket;
//! "not found" frees it only after the time that the service states as final.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::run::Runner;
use super::stored_answer::{Read, read};
use crate::ledger::state::{ClaimId, Resolution, Row, State};
use crate::ledger::store::Settled;
use crate::payment_hash::PaymentHash;
use crate::service::{Lookup, Service};
use crate::upstream::forward::{Sent, forward};
use crate::upstream::request_body::RequestBody;
use crate::upstream::send_deadline::SendDeadline;
use crate::upstream::{Reuse, request};

/// How often the ledger is asked for parked tickets, and how many are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const PARKED_MAX: u32 = 1000;

/// Pauses between two questions about one ticket: from the first, doubling, to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(600);

/// What is planned for a ticket, by the try that parked it.
struct Plan {
    claim: ClaimId,
    next: Instant,
    pause: Duration,
    /// When "not found" is final: by our own watch, since clocks of machines jump and differ.
    final_at: SendDeadline,
}

/// Asks for one service for as long as it is polled. Returns at once if it has no look-up.
pub(super) async fn watch(runner: &Runner, service: &Arc<Service>) {
    let Some(lookup) = &service.lookup else { return };
    let mut plans: HashMap<PaymentHash, Plan> = HashMap::new();
    loop {
        sleep(POLL_INTERVAL).await;
        let Ok(parked) = runner.ledger.list(Some(State::Parked), PARKED_MAX).await else {
            continue;
        };
        let is_ours = |row: &Row| service.names().all().any(|name| name == row.service);
        let parked: HashMap<_, _> = parked.into_iter().filter(|(_, row)| is_ours(row)).collect();
        plans.retain(|hash, plan| parked.get(hash).is_some_and(|row| row.claim == plan.claim));
        for (hash, row) in parked {
            let plan = plans.entry(hash).or_insert_with(|| Plan {
                claim: row.claim,
                next: Instant::now(),
                pause: FIRST_PAUSE,
                final_at: SendDeadline::after(lookup.final_after + service.upstream.timeout),
            });
            if plan.next <= Instant::now() && !runner.in_flight.is_under_way(&hash) {
                ask(runner, service, lookup, &hash, &row, plan).await;
                plan.next = Instant::now() + plan.pause;
                plan.pause = (plan.pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

/// What the upstream says of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LookupAnswer {
    Found,
    NotFound,
    Nothing,
}

async fn ask(
    runner: &Runner,
    service: &Arc<Service>,
    lookup: &Lookup,
    hash: &PaymentHash,
    row: &Row,
    plan: &Plan,
) {
    // The name was made with the key that the ticket is signed with.
    let key = runner.ring.find(|keys| Some(keys.fingerprint()) == row.key);
    let Some((key, keys)) = key.and_then(|key| Some((key, runner.ring.get(key)?))) else { return };
    // Before the question: what comes to it later isn't counted.
    let final_now = plan.final_at.is_over();
    // Another place never saw the name, and this one forgets it.
    let knows_it = row.place.is_some() && row.place == service.place(key);
    let age = runner.ledger.now().at_most_since(&row.first_try);
    let believed = final_now && knows_it && age <= lookup.remembered;
    let answer = question(runner, service, lookup, &keys.idempotency_key(hash)).await;
    let resolution = match answer {
        LookupAnswer::Found => Resolution::Delivered,
        LookupAnswer::NotFound if believed => Resolution::Release,
        LookupAnswer::NotFound | LookupAnswer::Nothing => return,
    };
    match runner.ledger.resolve(*hash, plan.claim, resolution).await {
        Ok(Settled::Stale) => {}
        Ok(Settled::Done { .. }) => {
            let service = &*service.name;
            info!(ticket = %hash, service, ?resolution, "a look-up settled a parked ticket");
        }
        Err(error) => {
            warn!(ticket = %hash, %error, "a look-up could not be recorded; it is asked again")
        }
    }
}

async fn question(
    runner: &Runner,
    service: &Arc<Service>,
    lookup: &Lookup,
    key: &str,
) -> LookupAnswer {
    let Some(request) = request::own(&service.upstream, &lookup.path.replace("{key}", key)) else {
        return LookupAnswer::Nothing;
    };
    let request = request.map(|body| RequestBody::Whole(Full::new(body)));
    let deadline = Instant::now() + service.upstream.timeout;
    let Sent::Yes(response) =
        forward(&service.upstream, request, Reuse::Never, deadline, None).await
    else {
        return LookupAnswer::Nothing;
    };
    let Read { head, body, is_coded, .. } = read(response, runner.answer_max, deadline).await;
    let body = body.filter(|_| !is_coded);
    let (found, not_found) = (&lookup.found, &lookup.not_found);
    match (
        found.holds(head.status, &head.headers, body.as_deref()),
        not_found.holds(head.status, &head.headers, body.as_deref()),
    ) {
        (true, false) => LookupAnswer::Found,
        (false, true) => LookupAnswer::NotFound,
        // Nothing, or both.
        _ => LookupAnswer::Nothing,
    }
}
