//! The state machine over rows in memory: what every store has to agree with.

use std::collections::HashMap;

use super::{REPLAY, START, Subject};
use crate::ledger::limits::PRUNE_MARGIN;
use crate::ledger::state::{self, Attempt, Claim, ClaimId, ReplayWindow, Resolution, Row, State};
use crate::ledger::store::{Claimed, Settled, Settlement};
use crate::ledger::stored_answer::StoredAnswer;
use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

pub(super) struct Model {
    now: UnixTime,
    watermark: u64,
    rows: HashMap<PaymentHash, Row>,
    answers: HashMap<PaymentHash, StoredAnswer>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { now: START, watermark: 0, rows: HashMap::new(), answers: HashMap::new() }
    }

    fn settled(&mut self, hash: PaymentHash, next: Option<Row>) -> Settled {
        let Some(next) = next else { return Settled::Stale };
        let attempts = next.attempts;
        self.rows.insert(hash, next);
        Settled::Done { attempts }
    }
}

impl Subject for Model {
    fn set_now(&mut self, now: UnixTime) {
        self.now = now;
    }

    fn claim(&mut self, attempt: &Attempt) -> Claimed {
        let window = ReplayWindow { replay: REPLAY, watermark: self.watermark };
        let row = self.rows.get(&attempt.hash);
        let (claim, next) = state::claim(row, attempt, self.now, window);
        assert_eq!(next.is_some(), claim == Claim::Granted);
        let maybe_delivered = next.as_ref().is_some_and(|next| next.maybe_delivered);
        self.rows.extend(next.map(|next| (attempt.hash, next)));
        let answer = self.answers.get(&attempt.hash).filter(|_| claim == Claim::Replay).cloned();
        Claimed { claim, answer, maybe_delivered }
    }

    fn settle(&mut self, settlement: &Settlement) -> Settled {
        let Settlement { hash, claim, outcome, answer } = settlement;
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
        let unused = Row {
            service: String::new(),
            request: RequestDigest::NONE,
            valid_until,
            price_msat: 0,
            state: State::Revoked,
            claim: ClaimId::from_bytes([0; 16]),
            attempts: 0,
            maybe_delivered: false,
            changed: self.now,
        };
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
        let ended = self.now.minus(PRUNE_MARGIN).seconds();
        let stale = self.now.minus(REPLAY);
        self.rows.retain(|_, row| {
            let is_spent = matches!(row.state, State::Delivered | State::Revoked);
            let is_gone = is_spent && row.valid_until < ended && row.changed < stale;
            if is_gone {
                self.watermark = self.watermark.max(row.valid_until);
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
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.changed));
        rows
    }

    fn revoked(&mut self) -> Vec<PaymentHash> {
        self.list(Some(State::Revoked)).into_iter().map(|(hash, _)| hash).collect()
    }

    fn clear(&mut self) {
        *self = Self::new();
    }
}
