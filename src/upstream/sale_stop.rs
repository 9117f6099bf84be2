//! Whether a service's sales are stopped by what its upstream answers: what always refuses isn't
//! sold on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::Instant;
use tracing::{info, warn};

use super::trouble::Trouble;
use crate::client::ClientKey;
use crate::payment_hash::PaymentHash;

/// So many different tickets that were refused without a success between stop the sales: a single
/// buyer may be at fault itself.
const REFUSED_TICKETS: usize = 3;

/// How long a refusal counts, and how many are remembered: one ticket may be handed in often.
const REFUSED_FOR: Duration = Duration::from_secs(86_400);
const REFUSED_MAX: usize = 1000;

/// How many challenges are handed out at a time while it isn't known whether the trouble is over.
const TRIAL_CHALLENGES: usize = 3;

/// How long nothing is sold at first, and at most.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(60);

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
    /// Since so many were refused.
    stopped: Option<Stopped>,
    /// By the upstream's word that it is asked too much.
    limited: Option<Limited>,
    /// Until the operator opens it, since each try parks a ticket: why.
    redirected: Option<String>,
}

struct Stopped {
    why: String,
    /// From here on a few challenges are handed out.
    until: Instant,
    pause: Duration,
    /// To whom, since then.
    trials: Vec<ClientKey>,
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
    pub fn sold(mut self) {
        self.taken_by = None;
    }
}

