//! Asks upstreams what became of parked tickets, where they can tell. A find settles the ticket;
//! "not found" frees it only after the time that the service states as final.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::exchange;
use super::job::LEASE_MARGIN;
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
    /// How long after it was parked "not found" is final, by what the service said then, and when
    /// that is: by our own watch, since clocks of machines jump and differ.
    final_after: Option<Duration>,
    final_at: Option<SendDeadline>,
}

impl Plan {
    fn new(claim: ClaimId, final_after: Option<Duration>) -> Self {
        let final_at = final_after.map(SendDeadline::after);
        Self { claim, next: Instant::now(), pause: FIRST_PAUSE, final_after, final_at }
    }
}

/// The look-ups of all places that are asked.
#[derive(Default)]
pub(super) struct LookUps(Mutex<Vec<Arc<LookUp>>>);

/// The look-up of one service at one place. A reload that changes the place retires it: it goes on
/// for the tickets that were tried there. What is found there was delivered; that nothing is found
/// frees nothing any more, since nobody knows what the change means, as at a restart.
pub struct LookUp(Mutex<Asked>);

/// What is asked, and from when on nothing can be parked any more by requests from before it was
/// retired.
struct Asked {
    service: Arc<Service>,
    retired: Option<Instant>,
}

impl LookUp {
    fn new(service: &Arc<Service>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Asked { service: Arc::clone(service), retired: None })))
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn service(&self) -> Arc<Service> {
        Arc::clone(&self.asked().service)
    }

    fn is_retired(&self) -> bool {
        self.asked().retired.is_some()
    }

    /// `waits`: how long a request may wait before its redemption begins.
    fn retire(&self, waits: Duration) {
        let mut asked = self.asked();
        let last = waits + exchange::longest(&asked.service) + LEASE_MARGIN;
        asked.retired.get_or_insert_with(|| Instant::now() + last);
    }

    /// Whether nothing can be parked any more that it would be asked about.
    fn has_ended(&self, parked: usize) -> bool {
        parked == 0 && self.asked().retired.is_some_and(|last| last <= Instant::now())
    }

    /// Goes on by what a service says now, if that is the same service at the same place, whatever
    /// it is named by now.
    fn continues_as(&self, service: &Arc<Service>) -> bool {
        let mut asked = self.asked();
        let continues = is_one(&asked.service, service) && asked.service.is_at_place_of(service);
        if continues {
            *asked = Asked { service: Arc::clone(service), retired: None };
        }
        continues
    }
}

/// Whether a service of before is one of now, by any of its names.
fn is_one(before: &Service, now: &Service) -> bool {
    now.names().all().any(|name| *name == *before.name)
}

impl LookUps {
    /// From here on by what these services say; gives the look-ups that begin. That of a service
    /// which is gone, or can't be asked any more, ends.
    pub(super) fn open(&self, services: &[Arc<Service>], waits: Duration) -> Vec<Arc<LookUp>> {
        let mut all = self.all();
        let asked = || services.iter().filter(|service| service.lookup.is_some());
        let (mut goes_on, mut begun) = (Vec::new(), Vec::new());
        for service in asked() {
            match all.iter().find(|look_up| look_up.continues_as(service)) {
                Some(look_up) => goes_on.push(Arc::clone(look_up)),
                None => begun.push(LookUp::new(service)),
            }
        }
        all.retain(|look_up| {
            if goes_on.iter().any(|one| Arc::ptr_eq(one, look_up)) {
                return true;
            }
            look_up.retire(waits);
            let before = look_up.service();
            asked().any(|service| is_one(&before, service))
        });
        all.extend(begun.iter().cloned());
        begun
    }

