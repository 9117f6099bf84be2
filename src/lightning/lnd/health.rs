//! What is known of how LND is. Its State service says whether it serves; that it takes our
//! macaroon and makes the right invoices, only calls that show the macaroon can tell: so one is
//! made before the first buyer comes, and where our files lead to another LND. What such a call
//! found wrong counts until another finds it right.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::lightning::error::{NodeError, NodeErrorKind as Kind};

/// How soon it is tried whether what a call found wrong has passed: doubling from the first to the
/// last.
const FIRST_HOLD: Duration = Duration::from_secs(10);
const LAST_HOLD: Duration = Duration::from_secs(60);

/// The same for an invoice that wasn't what was asked for: LND keeps each one, and hardly changes.
const HOLD_WRONG: Duration = Duration::from_secs(600);

/// What is known.
pub(super) struct NodeHealth(Mutex<Known>);

struct Known {
    error: Option<NodeError>,
    /// Since when it is as it is.
    since: Option<Instant>,
    /// A call found something wrong; from then on it may be tried whether it has passed.
    try_from: Option<Instant>,
    hold: Duration,
    /// Only an invoice can show that it makes the right ones, or makes them again.
    needs_invoice: bool,
    /// LND took our macaroon, since it was away and since our files have changed.
    macaroon_taken: bool,
    /// When it made an invoice last.
    made: Option<Instant>,
    /// How many calls for an invoice have told something.
    told: u64,
    /// When the files were found to be others last.
    begun: Option<Instant>,
}

/// How many calls had told something before a look began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ProbeStart(u64);

/// What else has to be asked of an LND that says that it serves.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing: it is well.
    Nothing,
    /// Nothing yet: it is as it was.
    Later,
    /// Whether it takes our macaroon.
    Macaroon,
    /// Whether it makes an invoice.
    Invoice,
}

