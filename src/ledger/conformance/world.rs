//! A world of several instances in which anything may happen, in any order.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::model::Model;
use super::tickets::{LIFETIME, REPEATABLE, attempt, settlement};
use super::{START, Subject, hash};
use crate::ledger::state::{Attempt, Claim, ClaimId, Resolution};
use crate::ledger::store::{Settled, Settlement};
use crate::outcome::Outcome;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// Something that happens in a world of three instances, which may stand still, die, be thought
/// dead, at any moment.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// An instance hands a ticket in, with its own request, another ticket's, or another one.
    Claim {
        instance: usize,
        ticket: u8,
        with: With,
    },
    /// An instance that holds a ticket asks the upstream, which does this.
    Send {
        instance: usize,
        outcome: Outcome,
    },
    /// An instance says how its try ended; maybe again, since the first time went unconfirmed.
    Settle {
        instance: usize,
        twice: bool,
    },
    /// Somebody settles who never held the ticket.
    SettleByNobody {
        ticket: u8,
        outcome: Outcome,
    },
    /// An instance takes back a claim by which it sent nothing.
    Withdraw {
        instance: usize,
    },
    /// An instance dies.
    Die {
        instance: usize,
    },
    /// All claims are parked: by a start after a crash, or because their leases have run out.
    ParkAll,
    /// The operator, who knows what the upstream did, says so.
    Resolve {
        ticket: u8,
        of_this_try: bool,
    },
    Revoke {
        ticket: u8,
    },
    Prune,
    Wait {
        seconds: i64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum With {
    ItsOwnRequest,
    AnotherRequest,
    /// As if it had been bought for another request than the row says.
    AnotherDigest,
}

fn events() -> impl Strategy<Value = Event> {
    let instance = || 0..3_usize;
    let ticket = || 1..4_u8;
    let outcome = || {
        prop_oneof![
            3 => Just(Outcome::Delivered), 2 => Just(Outcome::NotSent), 2 => Just(Outcome::Unknown)
        ]
    };
    let with = prop_oneof![
        8 => Just(With::ItsOwnRequest), 1 => Just(With::AnotherRequest),
        1 => Just(With::AnotherDigest)
    ];
    let claim = (instance(), ticket(), with);
    prop_oneof![
        8 => claim.prop_map(|(instance, ticket, with)| Event::Claim { instance, ticket, with }),
        6 => (instance(), outcome())
            .prop_map(|(instance, outcome)| Event::Send { instance, outcome }),
        6 => (instance(), any::<bool>())
            .prop_map(|(instance, twice)| Event::Settle { instance, twice }),
        1 => (ticket(), outcome())
            .prop_map(|(ticket, outcome)| Event::SettleByNobody { ticket, outcome }),
        1 => instance().prop_map(|instance| Event::Withdraw { instance }),
        1 => instance().prop_map(|instance| Event::Die { instance }),
        1 => Just(Event::ParkAll),
        2 => (ticket(), prop::bool::weighted(0.8))
            .prop_map(|(ticket, of_this_try)| Event::Resolve { ticket, of_this_try }),
        1 => ticket().prop_map(|ticket| Event::Revoke { ticket }),
        1 => Just(Event::Prune),
        3 => (-5_000..100_000_i64).prop_map(|seconds| Event::Wait { seconds }),
        1 => (-40_000..4_000_000_i64).prop_map(|seconds| Event::Wait { seconds }),
    ]
}

/// What an instance knows of its try.
#[derive(Clone, Copy)]
struct Try {
    ticket: u8,
    claim: ClaimId,
    /// Whether it may still send: not once its lease has run out.
    may_send: bool,
    sent: Option<Outcome>,
}

/// What the upstream, and so the operator, knows of a ticket's request.
#[derive(Clone, Copy, Default)]
struct Truth {
    maybe_delivered: u32,
    delivered: bool,
    revoked: bool,
}

struct World<'a> {
    subject: &'a mut dyn Subject,
    model: Model,
    now: UnixTime,
    instances: [Option<Try>; 3],
    truth: HashMap<u8, Truth>,
    next_claim: u8,
}

/// Promises 1 to 3: whatever happens in whatever order, no ticket is sent twice, none is lost, none
/// gets another's answer; and a store decides each time what the state machine decides.
pub(super) fn never_two_sends_never_a_lost_ticket_never_a_wrong_answer<const CASES: u32>(
    subject: &mut (impl Subject + 'static),
) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let subject = std::cell::RefCell::new(subject);
    let checked = TestRunner::new(config).run(&prop::collection::vec(events(), 1..60), |events| {
        let mut subject = subject.borrow_mut();
        subject.clear();
        let subject: &mut dyn Subject = &mut **subject;
        let mut world = World {
            subject,
            model: Model::new(),
            now: START,
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
                let now = self.now.seconds().saturating_add_signed(seconds);
                self.now = UnixTime::from_seconds(now);
                self.subject.set_now(self.now);
                self.model.set_now(self.now);
            }
        }
        self.agree()
    }

    fn claim(&mut self, instance: usize, ticket: u8, with: With) -> Result<(), TestCaseError> {
        let digest = if with == With::AnotherDigest { [8; 32] } else { [7; 32] };
        let attempt = Attempt {
            own_request: with != With::AnotherRequest,
            request: RequestDigest::from_bytes(digest),
            ..attempt(ticket, self.next_claim)
        };
        self.next_claim = self.next_claim.wrapping_add(1).max(1);
        let had_row = self.model.row(hash(ticket)).is_some();
        if with == With::AnotherDigest && !had_row {
            return Ok(());
        }
        let said = self.subject.claim(&attempt);
        let expected = self.model.claim(&attempt);
        prop_assert_eq!(said.claim, expected.claim);
        prop_assert_eq!(said.maybe_delivered, expected.maybe_delivered);
        // A store may forget an answer earlier than its row.
        prop_assert!(said.answer.is_none() || said.answer == expected.answer, "whose answer?");
        let truth = self.truth.get(&ticket).copied().unwrap_or_default();
        match said.claim {
            Claim::Granted => {
                let holds =
                    |try_: &Try| try_.ticket == ticket && try_.may_send && try_.sent.is_none();
                let others = self.instances.iter().flatten().filter(|try_| holds(try_)).count();
                prop_assert_eq!((others, with == With::AnotherRequest), (0, false), "two hold it");
                prop_assert!(truth.maybe_delivered == 0 || ticket == REPEATABLE, "sent twice");
                let (claim, may_send) = (attempt.claim, true);
                self.instances[instance] = Some(Try { ticket, claim, may_send, sent: None });
            }
            Claim::Replay => {
                prop_assert!(truth.delivered && with == With::ItsOwnRequest);
            }
            // With its own request a ticket that has a row is lost by delivery only.
            Claim::Rejected(_) if with == With::ItsOwnRequest && had_row => {
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
            truth.maybe_delivered += u32::from(outcome != Outcome::NotSent);
            truth.delivered |= outcome == Outcome::Delivered;
            let once = truth.maybe_delivered <= 1 || try_.ticket == REPEATABLE;
            prop_assert!(once, "sent twice");
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
        let resolution = match truth.maybe_delivered {
            0 => Resolution::Release,
            _ => Resolution::Delivered,
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

    /// Whether the rows of all tickets are what the state machine has made of them.
    fn agree(&mut self) -> Result<(), TestCaseError> {
        for ticket in 1..4 {
            let (stored, expected) = (self.subject.row(hash(ticket)), self.model.row(hash(ticket)));
            prop_assert_eq!(stored, expected, "ticket {}", ticket);
        }
        Ok(())
    }
}
