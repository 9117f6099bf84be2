//! What is known of how LND is. Its State service says whether it serves; that it takes our
//! macaroon and makes the right invoices, only calls that show the macaroon can tell. What such a
//! call found wrong counts until another finds it right.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::lightning::Trouble;

/// How soon it is tried whether what a call found wrong has passed: doubling from the first to the
/// last.
const FIRST_HOLD: Duration = Duration::from_secs(10);
const LAST_HOLD: Duration = Duration::from_secs(60);

/// The same for an invoice that wasn't what was asked for: LND keeps each one, and hardly changes.
const HOLD_WRONG: Duration = Duration::from_secs(600);

/// What is known.
pub(super) struct Standpoint(Mutex<Known>);

struct Known {
    trouble: Option<Trouble>,
    /// Since when it is as it is.
    since: Option<Instant>,
    /// A call found something wrong; from then on it may be tried whether it has passed.
    try_from: Option<Instant>,
    hold: Duration,
    /// Only an invoice can show that it has passed.
    needs_invoice: bool,
    /// LND took our macaroon, since it was away and since our files have changed.
    macaroon_taken: bool,
    /// When it made an invoice last.
    made: Option<Instant>,
    /// How many calls for an invoice have told something.
    told: u64,
}

/// How many calls had told something before a look began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Before(u64);

/// What else has to be asked of an LND that says that it serves.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Nothing: it is well.
    Nothing,
    /// Nothing yet: it is as it was.
    Later,
    /// Whether it takes our macaroon.
    Macaroon,
    /// Whether it makes an invoice.
    Invoice,
}

