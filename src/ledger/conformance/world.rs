//! A world of several instances in which anything may happen, in any order.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::events::{Event, With, events};
use super::model::Model;
use super::tickets::{HERE, LIFETIME, REMEMBERED, REPEATABLE, attempt, settlement};
use super::{START, Subject, hash};
use crate::era::Era;
use crate::ledger::clock::{self, Moment};
use crate::ledger::state::{Attempt, Claim, ClaimId, RejectReason, Resolution, State};
use crate::ledger::store::{Settled, Settlement};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// What an instance knows of its try.
#[derive(Clone, Copy)]
struct Try {
    ticket: u8,
    claim: ClaimId,
    /// Whether it may still send: not once its lease has run out.
    may_send: bool,
    sent: Option<Outcome>,
    place: Place,
    granted_at: Moment,
}

/// What the upstream, and so the operator, knows of a ticket's request.
#[derive(Clone, Default)]
struct Truth {
    /// Where it may have been served, and when, as far as the two clocks can tell.
    maybe_delivered: Vec<(Place, Moment)>,
    delivered: bool,
    revoked: bool,
}

impl Truth {
    /// Whether one more request is thrown away by the upstream, should it have come before.
    fn may_send(&self, ticket: u8, place: Place, now: Moment) -> bool {
        let is_known =
            |(at, when): &(Place, Moment)| *at == place && now.at_most_since(when) <= REMEMBERED;
        self.maybe_delivered.is_empty()
            || ticket == REPEATABLE && self.maybe_delivered.iter().all(is_known)
    }
}

struct World<'a> {
    subject: &'a mut dyn Subject,
    model: Model,
    /// By a clock that is never wrong.
    now: UnixTime,
    /// What the ledger's clock shows, and by how much the wall clock is ahead.
    ledger: UnixTime,
    ahead_s: i64,
    place: Place,
    has_copy: bool,
    /// The life that the tickets were minted in.
    era: Era,
    instances: [Option<Try>; 3],
    truth: HashMap<u8, Truth>,
    next_claim: u8,
}