impl NodeHealth {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Known {
            error: Some(NodeError::not_tried()),
            since: None,
            try_from: None,
            hold: FIRST_HOLD,
            needs_invoice: true,
            macaroon_taken: false,
            made: None,
            told: 0,
            begun: None,
        }))
    }

    pub(super) fn error(&self) -> Option<NodeError> {
        self.known().error.clone()
    }

    /// The files are others: what was found of the old ones says nothing.
    pub(super) fn begin_again(&self, now: Instant) {
        let mut known = self.known();
        known.begun = Some(now);
        (known.try_from, known.hold, known.needs_invoice, known.macaroon_taken) =
            (None, FIRST_HOLD, true, false);
    }

    /// A look at the node begins.
    pub(super) fn begin_probe(&self) -> ProbeStart {
        ProbeStart(self.known().told)
    }

    /// What has to be asked next.
    pub(super) fn next_probe(&self, now: Instant) -> Probe {
        let known = self.known();
        match known.try_from {
            Some(from) if now < from => Probe::Later,
            _ if known.needs_invoice => Probe::Invoice,
            _ if known.macaroon_taken => Probe::Nothing,
            _ => Probe::Macaroon,
        }
    }

    /// What a look at the node came to. A call that told something meanwhile knows better.
    pub(super) fn probed(&self, start: ProbeStart, seen: Result<(), NodeError>, now: Instant) {
        let mut known = self.known();
        if known.told != start.0 {
            return;
        }
        known.macaroon_taken = seen.is_ok();
        known.try_from = seen
            .as_ref()
            .is_err_and(|error| error.kind() == Kind::Credential)
            .then(|| now + FIRST_HOLD);
        known.set(seen.err(), now);
    }

    /// An invoice was made by a call that began at `started`.
    pub(super) fn invoice_made(&self, started: Instant, now: Instant) {
        let mut known = self.known();
        if known.begun.is_some_and(|begun| started < begun) {
            // It may be another node's.
            return;
        }
        (known.hold, known.needs_invoice, known.made) = (FIRST_HOLD, false, Some(now));
        let is_passed = matches!(
            known.error.as_ref().map(NodeError::kind),
            Some(Kind::Silent | Kind::Other | Kind::WrongInvoice)
        );
        if !is_passed && known.error.is_some() && known.since.is_some_and(|since| since > started) {
            // That is younger than the call: LND made the invoice, and was locked then, say.
            return;
        }
        known.told += 1;
        (known.try_from, known.macaroon_taken) = (None, true);
        known.set(None, now);
    }

    /// A call for an invoice that began at `started` came to nothing. Says whether the node should
    /// be looked at.
    pub(super) fn failed(&self, error: &NodeError, started: Instant, now: Instant) -> bool {
        let mut known = self.known();
        let (try_from, needs_invoice) = match error.kind() {
            // Says more about us than about the node.
            Kind::Busy | Kind::Slow | Kind::NotTried => return false,
            // Says more about this one call than about the node.
            Kind::Silent | Kind::Other if known.made.is_some_and(|made| made > started) => {
                return false;
            }
            Kind::Silent | Kind::Other => {
                // Calls that were under way together fail together, and count as one.
                if known.try_from.is_none_or(|from| from <= now) {
                    known.hold = if known.makes_none() {
                        (known.hold * 2).min(LAST_HOLD)
                    } else {
                        FIRST_HOLD
                    };
                }
                (Some(now + known.hold), true)
            }
            Kind::WrongInvoice => (Some(now + HOLD_WRONG), true),
            Kind::Credential => (Some(now + FIRST_HOLD), known.needs_invoice),
            _ => (None, known.needs_invoice),
        };
        known.told += 1;
        (known.try_from, known.needs_invoice, known.macaroon_taken) =
            (try_from, needs_invoice, false);
        known.set(Some(error.clone()), now);
        true
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether the last call for an invoice came to nothing by a fault of the node's.
    fn makes_none(&self) -> bool {
        let kind = self.error.as_ref().map(NodeError::kind);
        self.needs_invoice && matches!(kind, Some(Kind::Silent | Kind::Other))
    }

    fn set(&mut self, error: Option<NodeError>, now: Instant) {
        if self.error != error {
            self.since = Some(now);
            match &error {
                Some(error) => warn!(state = error.word(), "node: {error}"),
                None => info!("node: LND is up"),
            }
            self.error = error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lightning::lnd::error;

    fn refused() -> NodeError {
        error::macaroon("permission denied")
    }

    fn silent() -> NodeError {
        error::silent(FIRST_HOLD)
    }

    fn probed(health: &NodeHealth, seen: Result<(), NodeError>, now: Instant) {
        health.probed(health.begin_probe(), seen, now);
    }

    fn up() -> (NodeHealth, Instant) {
        let (health, now) = (NodeHealth::new(), Instant::now());
        health.invoice_made(now, now);
        (health, now)
    }

    #[test]
    fn an_invoice_is_made_before_the_first_buyer_comes_and_a_macaroon_shown_after_an_absence() {
        let (health, now) = (NodeHealth::new(), Instant::now());
        assert_eq!(health.next_probe(now), Probe::Invoice, "before the first buyer");
        health.invoice_made(now, now);
        assert_eq!((health.error(), health.next_probe(now)), (None, Probe::Nothing));
        health.begin_again(now);
        assert_eq!(health.next_probe(now), Probe::Invoice, "it may be another node");
        health.invoice_made(now - Duration::from_millis(1), now);
        assert_eq!(health.next_probe(now), Probe::Invoice, "made by the one before");
        health.invoice_made(now, now);
        assert_eq!(health.next_probe(now), Probe::Nothing);
        probed(&health, Err(error::locked()), now);
        assert_eq!(health.next_probe(now), Probe::Macaroon);
    }

    #[test]
    fn a_refused_macaroon_stays_refused_until_it_is_taken() {
        let (health, now) = up();
        assert!(health.failed(&refused(), now, now));
        assert_eq!(health.next_probe(now), Probe::Later);
        for tries in 1..4 {
            let then = now + FIRST_HOLD * tries;
            assert_eq!(
                (health.error(), health.next_probe(then)),
                (Some(refused()), Probe::Macaroon)
            );
            probed(&health, Err(refused()), then);
        }
        health.begin_again(now);
        assert_eq!(health.next_probe(now), Probe::Invoice, "a new file is tried at once");
        health.invoice_made(now, now);
        assert_eq!(health.error(), None);
    }

    #[test]
    fn what_only_an_invoice_can_tell_stays_until_one_is_made() {
        for (error, hold) in
            [(silent(), FIRST_HOLD), (error::wrong_invoice("another network"), HOLD_WRONG)]
        {
            let (health, now) = up();
            assert!(health.failed(&error, now, now));
            assert_eq!(health.next_probe(now + hold - Duration::from_millis(1)), Probe::Later);
            assert_eq!(
                (health.error(), health.next_probe(now + hold)),
                (Some(error.clone()), Probe::Invoice)
            );
            health.failed(&error, now + hold, now + hold);
            assert_eq!(health.next_probe(now + hold), Probe::Later);
            // It was away in between: that makes nothing right.
            probed(&health, Err(error::locked()), now + hold);
            assert_eq!(health.next_probe(now + hold), Probe::Invoice);
            health.invoice_made(now + hold * 2, now + hold * 2);
            assert_eq!((health.error(), health.next_probe(now)), (None, Probe::Nothing));
        }
    }

    #[test]
    fn a_node_that_stores_invoices_and_says_nothing_is_tried_ever_less_often() {
        let (health, mut now) = (NodeHealth::new(), Instant::now());
        for hold in [10, 20, 40, 60, 60] {
            // Those that wait for it at once are one try.
            for _ in 0..5 {
                health.failed(&silent(), now, now);
            }
            let hold = Duration::from_secs(hold);
            assert_eq!(
                health.next_probe(now + hold - Duration::from_millis(1)),
                Probe::Later,
                "{hold:?}"
            );
            now += hold;
            assert_eq!(health.next_probe(now), Probe::Invoice, "{hold:?}");
        }
    }

    #[test]
    fn one_silent_call_says_nothing_where_others_were_answered_since() {
        let (health, now) = (NodeHealth::new(), Instant::now());
        health.invoice_made(now, now + Duration::from_secs(1));
        let later = now + Duration::from_secs(5);
        assert!(!health.failed(&silent(), now, later) && health.error().is_none());
        assert!(
            health.failed(&silent(), now + Duration::from_secs(2), later)
                && health.error().is_some()
        );
        probed(&health, Err(error::locked()), later);
        assert!(!health.failed(&NodeError::busy(), later, later));
        assert_eq!(health.error(), Some(error::locked()), "our own limits say nothing of the node");
    }

    #[test]
    fn an_invoice_that_comes_late_says_nothing_of_what_was_seen_since_it_was_asked_for() {
        let (health, now) = (NodeHealth::new(), Instant::now());
        probed(&health, Err(error::locked()), now + Duration::from_secs(1));
        health.invoice_made(now, now + Duration::from_secs(2));
        assert_eq!(health.error(), Some(error::locked()));
        health.invoice_made(now + Duration::from_secs(1), now + Duration::from_secs(2));
        assert_eq!(health.error(), None);
        health.failed(&silent(), now + Duration::from_secs(2), now + Duration::from_secs(3));
        health.invoice_made(now + Duration::from_secs(2), now + Duration::from_secs(4));
        assert_eq!(health.error(), None, "it isn't silent");
    }

    #[test]
    fn a_look_says_nothing_where_a_call_told_something_meanwhile() {
        let (health, now) = (NodeHealth::new(), Instant::now());
        let before = health.begin_probe();
        health.failed(&refused(), now, now);
        health.probed(before, Ok(()), now);
        assert_eq!(health.error(), Some(refused()));
    }
}
