//! Whether a service's sales are stopped by what its upstream answers: what always refuses isn't
//! sold on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, LOCATION};
use tokio::time::Instant;
use tracing::{info, warn};

use super::retry_after::retry_after;
use crate::payment_hash::PaymentHash;

/// So many different tickets that were refused without a success between stop the sales: a single
/// buyer may be at fault itself.
const REFUSED_TICKETS: usize = 3;

/// How many challenges are handed out at a time while it isn't known whether the trouble is over.
const TRIAL_CHALLENGES: u32 = 3;

/// How long nothing is sold at first, and at most.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Longest that an upstream's own `Retry-After` stops the sales.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// What an upstream's answer says of how it is set up.
pub enum Trouble {
    /// It refused as it would refuse everybody, such as by a wrong password.
    Refuses,
    /// It is asked too much, and says when it may be asked again.
    Limits(Duration),
    /// It sends whoever asks to another place.
    Redirects(Option<String>),
}

/// What is known of one upstream.
pub struct SaleStop {
    service: String,
    state: Mutex<State>,
}

enum State {
    /// These were refused since the last success.
    Open(Vec<PaymentHash>),
    Stopped(Stopped),
    /// Until the operator opens it: each try parks a ticket.
    Redirected(String),
    /// Until then, by the upstream's word.
    Limited(Instant),
}

struct Stopped {
    why: String,
    /// From here on a few challenges are handed out.
    until: Instant,
    pause: Duration,
    challenges_left: u32,
}

impl SaleStop {
    /// Nothing is known to be wrong.
    pub fn new(service: &str) -> Self {
        Self { service: service.to_owned(), state: Mutex::new(State::Open(Vec::new())) }
    }

    /// For one more challenge; `Err` is how long until there may be one.
    pub fn take_challenge(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state();
        match &mut *state {
            State::Open(_) => Ok(()),
            State::Redirected(_) => Err(PAUSE_MAX),
            State::Limited(until) if *until > now => Err(*until - now),
            State::Limited(_) => {
                *state = State::Open(Vec::new());
                Ok(())
            }
            State::Stopped(stopped) if stopped.until > now => Err(stopped.until - now),
            State::Stopped(stopped) => {
                stopped.challenges_left -= 1;
                if stopped.challenges_left == 0 {
                    stopped.wait_longer(now);
                }
                Ok(())
            }
        }
    }

    /// A request was delivered.
    pub fn worked(&self) {
        let mut state = self.state();
        // The operator's own word is asked for where it redirected.
        match &*state {
            State::Redirected(_) => return,
            State::Open(refused) if refused.is_empty() => return,
            State::Open(_) | State::Limited(_) => {}
            State::Stopped(_) => {
                info!(service = self.service, "the upstream delivers again: sales go on");
            }
        }
        *state = State::Open(Vec::new());
    }

    /// A ticket's request, or one on a pass, came to this.
    pub fn failed(&self, ticket: PaymentHash, status: StatusCode, trouble: Trouble, now: Instant) {
        let mut state = self.state();
        match (&mut *state, trouble) {
            (State::Redirected(_), _) => {}
            (_, Trouble::Redirects(place)) => {
                let why = redirects(status, place.as_deref());
                warn!(service = self.service, "{why}; sales stop until you open them again");
                *state = State::Redirected(why);
            }
            (State::Stopped(_), Trouble::Limits(_)) => {}
            (_, Trouble::Limits(pause)) => {
                *state = State::Limited(now + pause.min(RETRY_AFTER_MAX));
            }
            (State::Open(refused), Trouble::Refuses) => {
                if !refused.contains(&ticket) {
                    refused.push(ticket);
                }
                if refused.len() >= REFUSED_TICKETS {
                    let why = format!(
                        "the upstream refuses every request with {status}: are its credentials \
                         and its address right?"
                    );
                    warn!(service = self.service, "{why} Sales stop until one is delivered");
                    *state = State::Stopped(Stopped {
                        why,
                        until: now + PAUSE_FIRST,
                        pause: PAUSE_FIRST,
                        challenges_left: TRIAL_CHALLENGES,
                    });
                }
            }
            (State::Limited(_), Trouble::Refuses) => *state = State::Open(vec![ticket]),
            (State::Stopped(stopped), Trouble::Refuses) => {
                if stopped.until <= now {
                    stopped.wait_longer(now);
                }
            }
        }
    }

    /// The operator says that it is set right. Gives whether sales were stopped.
    pub fn open(&self) -> bool {
        let mut state = self.state();
        let was_open = matches!(&*state, State::Open(_));
        *state = State::Open(Vec::new());
        !was_open
    }

