//! Whether a service's sales are stopped by what its upstream answers: what always refuses isn't
//! sold on, nor what always leaves unknown what became of it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::Instant;
use tracing::{info, warn};

use super::stopped::{PAUSE_MAX, Stopped, StoppedBy, TRIAL_FOR};
use super::trouble::Trouble;
use crate::client::ClientKey;
use crate::payment_hash::PaymentHash;

/// So many different tickets that came to nothing without a success between stop the sales: a
/// single buyer may be at fault itself.
const TICKETS_MAX: usize = 3;

/// The same of orders that are refused for good: numbers that don't exist are bought for, too.
const ORDERS_MAX: usize = 5;

/// How long a ticket counts, and how many are remembered: one may be handed in often.
const REMEMBERED_FOR: Duration = Duration::from_secs(86_400);
const REMEMBERED_MAX: usize = 1000;

/// Longest that an upstream's own `Retry-After` stops the sales.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// What is known of one upstream.
pub struct SaleStop {
    service: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Tickets that were refused since the last success, and when first.
    refused: Vec<(PaymentHash, Instant)>,
    /// Those whose orders were refused for good.
    orders: Vec<(PaymentHash, Instant)>,
    /// Those of which that says nothing, since everybody was refused.
    wronged: HashSet<PaymentHash>,
    /// Those of which nobody knows what became of them.
    parked: Vec<(PaymentHash, Instant)>,
    /// Since so many were refused.
    stopped: Option<Stopped>,
    /// By the upstream's word that it is asked too much.
    limited: Option<Limited>,
    /// Until the operator opens it, since each try parks a ticket: why.
    redirected: Option<String>,
}

struct Limited {
    until: Instant,
    /// Whose it was: handed in again, it stops nobody else again.
    ticket: PaymentHash,
}

/// One of the few challenges of a trial, or any while nothing is stopped. Dropped without `sold`,
/// it is given back.
pub struct ChallengePermit<'a> {
    stop: &'a SaleStop,
    taken_by: Option<ClientKey>,
}

impl ChallengePermit<'_> {
    /// It was handed out.
    pub fn sold(mut self, now: Instant) {
        if self.taken_by.take().is_some()
            && let Some(stopped) = &mut self.stop.state().stopped
            && stopped.trials.len() >= stopped.by.trials()
        {
            stopped.handed_out(now);
        }
    }
}

impl Drop for ChallengePermit<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.taken_by
            && let Some(stopped) = &mut self.stop.state().stopped
        {
            stopped.trials.retain(|(taken, _)| *taken != client);
        }
    }
}

impl SaleStop {
    /// Nothing is known to be wrong.
    pub fn new(service: &str) -> Self {
        Self { service: service.to_owned(), state: Mutex::default() }
    }

    /// Whether something may be sold; `Err` is how long until that may be.
    pub fn may_sell(&self, now: Instant) -> Result<(), Duration> {
        self.state().may_sell(now)
    }