impl Standpoint {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Known {
            trouble: Some(Trouble::NotTried),
            since: None,
            try_from: None,
            hold: FIRST_HOLD,
            needs_invoice: false,
            macaroon_taken: false,
            made: None,
            told: 0,
        }))
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.known().trouble.clone()
    }

    /// The files are others: what was found wrong with the old ones needn't be.
    pub(super) fn begin_anew(&self) {
        let mut known = self.known();
        (known.try_from, known.hold, known.needs_invoice, known.macaroon_taken) =
            (None, FIRST_HOLD, false, false);
    }

    /// A look at the node begins.
    pub(super) fn look(&self) -> Before {
        Before(self.known().told)
    }

    pub(super) fn question(&self, now: Instant) -> Question {
        let known = self.known();
        match known.try_from {
            Some(from) if now < from => Question::Later,
            _ if known.needs_invoice => Question::Invoice,
            _ if known.macaroon_taken => Question::Nothing,
            _ => Question::Macaroon,
        }
    }

    /// What a look at the node came to. A call that told something meanwhile knows better.
    pub(super) fn looked(&self, before: Before, seen: Result<(), Trouble>, now: Instant) {
        let mut known = self.known();
        if known.told != before.0 {
            return;
        }
        known.macaroon_taken = seen.is_ok();
        known.try_from = matches!(seen, Err(Trouble::Macaroon(_))).then(|| now + FIRST_HOLD);
        known.set(seen.err(), now);
    }

    /// An invoice was made by a call that began at `started`.
    pub(super) fn made(&self, started: Instant, now: Instant) {
        let mut known = self.known();
        (known.hold, known.needs_invoice, known.made) = (FIRST_HOLD, false, Some(now));
        let is_passed = matches!(
            known.trouble,
            Some(Trouble::Silent(_) | Trouble::Other(_) | Trouble::WrongInvoice(_))
        );
        if !is_passed && known.trouble.is_some() && known.since.is_some_and(|since| since > started)
        {
            // That is younger than the call: LND made the invoice, and was locked then, say.
            return;
        }
        known.told += 1;
        (known.try_from, known.macaroon_taken) = (None, true);
        known.set(None, now);
    }

    /// A call for an invoice that began at `started` came to nothing. Says whether the node should
    /// be looked at.
    pub(super) fn failed(&self, trouble: &Trouble, started: Instant, now: Instant) -> bool {
        let mut known = self.known();
        let (try_from, needs_invoice) = match trouble {
            // Says more about us than about the node.
            Trouble::Busy | Trouble::Slow(_) | Trouble::NotTried => return false,
            // Says more about this one call than about the node.
            Trouble::Silent(_) | Trouble::Other(_)
                if known.made.is_some_and(|made| made > started) =>
            {
                return false;
            }
            Trouble::Silent(_) | Trouble::Other(_) => {
                // Calls that were under way together fail together, and count as one.
                if known.try_from.is_none_or(|from| from <= now) {
                    known.hold = if known.needs_invoice {
                        (known.hold * 2).min(LAST_HOLD)
                    } else {
                        FIRST_HOLD
                    };
                }
                (Some(now + known.hold), true)
            }
            Trouble::WrongInvoice(_) => (Some(now + HOLD_WRONG), true),
            Trouble::Macaroon(_) => (Some(now + FIRST_HOLD), known.needs_invoice),
            _ => (None, known.needs_invoice),
        };
        known.told += 1;
        (known.try_from, known.needs_invoice, known.macaroon_taken) =
            (try_from, needs_invoice, false);
        known.set(Some(trouble.clone()), now);
        true
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn set(&mut self, trouble: Option<Trouble>, now: Instant) {
        if self.trouble != trouble {
            self.since = Some(now);
            match &trouble {
                Some(trouble) => warn!(state = trouble.word(), "node: {trouble}"),
                None => info!("node: LND is up"),
            }
            self.trouble = trouble;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Trouble {
        Trouble::Macaroon("permission denied".to_owned())
    }

    fn silent() -> Trouble {
        Trouble::Silent(FIRST_HOLD)
    }

    fn looked(standpoint: &Standpoint, seen: Result<(), Trouble>, now: Instant) {
        standpoint.looked(standpoint.look(), seen, now);
    }

    #[test]
    fn a_macaroon_is_shown_once_and_again_after_the_node_was_away_or_the_files_changed() {
        let (standpoint, now) = (Standpoint::new(), Instant::now());
        assert_eq!(standpoint.question(now), Question::Macaroon, "before the first buyer");
        looked(&standpoint, Ok(()), now);
        assert_eq!((standpoint.trouble(), standpoint.question(now)), (None, Question::Nothing));
        standpoint.begin_anew();
        assert_eq!(standpoint.question(now), Question::Macaroon);
        standpoint.made(now, now);
        assert_eq!(standpoint.question(now), Question::Nothing);
        looked(&standpoint, Err(Trouble::Locked), now);
        assert_eq!(standpoint.question(now), Question::Macaroon);
    }

    #[test]
    fn a_refused_macaroon_stays_refused_until_it_is_taken() {
        let (standpoint, now) = (Standpoint::new(), Instant::now());
        looked(&standpoint, Ok(()), now);
        assert!(standpoint.failed(&refused(), now, now));
        assert_eq!(standpoint.question(now), Question::Later);
        for tries in 1..4 {
            let then = now + FIRST_HOLD * tries;
            assert_eq!(
                (standpoint.trouble(), standpoint.question(then)),
                (Some(refused()), Question::Macaroon)
            );
            looked(&standpoint, Err(refused()), then);
        }
        standpoint.begin_anew();
        assert_eq!(standpoint.question(now), Question::Macaroon, "a new file is tried at once");
        looked(&standpoint, Ok(()), now);
        assert_eq!(standpoint.trouble(), None);
    }

    #[test]
    fn what_only_an_invoice_can_tell_stays_until_one_is_made() {
        for (trouble, hold) in [
            (silent(), FIRST_HOLD),
            (Trouble::WrongInvoice("another network".to_owned()), HOLD_WRONG),
        ] {
            let (standpoint, now) = (Standpoint::new(), Instant::now());
            looked(&standpoint, Ok(()), now);
            assert!(standpoint.failed(&trouble, now, now));
            assert_eq!(standpoint.question(now + hold - Duration::from_millis(1)), Question::Later);
            assert_eq!(
                (standpoint.trouble(), standpoint.question(now + hold)),
                (Some(trouble.clone()), Question::Invoice)
            );
            standpoint.failed(&trouble, now + hold, now + hold);
            assert_eq!(standpoint.question(now + hold), Question::Later);
            // It was away in between: that makes nothing right.
            looked(&standpoint, Err(Trouble::Locked), now + hold);
            assert_eq!(standpoint.question(now + hold), Question::Invoice);
            standpoint.made(now + hold * 2, now + hold * 2);
            assert_eq!((standpoint.trouble(), standpoint.question(now)), (None, Question::Nothing));
        }
    }

    #[test]
    fn a_node_that_stores_invoices_and_says_nothing_is_tried_ever_less_often() {
        let (standpoint, mut now) = (Standpoint::new(), Instant::now());
        for hold in [10, 20, 40, 60, 60] {
            // Those that wait for it at once are one try.
            for _ in 0..5 {
                standpoint.failed(&silent(), now, now);
            }
            let hold = Duration::from_secs(hold);
            assert_eq!(
                standpoint.question(now + hold - Duration::from_millis(1)),
                Question::Later,
                "{hold:?}"
            );
            now += hold;
            assert_eq!(standpoint.question(now), Question::Invoice, "{hold:?}");
        }
    }

    #[test]
    fn one_silent_call_says_nothing_where_others_were_answered_since() {
        let (standpoint, now) = (Standpoint::new(), Instant::now());
        standpoint.made(now, now + Duration::from_secs(1));
        let later = now + Duration::from_secs(5);
        assert!(!standpoint.failed(&silent(), now, later) && standpoint.trouble().is_none());
        assert!(
            standpoint.failed(&silent(), now + Duration::from_secs(2), later)
                && standpoint.trouble().is_some()
        );
        looked(&standpoint, Err(Trouble::Locked), later);
        assert!(!standpoint.failed(&Trouble::Busy, later, later));
        assert_eq!(
            standpoint.trouble(),
            Some(Trouble::Locked),
            "our own limits say nothing of the node"
        );
    }

    #[test]
    fn an_invoice_that_comes_late_says_nothing_of_what_was_seen_since_it_was_asked_for() {
        let (standpoint, now) = (Standpoint::new(), Instant::now());
        looked(&standpoint, Err(Trouble::Locked), now + Duration::from_secs(1));
        standpoint.made(now, now + Duration::from_secs(2));
        assert_eq!(standpoint.trouble(), Some(Trouble::Locked));
        standpoint.made(now + Duration::from_secs(1), now + Duration::from_secs(2));
        assert_eq!(standpoint.trouble(), None);
        standpoint.failed(&silent(), now + Duration::from_secs(2), now + Duration::from_secs(3));
        standpoint.made(now + Duration::from_secs(2), now + Duration::from_secs(4));
        assert_eq!(standpoint.trouble(), None, "it isn't silent");
    }

    #[test]
    fn a_look_says_nothing_where_a_call_told_something_meanwhile() {
        let (standpoint, now) = (Standpoint::new(), Instant::now());
        let before = standpoint.look();
        standpoint.failed(&refused(), now, now);
        standpoint.looked(before, Ok(()), now);
        assert_eq!(standpoint.trouble(), Some(refused()));
    }
}