    /// What the upstream does to everybody, for the operator, while sales are stopped by that.
    pub fn why(&self) -> Option<String> {
        match &*self.state() {
            State::Stopped(Stopped { why, .. }) | State::Redirected(why) => Some(why.clone()),
            State::Open(_) | State::Limited(_) => None,
        }
    }

    /// Whether only a limit of the upstream's own stops the sales.
    pub fn is_limited(&self, now: Instant) -> bool {
        matches!(&*self.state(), State::Limited(until) if *until > now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stopped {
    fn wait_longer(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.until = now + self.pause;
        self.challenges_left = TRIAL_CHALLENGES;
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

impl Trouble {
    /// Of an answer that sends elsewhere, or asks to wait. `base` is the origin that was asked.
    pub fn of(status: StatusCode, headers: &HeaderMap, base: &str) -> Option<Self> {
        match status {
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let place = headers.get(LOCATION).and_then(|place| place.to_str().ok());
                Some(Self::Redirects(place.and_then(|place| place_without_secrets(place, base))))
            }
            StatusCode::TOO_MANY_REQUESTS => retry_after(headers).map(Self::Limits),
            _ => None,
        }
    }
}

/// Scheme, host and path: what stands in a query or before an `@` may be a password.
fn place_without_secrets(place: &str, base: &str) -> Option<String> {
    let place = place.split(['?', '#']).next()?;
    let absolute = if place.starts_with('/') && !place.starts_with("//") {
        format!("{base}{place}")
    } else {
        place.to_owned()
    };
    let uri: hyper::Uri = absolute.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(format!("{}://{host}{}", uri.scheme_str()?, uri.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(n: u8) -> PaymentHash {
        PaymentHash::from_bytes([n; 32])
    }

    fn refuse(stop: &SaleStop, n: u8, now: Instant) {
        stop.failed(ticket(n), StatusCode::FORBIDDEN, Trouble::Refuses, now);
    }

    #[test]
    fn several_tickets_without_a_success_between_stop_the_sales() {
        let (stop, now) = (SaleStop::new("s"), Instant::now());
        for _ in 0..9 {
            refuse(&stop, 1, now);
        }
        refuse(&stop, 2, now);
        assert!(stop.take_challenge(now).is_ok(), "one buyer may be at fault itself");
        stop.worked();
        refuse(&stop, 3, now);
        refuse(&stop, 4, now);
        assert!(stop.take_challenge(now).is_ok() && stop.why().is_none());
        refuse(&stop, 5, now);
        assert_eq!(stop.take_challenge(now), Err(PAUSE_FIRST));
        assert!(stop.why().unwrap().contains("403"));
    }

    #[test]
    fn it_opens_half_after_growing_pauses_and_wholly_by_a_success() {
        let (stop, mut now) = (SaleStop::new("s"), Instant::now());
        (0..3).for_each(|n| refuse(&stop, n, now));
        for pause in [5, 10, 20, 40, 60, 60] {
            assert_eq!(stop.take_challenge(now), Err(Duration::from_secs(pause)));
            now += Duration::from_secs(pause);
            for _ in 0..TRIAL_CHALLENGES {
                assert!(stop.take_challenge(now).is_ok());
            }
        }
        now += PAUSE_MAX;
        assert!(stop.take_challenge(now).is_ok());
        refuse(&stop, 9, now);
        assert_eq!(stop.take_challenge(now), Err(PAUSE_MAX), "refused again");
        stop.worked();
        assert!(stop.why().is_none());
        for _ in 0..9 {
            assert!(stop.take_challenge(now).is_ok());
        }
    }

    #[test]
    fn a_limit_of_the_upstreams_is_waited_for() {
        let (stop, now) = (SaleStop::new("s"), Instant::now());
        let wait = Duration::from_secs(7);
        let status = StatusCode::TOO_MANY_REQUESTS;
        stop.failed(ticket(1), status, Trouble::Limits(wait), now);
        assert_eq!(stop.take_challenge(now), Err(wait));
        assert!(stop.is_limited(now) && stop.why().is_none());
        assert!(stop.take_challenge(now + wait).is_ok());
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
        assert!(stop.take_challenge(now + PAUSE_MAX * 9).is_err());
        assert!(stop.open() && !stop.open());
        assert!(stop.take_challenge(now).is_ok());
        let place = place_without_secrets("/v2?key=k", "http://a:1").unwrap();
        assert_eq!(place, "http://a:1/v2");
    }
}