    /// For one more challenge of a client's.
    pub fn take_challenge(
        &self,
        client: ClientKey,
        now: Instant,
    ) -> Result<ChallengePermit<'_>, Duration> {
        let mut state = self.state();
        state.may_sell(now)?;
        let Some(stopped) = &mut state.stopped else {
            return Ok(ChallengePermit { stop: self, taken_by: None });
        };
        // Nor does one who didn't pay keep out all that come after it.
        stopped.trials.retain(|(_, since)| now.saturating_duration_since(*since) < TRIAL_FOR);
        // One buyer doesn't have them all.
        let is_taken = stopped.trials.iter().any(|(taken, _)| *taken == client);
        if is_taken || stopped.trials.len() >= stopped.by.trials() {
            return Err(TRIAL_FOR);
        }
        stopped.trials.push((client, now));
        Ok(ChallengePermit { stop: self, taken_by: Some(client) })
    }

    /// A request was delivered.
    pub fn worked(&self) {
        let mut state = self.state();
        if state.stopped.is_some() {
            info!(service = self.service, "the upstream delivers again: sales go on");
        }
        state.refused.clear();
        state.orders.clear();
        state.parked.clear();
        state.stopped = None;
        state.limited = None;
    }

    /// A ticket's request, or one on a pass, came to this.
    pub fn failed(&self, ticket: PaymentHash, status: StatusCode, trouble: Trouble, now: Instant) {
        let mut state = self.state();
        match trouble {
            Trouble::Redirects(place) => {
                if state.redirected.is_none() {
                    let why = redirects(status, place.as_deref());
                    warn!(service = self.service, "{why}; sales stop until you open them again");
                    state.redirected = Some(why);
                }
            }
            Trouble::Limits(pause) => self.limited(&mut state, ticket, pause, now),
            Trouble::Refuses if is_news(&mut state.refused, ticket, now) => {
                let why = (state.refused.len() >= TICKETS_MAX).then(|| refuses(status));
                self.refused(&mut state, StoppedBy::Refusals, why, now);
            }
            Trouble::RefusesOrders if is_news(&mut state.orders, ticket, now) => {
                let count = state.orders.len();
                let why = (count >= ORDERS_MAX).then(|| refuses_orders(count, status));
                // Those that come from here on aren't told so.
                if count == ORDERS_MAX && state.wronged.len() < REMEMBERED_MAX {
                    let all: Vec<PaymentHash> = state.orders.iter().map(|(one, _)| *one).collect();
                    state.wronged.extend(all);
                }
                self.refused(&mut state, StoppedBy::Orders, why, now);
            }
            Trouble::Refuses | Trouble::RefusesOrders => {}
        }
    }

    /// Nobody knows what became of a ticket's request, or of one on a pass; `status` is what was
    /// answered, if anything was.
    pub fn parked(&self, ticket: PaymentHash, status: Option<StatusCode>, now: Instant) {
        let mut state = self.state();
        if !is_news(&mut state.parked, ticket, now) {
            return;
        }
        let count = state.parked.len();
        let last = status.map_or("no answer".to_owned(), |status| format!("status {status}"));
        let why = format!(
            "nobody knows what became of {count} tickets since the last delivery (of the last one: \
             {last}): what does the backend say of them, and do `delivered` and `not_sent` name \
             all its answers?"
        );
        match &mut state.stopped {
            Some(stopped) if stopped.by == StoppedBy::Parking => {
                stopped.why = why;
                stopped.parked_again(now);
            }
            _ if count >= TICKETS_MAX => self.stop(&mut state, StoppedBy::Parking, why, now),
            Some(stopped) if stopped.until <= now => stopped.wait_longer(now),
            _ => {}
        }
    }

    /// It is known now what became of a ticket that was parked. One from before the last delivery
    /// says nothing of now.
    pub fn settled(&self, ticket: PaymentHash, is_delivered: bool) {
        let mut state = self.state();
        let is_parking = |stopped: &Stopped| stopped.by == StoppedBy::Parking;
        let is_parking = state.stopped.as_ref().is_some_and(is_parking);
        let before = state.parked.len();
        state.parked.retain(|(parked, _)| *parked != ticket);
        if is_delivered && state.parked.len() < before {
            state.parked.clear();
            if is_parking {
                info!(service = self.service, "a parked ticket was delivered: sales go on");
                state.stopped = None;
            }
        }
    }

    fn stop(&self, state: &mut State, by: StoppedBy, why: String, now: Instant) {
        warn!(service = self.service, "{why} Sales stop until one is delivered");
        let (pause, _) = by.pauses();
        let (until, paused, trials) = (now + pause, now, Vec::new());
        state.stopped = Some(Stopped { why, by, until, pause, paused, trials });
    }

    fn limited(&self, state: &mut State, ticket: PaymentHash, pause: Duration, now: Instant) {
        let before = state.limited.as_ref();
        if before.is_some_and(|limited| limited.ticket == ticket) {
            return;
        }
        // Of one ticket alone it may be about that: many limit each recipient.
        let is_several = before.is_some_and(|limited| limited.until > now);
        let pause = pause.min(if is_several { RETRY_AFTER_MAX } else { PAUSE_MAX });
        warn!(
            service = self.service,
            "the upstream takes no more for a while: no sales for {pause:?}"
        );
        state.limited = Some(Limited { until: now + pause, ticket });
    }

    /// One more ticket came to nothing; `why` if that is enough to stop the sales.
    fn refused(&self, state: &mut State, by: StoppedBy, why: Option<String>, now: Instant) {
        match (&mut state.stopped, why) {
            (Some(stopped), _) if stopped.until <= now => stopped.wait_longer(now),
            (None, Some(why)) => self.stop(state, by, why, now),
            _ => {}
        }
    }

    /// Whether it refuses all that it is asked, so that a refusal says nothing of an order.
    pub fn refuses_everybody(&self) -> bool {
        let state = self.state();
        let is_by_orders = state.orders.len() >= ORDERS_MAX;
        let by = state.stopped.as_ref().map(|stopped| stopped.by);
        is_by_orders || matches!(by, Some(StoppedBy::Refusals | StoppedBy::Orders))
    }

    /// Whether a ticket's order was refused for good as everybody's was; asked once.
    pub fn takes_back_refusal(&self, ticket: &PaymentHash) -> bool {
        self.state().wronged.remove(ticket)
    }

    /// Whether anything came that may stop the sales, since the last success.
    pub fn has_trouble(&self) -> bool {
        let state = self.state();
        !state.refused.is_empty() || state.limited.is_some() || state.redirected.is_some()
    }

    /// The operator says that it is set right. Gives whether sales were stopped.
    pub fn open(&self) -> bool {
        let mut state = self.state();
        let wronged = std::mem::take(&mut state.wronged);
        let before = std::mem::replace(&mut *state, State { wronged, ..State::default() });
        before.stopped.is_some() || before.redirected.is_some() || before.limited.is_some()
    }

    /// What the upstream does to everybody, for the operator, while sales are stopped by that.
    pub fn why(&self) -> Option<String> {
        let state = self.state();
        let refuses = state.stopped.as_ref().map(|stopped| &stopped.why);
        state.redirected.as_ref().or(refuses).cloned()
    }

    /// Whether only a limit of the upstream's own stops the sales.
    pub fn is_limited(&self, now: Instant) -> bool {
        self.why().is_none() && self.state().is_limited(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_sell(&self, now: Instant) -> Result<(), Duration> {
        if self.redirected.is_some() {
            return Err(PAUSE_MAX);
        }
        let stopped = self.stopped.as_ref().map(|stopped| stopped.until);
        let limited = self.limited.as_ref().map(|limited| limited.until);
        match stopped.max(limited).filter(|until| *until > now) {
            Some(until) => Err(until - now),
            None => Ok(()),
        }
    }

    fn is_limited(&self, now: Instant) -> bool {
        self.limited.as_ref().is_some_and(|limited| limited.until > now)
    }
}

/// Whether a ticket comes to nothing for the first time; it is remembered.
fn is_news(known: &mut Vec<(PaymentHash, Instant)>, ticket: PaymentHash, now: Instant) -> bool {
    known.retain(|(_, since)| now.saturating_duration_since(*since) < REMEMBERED_FOR);
    if known.iter().any(|(known, _)| *known == ticket) || known.len() >= REMEMBERED_MAX {
        return false;
    }
    known.push((ticket, now));
    true
}

fn refuses(status: StatusCode) -> String {
    format!(
        "the upstream refuses every request with {status}: are its credentials and its address \
         right?"
    )
}

fn refuses_orders(count: usize, status: StatusCode) -> String {
    format!(
        "the upstream refused {count} orders for good since the last delivery (the last one with \
         {status}): do `refused` and the preset name only what it says of one order alone, and \
         does its account take such orders at all?"
    )
}

fn redirects(status: StatusCode, place: Option<&str>) -> String {
    match place {
        Some(place) => format!(
            "the upstream answers {status} and sends to another address, which parks each ticket: \
             write `upstream = \"{place}\"`"
        ),
        None => format!(
            "the upstream answers {status} and sends to another address, which parks each ticket: \
             write in `upstream` where it takes requests"
        ),
    }
}

#[cfg(test)]
#[path = "sale_stop_tests.rs"]
mod tests;
