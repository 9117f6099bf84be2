//! What is known of how LND is. Its State service says whether it serves; that it takes our macaroon and makes the right invoices, only
//! calls that show the macaroon can tell. What such a call found wrong counts until another finds it right.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::lightning::Trouble;

/// How soon it is tried whether what a call found wrong has passed.
const HOLD: Duration = Duration::from_secs(10);

/// The same for an invoice that wasn't what was asked for: LND keeps each one, and hardly changes.
const HOLD_WRONG: Duration = Duration::from_secs(600);

/// What is known.
pub(super) struct Standpoint(Mutex<Known>);

struct Known {
    trouble: Option<Trouble>,
    /// The trouble is one that the State service knows nothing of; from then on it may be tried whether it has passed.
    try_from: Option<Instant>,
    /// LND took our macaroon, since it was away and since our files have changed.
    macaroon_taken: bool,
    /// When it made an invoice last.
    made: Option<Instant>,
}

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
        Self(Mutex::new(Known { trouble: Some(Trouble::NotTried), try_from: None, macaroon_taken: false, made: None }))
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.known().trouble.clone()
    }

    /// The files are others: what was found wrong with the old ones needn't be.
    pub(super) fn begin_anew(&self) {
        let mut known = self.known();
        (known.try_from, known.macaroon_taken) = (None, false);
    }

    pub(super) fn question(&self, now: Instant) -> Question {
        let known = self.known();
        match (&known.trouble, known.try_from) {
            (_, Some(from)) if now < from => Question::Later,
            (Some(Trouble::Silent(_) | Trouble::Other(_) | Trouble::WrongInvoice(_)), Some(_)) => Question::Invoice,
            _ if known.macaroon_taken => Question::Nothing,
            _ => Question::Macaroon,
        }
    }

    /// What a look at the node came to.
    pub(super) fn looked(&self, seen: Result<(), Trouble>, now: Instant) {
        let mut known = self.known();
        known.macaroon_taken = seen.is_ok();
        known.try_from = matches!(seen, Err(Trouble::Macaroon(_))).then(|| now + HOLD);
        known.set(seen.err());
    }

    /// An invoice was made.
    pub(super) fn made(&self, now: Instant) {
        let mut known = self.known();
        (known.try_from, known.macaroon_taken, known.made) = (None, true, Some(now));
        known.set(None);
    }

    /// A call for an invoice that began at `started` came to nothing. Says whether the node should be looked at.
    pub(super) fn failed(&self, trouble: &Trouble, started: Instant, now: Instant) -> bool {
        let mut known = self.known();
        let hold = match trouble {
            // Says more about us than about the node.
            Trouble::Busy | Trouble::Slow(_) | Trouble::NotTried => return false,
            // Says more about this one call than about the node.
            Trouble::Silent(_) | Trouble::Other(_) if known.made.is_some_and(|made| made > started) => return false,
            Trouble::Macaroon(_) | Trouble::Silent(_) | Trouble::Other(_) => Some(HOLD),
            Trouble::WrongInvoice(_) => Some(HOLD_WRONG),
            _ => None,
        };
        known.try_from = hold.map(|hold| now + hold);
        known.macaroon_taken = false;
        known.set(Some(trouble.clone()));
        true
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn set(&mut self, trouble: Option<Trouble>) {
        if self.trouble != trouble {
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
        Trouble::Silent(HOLD)
    }

    #[test]
    fn a_macaroon_is_shown_once_and_again_after_the_node_was_away_or_the_files_changed() {
        let (standpoint, now) = (Standpoint::new(), Instant::now());
        assert_eq!(standpoint.question(now), Question::Macaroon, "before the first buyer");
        standpoint.looked(Ok(()), now);
        assert_eq!((standpoint.trouble(), standpoint.question(now)), (None, Question::Nothing));
        standpoint.begin_anew();
        assert_eq!(standpoint.question(now), Question::Macaroon);
        standpoint.made(now);
        assert_eq!(standpoint.question(now), Question::Nothing);
        standpoint.looked(Err(Trouble::Locked), now);
        assert_eq!(standpoint.question(now), Question::Macaroon);
    }

    #[test]
    fn a_refused_macaroon_stays_refused_until_it_is_taken() {
        let (standpoint, now) = (Standpoint::new(), Instant::now());
        standpoint.looked(Ok(()), now);
        assert!(standpoint.failed(&refused(), now, now));
        assert_eq!(standpoint.question(now), Question::Later);
        for tries in 1..4 {
            let then = now + HOLD * tries;
            assert_eq!((standpoint.trouble(), standpoint.question(then)), (Some(refused()), Question::Macaroon));
            standpoint.looked(Err(refused()), then);
        }
        standpoint.begin_anew();
        assert_eq!(standpoint.question(now), Question::Macaroon, "a new file is tried at once");
        standpoint.looked(Ok(()), now);
        assert_eq!(standpoint.trouble(), None);
    }

    #[test]
    fn what_only_an_invoice_can_tell_stays_until_one_is_made() {
        for (trouble, hold) in [(silent(), HOLD), (Trouble::WrongInvoice("another network".to_owned()), HOLD_WRONG)] {
            let (standpoint, now) = (Standpoint::new(), Instant::now());
            standpoint.looked(Ok(()), now);
            assert!(standpoint.failed(&trouble, now, now));
            assert_eq!(standpoint.question(now + hold - Duration::from_millis(1)), Question::Later);
            assert_eq!((standpoint.trouble(), standpoint.question(now + hold)), (Some(trouble.clone()), Question::Invoice));
            standpoint.failed(&trouble, now + hold, now + hold);
            assert_eq!(standpoint.question(now + hold), Question::Later);
            standpoint.made(now + hold * 2);
            assert_eq!((standpoint.trouble(), standpoint.question(now)), (None, Question::Nothing));
        }
    }

    #[test]
    fn one_silent_call_says_nothing_where_others_were_answered_since() {
        let (standpoint, now) = (Standpoint::new(), Instant::now());
        standpoint.made(now + Duration::from_secs(1));
        let later = now + Duration::from_secs(5);
        assert!(!standpoint.failed(&silent(), now, later) && standpoint.trouble().is_none());
        assert!(standpoint.failed(&silent(), now + Duration::from_secs(2), later) && standpoint.trouble().is_some());
        standpoint.looked(Err(Trouble::Locked), later);
        assert!(!standpoint.failed(&Trouble::Busy, later, later));
        assert_eq!(standpoint.trouble(), Some(Trouble::Locked), "our own limits say nothing of the node");
    }
}