impl Drop for ChallengePermit<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.taken_by
            && let Some(stopped) = &mut self.stop.state().stopped
        {
            stopped.trials.retain(|taken| *taken != client);
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
        // One buyer doesn't have them all.
        if stopped.trials.contains(&client) {
            return Err(stopped.pause);
        }
        stopped.trials.push(client);
        if stopped.trials.len() >= TRIAL_CHALLENGES {
            stopped.wait_longer(now);
        }
        Ok(ChallengePermit { stop: self, taken_by: Some(client) })
    }

    /// A request was delivered.
    pub fn worked(&self) {
        let mut state = self.state();
        if state.stopped.is_some() {
            info!(service = self.service, "the upstream delivers again: sales go on");
        }
        state.refused.clear();
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
            Trouble::Refuses => self.refused(&mut state, ticket, status, now),
        }
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

    fn refused(&self, state: &mut State, ticket: PaymentHash, status: StatusCode, now: Instant) {
        state.refused.retain(|(_, since)| now.saturating_duration_since(*since) < REFUSED_FOR);
        if state.refused.iter().any(|(refused, _)| *refused == ticket)
            || state.refused.len() >= REFUSED_MAX
        {
            return;
        }
        state.refused.push((ticket, now));
        match &mut state.stopped {
            Some(stopped) if stopped.until <= now => stopped.wait_longer(now),
            Some(_) => {}
            None if state.refused.len() >= REFUSED_TICKETS => {
                let why = format!(
                    "the upstream refuses every request with {status}: are its credentials and \
                     its address right?"
                );
                warn!(service = self.service, "{why} Sales stop until one is delivered");
                let (until, trials) = (now + PAUSE_FIRST, Vec::new());
                state.stopped = Some(Stopped { why, until, pause: PAUSE_FIRST, trials });
            }
            None => {}
        }
    }

    /// The operator says that it is set right. Gives whether sales were stopped.
    pub fn open(&self) -> bool {
        let before = std::mem::take(&mut *self.state());
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

impl Stopped {
    fn wait_longer(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.until = now + self.pause;
        self.trials.clear();
    }
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
mod tests {
    use hyper::header::{HeaderMap, LOCATION};

    use super::*;
    use crate::client::Client;

    fn ticket(n: u8) -> PaymentHash {
        PaymentHash::from_bytes([n; 32])
    }

    fn client(n: u8) -> ClientKey {
        Client::of([192, 0, 2, n].into(), false).key()
    }

    fn refuse(stop: &SaleStop, n: u8, now: Instant) {
        stop.failed(ticket(n), StatusCode::FORBIDDEN, Trouble::Refuses, now);
    }

    /// Whether a client may buy, and does.
    fn buys(stop: &SaleStop, n: u8, now: Instant) -> bool {
        stop.take_challenge(client(n), now).map(ChallengePermit::sold).is_ok()
    }

    #[test]
    fn several_tickets_without_a_success_between_stop_the_sales() {
        let (stop, now) = (SaleStop::new("s"), Instant::now());
        (0..9).for_each(|_| refuse(&stop, 1, now));
        refuse(&stop, 2, now);
        assert!(buys(&stop, 1, now), "one buyer may be at fault itself");
        stop.worked();
        refuse(&stop, 3, now);
        refuse(&stop, 4, now);
        assert!(buys(&stop, 1, now) && stop.why().is_none());
        refuse(&stop, 5, now + REFUSED_FOR);
        assert!(buys(&stop, 1, now + REFUSED_FOR), "the others were long ago");
        refuse(&stop, 6, now + REFUSED_FOR);
        refuse(&stop, 7, now + REFUSED_FOR);
        assert_eq!(stop.may_sell(now + REFUSED_FOR), Err(PAUSE_FIRST));
        assert!(stop.why().unwrap().contains("403"));
    }

    #[test]
    fn it_opens_half_after_growing_pauses_and_wholly_by_a_success() {
        let (stop, mut now) = (SaleStop::new("s"), Instant::now());
        (0..3).for_each(|n| refuse(&stop, n, now));
        for pause in [5, 10, 20, 40, 60, 60] {
            assert_eq!(stop.may_sell(now), Err(Duration::from_secs(pause)));
            now += Duration::from_secs(pause);
            assert!((0..3).all(|n| buys(&stop, n, now)));
        }
        now += PAUSE_MAX;
        refuse(&stop, 1, now);
        assert!(buys(&stop, 1, now), "a ticket that counted before lengthens no pause");
        refuse(&stop, 9, now);
        assert_eq!(stop.may_sell(now), Err(PAUSE_MAX), "another was refused again");
        stop.worked();
        assert!(stop.why().is_none() && (0..9).all(|n| buys(&stop, n, now)));
    }

    #[test]
    fn one_buyer_or_what_is_not_sold_uses_no_trial_up() {
        let (stop, mut now) = (SaleStop::new("s"), Instant::now());
        (0..3).for_each(|n| refuse(&stop, n, now));
        now += PAUSE_FIRST;
        assert!(buys(&stop, 1, now));
        assert!((0..9).all(|_| !buys(&stop, 1, now)), "it had one");
        for n in 2..99 {
            assert!(stop.take_challenge(client(n), now).is_ok(), "given back each time");
        }
        assert!(buys(&stop, 2, now));
    }

    #[test]
    fn a_limit_of_the_upstreams_is_waited_for() {
        let (stop, now) = (SaleStop::new("s"), Instant::now());
        let wait = Duration::from_secs(7);
        let limit = |n, wait, now| {
            stop.failed(ticket(n), StatusCode::TOO_MANY_REQUESTS, Trouble::Limits(wait), now);
        };
        limit(1, wait, now);
        assert_eq!(stop.may_sell(now), Err(wait));
        assert!(stop.is_limited(now) && stop.why().is_none());
        refuse(&stop, 5, now);
        assert_eq!(stop.may_sell(now), Err(wait), "a refusal doesn't open it");
        assert!(buys(&stop, 1, now + wait));
        limit(1, wait, now + wait);
        assert!(buys(&stop, 1, now + wait), "the same ticket stops nobody twice");
        let long = RETRY_AFTER_MAX * 9;
        limit(2, long, now + wait);
        assert_eq!(stop.may_sell(now + wait), Err(PAUSE_MAX), "one ticket doesn't for long");
        limit(3, long, now + wait);
        assert_eq!(stop.may_sell(now + wait), Err(RETRY_AFTER_MAX), "several do");
    }

    #[test]
    fn a_redirect_stops_them_at_once_until_the_operator_opens_them() {
        let (stop, now) = (SaleStop::new("s"), Instant::now());
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, "https://u:p@sms.example.com/v2/send?key=k".parse().unwrap());
        let status = StatusCode::TEMPORARY_REDIRECT;
        let trouble = Trouble::of(status, &headers, "http://sms.example.com").unwrap();
        stop.failed(ticket(1), status, trouble, now);
        let why = stop.why().unwrap();
        assert!(why.contains("write `upstream = \"https://sms.example.com/v2/send\"`"), "{why}");
        stop.worked();
        assert!(stop.may_sell(now + PAUSE_MAX * 9).is_err());
        assert!(stop.open() && !stop.open());
        assert!(buys(&stop, 1, now));
    }
}
