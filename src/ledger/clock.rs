//! The two clocks: the wall clock, which may jump, and the ledger's own, which is durable and goes
//! by the steady clock. Pruning and expiry go by the second, so that no jump empties the ledger or
//! makes paid tickets worthless.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::limits::PRUNE_MARGIN;
use crate::time::UnixTime;

/// By how much the ledger's clock may follow the wall clock at once, at a start: as long as rows
/// outlive their tickets.
pub(super) const JUMP_MAX: Duration = PRUNE_MARGIN;

/// One moment by both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// By this machine's clock (or the database's), which may jump.
    pub wall: UnixTime,
    /// By the ledger's clock, which never goes back.
    pub ledger: UnixTime,
}

impl Moment {
    /// The later of the two: what is minted by it is not refused by either.
    pub fn later(&self) -> UnixTime {
        self.wall.max(self.ledger)
    }

    /// The earlier of two moments by each clock: whichever of them was read from a clock that was
    /// wrong, the time since them is not told too short.
    pub(super) fn earlier(&self, other: &Self) -> Self {
        Self { wall: self.wall.min(other.wall), ledger: self.ledger.min(other.ledger) }
    }

    /// How long it takes until the ledger's clock reads `then`: it waits for the other one while it
    /// is ahead.
    pub(super) fn until(&self, then: UnixTime) -> Duration {
        then.since(self.wall.min(self.ledger)).unwrap_or_default()
    }

    /// How long ago `earlier` was at most: the greater age of the two.
    pub fn at_most_since(&self, earlier: &Self) -> Duration {
        let [wall, ledger] = self.ages(earlier);
        wall.max(ledger)
    }

    /// How long ago `earlier` was at least: the smaller age of the two.
    pub fn at_least_since(&self, earlier: &Self) -> Duration {
        let [wall, ledger] = self.ages(earlier);
        wall.min(ledger)
    }

    /// By how much the two differ.
    pub fn apart(&self) -> Duration {
        let ahead = self.wall.since(self.ledger);
        ahead.or_else(|| self.ledger.since(self.wall)).unwrap_or_default()
    }

    fn ages(&self, earlier: &Self) -> [Duration; 2] {
        [self.wall.since(earlier.wall), self.ledger.since(earlier.ledger)]
            .map(Option::unwrap_or_default)
    }
}

/// What the ledger's clock shows `elapsed` (by the steady clock) after it showed `before`: it
/// follows the wall clock at most twice as fast as the steady one, and never goes back.
pub(super) fn follow(before: UnixTime, elapsed: Duration, wall: UnixTime) -> UnixTime {
    before.max(wall.min(before.plus(elapsed.saturating_mul(2))))
}

/// What the clock shows at a start, by what was written down last (`None` for a new ledger), and
/// how far it may jump at the next one. Each start takes from what `left` there is, and time that
/// is served gives it back: else a few starts under a wrong clock would go as far as they like.
pub(super) fn at_start(
    written: Option<UnixTime>,
    left: Duration,
    wall: UnixTime,
) -> (UnixTime, Duration) {
    let Some(written) = written else { return (wall, JUMP_MAX) };
    let shows = written.max(wall.min(written.plus(left.min(JUMP_MAX))));
    (shows, left.saturating_sub(shows.since(written).unwrap_or_default()))
}

/// The ledger's clock in one process.
pub(super) struct LedgerClock {
    /// What it showed when, by the steady clock.
    shown: Mutex<(UnixTime, Instant)>,
}

impl LedgerClock {
    pub(super) fn new(shows: UnixTime) -> Self {
        Self { shown: Mutex::new((shows, Instant::now())) }
    }

    pub(super) fn now(&self) -> Moment {
        let (wall, steady) = (UnixTime::now(), Instant::now());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = follow(shown.0, steady.saturating_duration_since(shown.1), wall);
        *shown = (ledger, steady);
        Moment { wall, ledger }
    }

    /// The most that it may show now, whatever the wall clock says.
    pub(super) fn limit(&self) -> UnixTime {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.0.plus(shown.1.elapsed().saturating_mul(2))
    }

    /// What another instance has moved it to.
    pub(super) fn set(&self, shows: UnixTime) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = (shown.0.max(shows), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UnixTime = UnixTime::from_seconds(1_700_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_jump_ahead_is_followed_slowly_and_one_back_not_at_all() {
        let minute = Duration::from_secs(60);
        let jumped = START.plus(45 * DAY);
        assert_eq!(follow(START, minute, START.plus(minute)), START.plus(minute));
        assert_eq!(follow(START, minute, jumped), START.plus(2 * minute));
        assert_eq!(follow(START, minute, START.minus(45 * DAY)), START);
    }

    #[test]
    fn a_start_may_jump_by_as_long_as_rows_outlive_their_tickets() {
        let wall = START.plus(45 * DAY);
        assert_eq!(at_start(None, Duration::ZERO, START), (START, JUMP_MAX));
        assert_eq!(at_start(Some(START), JUMP_MAX, START.plus(DAY)), (START.plus(DAY), 6 * DAY));
        assert_eq!(at_start(Some(START), JUMP_MAX, wall), (START.plus(7 * DAY), Duration::ZERO));
        assert_eq!(at_start(Some(START), JUMP_MAX, START.minus(DAY)), (START, JUMP_MAX));
        // A crash loop goes no further than one start.
        let (shows, left) = at_start(Some(START), JUMP_MAX, wall);
        assert_eq!(at_start(Some(shows), left, wall), (shows, left));
    }

    #[test]
    fn ages_have_a_direction() {
        let then = Moment { wall: START, ledger: START };
        let now = Moment { wall: START.plus(45 * DAY), ledger: START.plus(DAY) };
        assert_eq!((now.at_most_since(&then), now.at_least_since(&then)), (45 * DAY, DAY));
        let set_back = Moment { wall: START.minus(DAY), ledger: START };
        assert_eq!(set_back.at_most_since(&then), Duration::ZERO);
        assert_eq!((now.apart(), set_back.apart()), (44 * DAY, DAY));
        assert_eq!((now.later(), set_back.later()), (now.wall, START));
    }

    proptest! {
        /// Whatever the wall clock does, the other never goes back, and gets ahead of real time by
        /// no more than it took.
        #[test]
        fn never_back_and_never_faster_than_twice(
            walls in prop::collection::vec((0_u64..4_000_000_000, 0_u64..100_000), 1..50),
        ) {
            let mut shows = START;
            for (wall, elapsed) in walls {
                let elapsed = Duration::from_secs(elapsed);
                let next = follow(shows, elapsed, UnixTime::from_seconds(wall));
                prop_assert!(next >= shows && next <= shows.plus(2 * elapsed));
                shows = next;
            }
        }
    }
}
