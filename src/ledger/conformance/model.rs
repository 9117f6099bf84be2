//! The state machine over rows in memory: what every store has to agree with.

use std::collections::HashMap;

use super::{REPLAY, START, Subject, at};
use crate::era::Era;
use crate::ledger::clock::Moment;
use crate::ledger::limits::PRUNE_MARGIN;
use crate::ledger::state::{
    self, Attempt, Claim, ClaimId, ClaimRules, Marks, Resolution, Row, State,
};
use crate::ledger::store::{Claimed, Settled, Settlement, Waiting};
use crate::ledger::stored_answer::StoredAnswer;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// The model's first life.
const ERA: Era = Era::from_number(1);

#[derive(Clone)]
pub(super) struct Model {
    now: Moment,
    pub(super) marks: Marks,
    rows: HashMap<PaymentHash, Row>,
    answers: HashMap<PaymentHash, StoredAnswer>,
    copy: Option<Box<Self>>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            now: at(START),
            marks: Marks { era: ERA, released_before: UnixTime::from_millis(0), watermark: 0 },
            rows: HashMap::new(),
            answers: HashMap::new(),
            copy: None,
        }
    }

    fn settled(&mut self, hash: PaymentHash, next: Option<Row>) -> Settled {
        let Some(next) = next else { return Settled::Stale };
        let attempts = next.attempts;
        self.rows.insert(hash, next);
        Settled::Done { attempts }
    }
}

fn is_waiting(row: &Row) -> bool {
    matches!(row.state, State::Parked | State::Free | State::Refused)
}

impl Subject for Model {
    fn set_now(&mut self, now: Moment) {
        self.now = now;
    }

    fn marks(&mut self) -> Marks {
        self.marks
    }

    fn claim(&mut self, attempt: &Attempt) -> Claimed {
        let rules = ClaimRules { replay: REPLAY, marks: self.marks };
        let row = self.rows.get(&attempt.hash);
        let (claim, next) = state::claim(row, attempt, self.now, &rules);
        assert!(next.is_some() || claim != Claim::Granted);
        let granted = next.as_ref().filter(|_| claim == Claim::Granted);
        let maybe_delivered = granted.is_some_and(|next| next.maybe_delivered);
        self.rows.extend(next.map(|next| (attempt.hash, next)));
        let answer = self.answers.get(&attempt.hash).filter(|_| claim == Claim::Replay).cloned();
        Claimed { claim, answer, maybe_delivered }
    }

    fn settle(&mut self, settlement: &Settlement) -> Settled {
        let Settlement { hash, claim, outcome, answer, .. } = settlement;
        let row = self.rows.get(hash);
        let next = row.and_then(|row| state::settle(row, *claim, *outcome, self.now).ok());
        if next.is_some() {
            self.answers.extend(answer.clone().map(|answer| (*hash, answer)));
        }
        self.settled(*hash, next)
    }

    fn resolve(&mut self, hash: PaymentHash, claim: ClaimId, resolution: Resolution) -> Settled {
        let row = self.rows.get(&hash);
        let next = row.and_then(|row| state::resolve(row, claim, resolution, self.now).ok());
        self.settled(hash, next)
    }

    fn withdraw(&mut self, hash: PaymentHash, claim: ClaimId) {
        let next = self.rows.get(&hash).and_then(|row| state::withdraw(row, claim).ok());
        self.rows.extend(next.map(|next| (hash, next)));
    }

    fn revoke(&mut self, hash: PaymentHash, valid_until: u64) {
        let unused = Row::never_handed_in(valid_until, self.now);
        let row = self.rows.get(&hash).cloned().unwrap_or(unused);
        self.rows.insert(hash, state::revoke(&row, self.now));
    }

    fn park_orphans(&mut self) {
        for row in self.rows.values_mut() {
            if let Ok(parked) = state::orphaned(row, self.now) {
                *row = parked;
            }
        }
    }

    fn prune(&mut self) {
        let ended = self.now.ledger.minus(PRUNE_MARGIN).seconds();
        let stale = self.now.ledger.minus(REPLAY);
        self.rows.retain(|_, row| {
            let is_spent = matches!(row.state, State::Delivered | State::Revoked);
            let is_gone = is_spent && row.valid_until < ended && row.changed.ledger < stale;
            if is_gone {
                self.marks.watermark = self.marks.watermark.max(row.valid_until);
            }
            !is_gone
        });
        self.answers.retain(|hash, _| self.rows.contains_key(hash));
    }

    fn row(&mut self, hash: PaymentHash) -> Option<Row> {
        self.rows.get(&hash).cloned()
    }

    fn list(&mut self, state: Option<State>) -> Vec<(PaymentHash, Row)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(hash, row)| (*hash, row.clone())).collect();
        rows.retain(|(_, row)| state.is_none_or(|state| row.state == state));
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.changed.wall));
        rows
    }

    fn waiting(&mut self) -> Vec<Waiting> {
        let mut all: Vec<Waiting> = Vec::new();
        for row in self.rows.values().filter(|row| is_waiting(row)) {
            let (service, state) = (row.service.to_string(), row.state);
            match all.iter_mut().find(|one| one.service == service && one.state == state) {
                Some(one) => one.count += 1,
                None => all.push(Waiting { service, state, count: 1 }),
            }
        }
        all.sort_by_key(|one| (one.service.clone(), one.state.number()));
        all
    }

    fn revoked(&mut self) -> Vec<PaymentHash> {
        self.list(Some(State::Revoked)).into_iter().map(|(hash, _)| hash).collect()
    }

    fn sealed(&mut self, _: PaymentHash) -> Option<Vec<u8>> {
        None
    }

    fn back_up(&mut self) {
        self.copy = None;
        self.copy = Some(Box::new(self.clone()));
    }

    fn put_back(&mut self) -> u64 {
        let now = self.now;
        let copy = self.copy.take().expect("a copy");
        *self = *copy.clone();
        (self.now, self.copy) = (now, Some(copy));
        self.marks.era = Era::from_number(self.marks.era.number() + 1);
        self.marks.released_before = UnixTime::from_millis(0);
        let mut parked = 0;
        for row in self.rows.values_mut() {
            if let Ok(next) = state::restored(row, now) {
                parked += u64::from(row.state != next.state);
                *row = next;
            }
        }
        parked
    }

    fn release_restored(&mut self, minted_before: UnixTime) -> u64 {
        let mut released = 0;
        for row in self.rows.values_mut() {
            if let Ok(next) = state::release_restored(row, minted_before, self.now) {
                *row = next;
                released += 1;
            }
        }
        self.marks.released_before = self.marks.released_before.max(minted_before);
        released
    }

    fn clear(&mut self) {
        *self = Self::new();
    }
}