    /// Asks for as long as it is polled, and needed.
    pub(super) async fn follow(&self, runner: &Runner, look_up: &Arc<LookUp>) {
        let mut plans: HashMap<PaymentHash, Plan> = HashMap::new();
        loop {
            sleep(POLL_INTERVAL).await;
            let Ok(parked) = runner.ledger.list(Some(State::Parked), PARKED_MAX).await else {
                continue;
            };
            let service = look_up.service();
            let is_ours = |row: &Row| self.is_of(runner, look_up, &service, row);
            let parked: HashMap<_, _> =
                parked.into_iter().filter(|(_, row)| is_ours(row)).collect();
            let Some(lookup) = service.lookup.as_ref().filter(|_| self.goes_on(look_up, &parked))
            else {
                return;
            };
            let final_after = lookup.final_after.map(|after| after + service.upstream.timeout);
            plans.retain(|hash, plan| {
                let row = parked.get(hash);
                row.is_some_and(|row| row.claim == plan.claim) && plan.final_after == final_after
            });
            for (hash, row) in parked {
                let plan = plans.entry(hash).or_insert_with(|| Plan::new(row.claim, final_after));
                if plan.next <= Instant::now() && !runner.in_flight.is_under_way(&hash) {
                    ask(runner, look_up, &service, lookup, &hash, &row, plan).await;
                    plan.next = Instant::now() + plan.pause;
                    plan.pause = (plan.pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// Whether a look-up is still needed. Decided where a reload decides, so that none is revived
    /// that has just ended.
    fn goes_on(&self, look_up: &Arc<LookUp>, parked: &HashMap<PaymentHash, Row>) -> bool {
        let mut all = self.all();
        if look_up.has_ended(parked.len()) {
            all.retain(|other| !Arc::ptr_eq(other, look_up));
        }
        all.iter().any(|other| Arc::ptr_eq(other, look_up))
    }

    /// Whether a look-up is the one that is asked about a parked ticket: that of the place where it
    /// was tried, else that of the service of today.
    fn is_of(&self, runner: &Runner, look_up: &LookUp, service: &Service, row: &Row) -> bool {
        let was_tried_at = |service: &Service| {
            let key = runner.ring.find(|keys| Some(keys.fingerprint()) == row.key);
            row.place.is_some() && key.is_some_and(|key| row.place == service.place(key))
        };
        let is_named = |service: &Service| service.names().all().any(|name| name == row.service);
        if look_up.is_retired() {
            return is_named(service) && was_tried_at(service);
        }
        let retired_has_it = || {
            self.all().iter().filter(|other| other.is_retired()).any(|other| {
                let service = other.service();
                is_named(&service) && was_tried_at(&service)
            })
        };
        is_named(service) && (was_tried_at(service) || !retired_has_it())
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<LookUp>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the upstream says of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LookupAnswer {
    Found,
    NotFound,
    Nothing,
}

async fn ask(
    runner: &Runner,
    look_up: &LookUp,
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
    let final_now = plan.final_at.as_ref().is_some_and(SendDeadline::is_over);
    // Another place never saw the name, and this one forgets it.
    let knows_it = row.place.is_some() && row.place == service.place(key);
    let age = runner.ledger.now().at_most_since(&row.first_try);
    let name = keys.idempotency_key(hash, row.which_request());
    let answer = question(service, lookup, &name, runner.answer_max()).await;
    // After the question: a reload may have changed what it means.
    let is_of_now = !look_up.is_retired() && Arc::ptr_eq(&look_up.service(), service);
    let believed = is_of_now && final_now && knows_it && age <= lookup.remembered;
    let resolution = match answer {
        LookupAnswer::Found => Resolution::Delivered,
        LookupAnswer::NotFound if believed => Resolution::Release,
        LookupAnswer::NotFound | LookupAnswer::Nothing => return,
    };
    match runner.ledger.resolve(*hash, plan.claim, resolution).await {
        Ok(Settled::Stale) => {}
        Ok(Settled::Done { .. }) => {
            let is_delivered = resolution == Resolution::Delivered;
            service.upstream.sale_stop.settled(*hash, is_delivered);
            let service = &*service.name;
            info!(ticket = %hash, service, ?resolution, "a look-up settled a parked ticket");
        }
        Err(error) => {
            warn!(ticket = %hash, %error, "a look-up could not be recorded; it is asked again")
        }
    }
}

/// Asks the upstream about the request that it knows by `key`.
pub(super) async fn question(
    service: &Service,
    lookup: &Lookup,
    key: &str,
    answer_max: usize,
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
    let Read { head, body, is_coded, .. } = read(response, answer_max, deadline).await;
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
