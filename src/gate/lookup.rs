//! Asks upstreams what became of parked tickets, where they can tell. A find settles the ticket; "not found" frees it only after the time
//! that the service states as final.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::Gate;
use super::keep::{Read, read};
use super::site::{Lookup, Service};
use crate::l402::PaymentHash;
use crate::redemption::state::{Resolution, Row, State};
use crate::time::UnixTime;
use crate::upstream::body::RequestBody;
use crate::upstream::forward::{Sent, forward};
use crate::upstream::{Reuse, request};

/// How often the ledger is asked for parked tickets, and how many are looked at.
const EVERY: Duration = Duration::from_secs(1);
const MOST: u32 = 1000;

/// Pauses between two questions about one ticket: from the first, doubling, to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(600);

/// When a ticket is asked about next, and the pause after that.
type Schedule = HashMap<PaymentHash, (Instant, Duration)>;

/// Asks for as long as it is polled. Returns at once if no service has a look-up.
pub async fn watch(gate: &Gate) {
    if gate.site.services.iter().all(|service| service.lookup.is_none()) {
        return;
    }
    let mut schedule = Schedule::new();
    loop {
        sleep(EVERY).await;
        let Ok(parked) = gate.ledger.list(Some(State::Parked), MOST).await else { continue };
        schedule.retain(|hash, _| parked.iter().any(|(known, _)| known == hash));
        for (hash, row) in &parked {
            let service = gate.site.services.iter().find(|service| *service.name == *row.service);
            if let Some((service, lookup)) = service.and_then(|service| service.lookup.as_ref().map(|lookup| (service, lookup))) {
                let (next, pause) = schedule.entry(*hash).or_insert((Instant::now(), FIRST_PAUSE));
                if *next <= Instant::now() {
                    ask(gate, service, lookup, hash, row).await;
                    (*next, *pause) = (Instant::now() + *pause, (*pause * 2).min(LAST_PAUSE));
                }
            }
        }
    }
}

/// What the upstream says of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Found,
    NotFound,
    Nothing,
}

async fn ask(gate: &Gate, service: &Arc<Service>, lookup: &Lookup, hash: &PaymentHash, row: &Row) {
    // Before the question: what comes to it later isn't counted.
    let final_now = UnixTime::now().since(row.changed).is_some_and(|age| age > lookup.final_after);
    let mut words = Vec::new();
    // The name was made with the key that the ticket is signed with; which one that is, only the ticket tells.
    for keys in gate.ring.all() {
        words.push(question(gate, service, lookup, &keys.idempotency_key(hash)).await);
    }
    let resolution = if words.contains(&Word::Found) {
        Resolution::Delivered
    } else if final_now && words.iter().all(|word| *word == Word::NotFound) {
        Resolution::Release
    } else {
        return;
    };
    match gate.ledger.resolve(*hash, resolution).await {
        Ok(_) => info!(ticket = %hash, service = %service.name, ?resolution, "a look-up at the upstream settled a parked ticket"),
        Err(error) => warn!(ticket = %hash, %error, "a look-up could not be recorded; it is asked again"),
    }
}

async fn question(gate: &Gate, service: &Arc<Service>, lookup: &Lookup, key: &str) -> Word {
    let Some(request) = request::own(&service.upstream, &lookup.path.replace("{key}", key)) else { return Word::Nothing };
    let request = request.map(|body| RequestBody::Whole(Full::new(body)));
    let deadline = Instant::now() + service.upstream.timeout;
    let Sent::Yes(response) = forward(&service.upstream, request, Reuse::Never, deadline, None).await else { return Word::Nothing };
    let Read { head, body, .. } = read(response, gate.site.limits.stored_answer, deadline).await;
    let (found, not_found) = (&lookup.found, &lookup.not_found);
    match (found.holds(head.status, &head.headers, body.as_deref()), not_found.holds(head.status, &head.headers, body.as_deref())) {
        (true, false) => Word::Found,
        (false, true) => Word::NotFound,
        // Nothing, or both.
        _ => Word::Nothing,
    }
}