/// Promises 1 to 3: whatever happens in whatever order, no ticket is sent twice, none is lost, none
/// gets another's answer; and a store decides each time what the state machine decides.
pub(super) fn never_two_sends_never_a_lost_ticket_never_a_wrong_answer<const CASES: u32>(
    subject: &mut (impl Subject + 'static),
) {
    // `PROPTEST_CASES` asks for more.
    let cases = Config::default().cases.max(CASES);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let subject = std::cell::RefCell::new(subject);
    let checked = TestRunner::new(config).run(&prop::collection::vec(events(), 1..60), |events| {
        let mut subject = subject.borrow_mut();
        subject.clear();
        let subject: &mut dyn Subject = &mut **subject;
        let era = subject.marks().era;
        let mut model = Model::new();
        model.marks = subject.marks();
        let mut world = World {
            subject,
            model,
            now: START,
            ledger: START,
            ahead_s: 0,
            place: HERE,
            has_copy: false,
            era,
            instances: [None; 3],
            truth: HashMap::new(),
            next_claim: 1,
        };
        events.into_iter().try_for_each(|event| world.happen(event))
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

impl World<'_> {
    fn happen(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Claim { instance, ticket, with } => self.claim(instance, ticket, with)?,
            Event::Send { instance, outcome } => self.send(instance, outcome)?,
            Event::Settle { instance, twice } => {
                if let Some(Try { ticket, claim, sent: Some(outcome), .. }) =
                    self.instances[instance]
                {
                    for _ in 0..=usize::from(twice) {
                        self.settle(&settlement(ticket, claim, outcome))?;
                    }
                    self.instances[instance] = None;
                }
            }
            Event::SettleByNobody { ticket, outcome } => {
                let settled = settlement(ticket, ClaimId::from_bytes([255; 16]), outcome);
                prop_assert_eq!(self.settle(&settled)?, Settled::Stale);
            }
            Event::Withdraw { instance } => {
                if let Some(Try { ticket, claim, sent: None, .. }) = self.instances[instance] {
                    self.subject.withdraw(hash(ticket), claim);
                    self.model.withdraw(hash(ticket), claim);
                    self.instances[instance] = None;
                }
            }
            Event::Die { instance } => self.instances[instance] = None,
            event => self.happen_to_all(event)?,
        }
        self.agree()
    }

    /// What is no try of a single instance.
    fn happen_to_all(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::ParkAll => {
                self.subject.park_orphans();
                self.model.park_orphans();
                self.instances.iter_mut().flatten().for_each(|try_| try_.may_send = false);
            }
            Event::Resolve { ticket, of_this_try } => self.resolve(ticket, of_this_try)?,
            Event::Revoke { ticket } => {
                let valid_until = START.plus(LIFETIME).seconds();
                self.subject.revoke(hash(ticket), valid_until);
                self.model.revoke(hash(ticket), valid_until);
                self.truth.entry(ticket).or_default().revoked = true;
            }
            Event::Prune => {
                self.subject.prune();
                self.model.prune();
            }
            Event::Wait { seconds } => {
                let seconds = Duration::from_secs(seconds);
                self.now = self.now.plus(seconds);
                self.ledger = clock::follow(self.ledger, seconds, self.wall());
                self.set_clocks();
            }
            Event::SetWall { ahead_s } => {
                self.ahead_s = ahead_s;
                self.set_clocks();
            }
            Event::Move { to } => self.place = to,
            Event::BackUp => {
                self.subject.back_up();
                self.model.back_up();
                self.has_copy = true;
            }
            Event::PutBack => self.put_back()?,
            Event::ReleaseRestored => self.release_restored()?,
            Event::Claim { .. }
            | Event::Send { .. }
            | Event::Settle { .. }
            | Event::SettleByNobody { .. }
            | Event::Withdraw { .. }
            | Event::Die { .. } => {}
        }
        Ok(())
    }

    fn claim(&mut self, instance: usize, ticket: u8, with: With) -> Result<(), TestCaseError> {
        let (digest, asked) = with.asked();
        let attempt = Attempt {
            asked,
            request: RequestDigest::from_bytes(digest),
            era: self.era,
            place: Some(self.place),
            ..attempt(ticket, self.next_claim)
        };
        self.next_claim = self.next_claim.wrapping_add(1).max(1);
        let before = self.model.row(hash(ticket));
        let had_row = before.is_some();
        let is_rebound = before.as_ref().is_some_and(|row| row.rebound.is_some());
        let is_own = with.is_own(is_rebound);
        if with == With::AnotherDigest && !had_row {
            return Ok(());
        }
        let said = self.subject.claim(&attempt);
        let expected = self.model.claim(&attempt);
        prop_assert_eq!(said.claim, expected.claim);
        prop_assert_eq!(said.maybe_delivered, expected.maybe_delivered);
        // A store may forget an answer earlier than its row.
        prop_assert!(said.answer.is_none() || said.answer == expected.answer, "whose answer?");
        let truth = self.truth.get(&ticket).cloned().unwrap_or_default();
        match said.claim {
            Claim::Granted => {
                let holds =
                    |try_: &Try| try_.ticket == ticket && try_.may_send && try_.sent.is_none();
                let others = self.instances.iter().flatten().filter(|try_| holds(try_)).count();
                prop_assert_eq!(others, 0, "two hold it");
                if !is_own {
                    let was_refused = before.is_some_and(|row| row.state == State::Refused);
                    let with_another = with == With::Instead { is_dearer: false };
                    prop_assert!(with_another && was_refused && !is_rebound, "whose request?");
                }
                prop_assert!(truth.may_send(ticket, self.place, self.moment()), "sent twice");
                self.instances[instance] = Some(Try {
                    ticket,
                    claim: attempt.claim,
                    may_send: true,
                    sent: None,
                    place: self.place,
                    granted_at: self.moment(),
                });
            }
            Claim::Replay => {
                prop_assert!(truth.delivered && is_own);
            }
            // Whatever the wall clock says.
            Claim::Rejected(RejectReason::Expired) => {
                prop_assert!(self.ledger >= START.plus(LIFETIME), "worthless too early");
            }
            // With its own request a ticket that has a row is lost by delivery only.
            Claim::Rejected(_) if is_own && had_row => {
                prop_assert!(truth.delivered || truth.revoked, "lost");
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, instance: usize, outcome: Outcome) -> Result<(), TestCaseError> {
        if let Some(try_ @ Try { may_send: true, sent: None, .. }) = &mut self.instances[instance] {
            try_.sent = Some(outcome);
            let truth = self.truth.entry(try_.ticket).or_default();
            // Claimed a while ago, it is sent now; its lease bounds that while.
            let since = try_.granted_at;
            prop_assert!(truth.may_send(try_.ticket, try_.place, since), "sent twice");
            if !matches!(outcome, Outcome::NotSent | Outcome::Refused) {
                truth.maybe_delivered.push((try_.place, since));
            }
            truth.delivered |= outcome == Outcome::Delivered;
        }
        Ok(())
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<Settled, TestCaseError> {
        let settled = self.subject.settle(settlement);
        prop_assert_eq!(settled, self.model.settle(settlement));
        Ok(settled)
    }

    fn resolve(&mut self, ticket: u8, of_this_try: bool) -> Result<(), TestCaseError> {
        let truth = self.truth.entry(ticket).or_default();
        let resolution = match truth.maybe_delivered.is_empty() {
            true => Resolution::Release,
            false => Resolution::Delivered,
        };
        let row = self.model.row(hash(ticket));
        let claim = match (row, of_this_try) {
            (Some(row), true) => row.claim,
            _ => ClaimId::from_bytes([254; 16]),
        };
        let settled = self.subject.resolve(hash(ticket), claim, resolution);
        prop_assert_eq!(settled, self.model.resolve(hash(ticket), claim, resolution));
        truth.delivered |= settled != Settled::Stale && resolution == Resolution::Delivered;
        Ok(())
    }

    fn wall(&self) -> UnixTime {
        UnixTime::from_seconds(self.now.seconds().saturating_add_signed(self.ahead_s))
    }

    fn moment(&self) -> Moment {
        Moment { wall: self.wall(), ledger: self.ledger }
    }

    fn set_clocks(&mut self) {
        let now = self.moment();
        self.subject.set_now(now);
        self.model.set_now(now);
    }

    fn put_back(&mut self) -> Result<(), TestCaseError> {
        if !self.has_copy {
            return Ok(());
        }
        self.instances = [None; 3];
        prop_assert_eq!(self.subject.put_back(), self.model.put_back());
        self.model.marks.era = self.subject.marks().era;
        prop_assert_eq!(self.subject.marks(), self.model.marks);
        // Revocations since the copy are lost, and said to be.
        for (ticket, truth) in &mut self.truth {
            let row = self.model.row(hash(*ticket));
            truth.revoked = row.is_some_and(|row| row.state == State::Revoked);
        }
        Ok(())
    }

    fn release_restored(&mut self) -> Result<(), TestCaseError> {
        let may_have_been_sent = (1..4).any(|ticket| {
            let is_open = self.model.row(hash(ticket)).is_none_or(|row| row.since_restore);
            is_open && self.truth.get(&ticket).is_some_and(|t| !t.maybe_delivered.is_empty())
        });
        if may_have_been_sent || self.model.marks.era == self.era {
            return Ok(());
        }
        let before = START.plus(LIFETIME);
        let released = self.subject.release_restored(before);
        prop_assert_eq!(released, self.model.release_restored(before));
        Ok(())
    }

    /// Whether the rows of all tickets are what the state machine has made of them.
    fn agree(&mut self) -> Result<(), TestCaseError> {
        for ticket in 1..4 {
            let (stored, expected) = (self.subject.row(hash(ticket)), self.model.row(hash(ticket)));
            prop_assert_eq!(stored, expected, "ticket {}", ticket);
        }
        Ok(())
    }
}
