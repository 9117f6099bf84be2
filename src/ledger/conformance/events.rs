//! What may happen in the world.

use proptest::prelude::*;

use super::tickets::{ELSEWHERE, HERE};
use crate::ledger::state::{Asked, Rebound};
use crate::outcome::Outcome;
use crate::place::Place;

/// Something that happens in a world of three instances, which may stand still, die, be thought
/// dead, at any moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
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
    /// Time goes by.
    Wait {
        seconds: u64,
    },
    /// The wall clock is set wrong, or right again.
    SetWall {
        ahead_s: i64,
    },
    /// The operator moves the backend, or back again.
    Move {
        to: Place,
    },
    BackUp,
    /// All instances are stopped, and the copy is put back.
    PutBack,
    /// The operator, who knows that nothing was sent with the tickets that the restore has parked,
    /// says so.
    ReleaseRestored,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum With {
    ItsOwnRequest,
    AnotherRequest,
    /// As if it had been bought for another request than the row says.
    AnotherDigest,
    /// Another one, which is to take the place of a refused one; at the price, or dearer.
    Instead {
        is_dearer: bool,
    },
    /// The one that may have taken its place.
    Rebound,
}

impl With {
    /// The request's digest, and what it is to the ticket.
    pub(super) fn asked(self) -> ([u8; 32], Asked) {
        match self {
            Self::ItsOwnRequest => ([7; 32], Asked::Bought),
            Self::AnotherRequest => ([7; 32], Asked::Other),
            Self::AnotherDigest => ([8; 32], Asked::Bought),
            Self::Instead { is_dearer } => {
                let price_msat = 100_000 + u64::from(is_dearer);
                ([6; 32], Asked::Instead { price_msat, rebound: Rebound { segments: None } })
            }
            Self::Rebound => ([6; 32], Asked::Rebound),
        }
    }

    /// Whether it is the one that counts.
    pub(super) fn is_own(self, is_rebound: bool) -> bool {
        match self {
            Self::ItsOwnRequest => !is_rebound,
            Self::Rebound | Self::Instead { .. } => is_rebound,
            Self::AnotherRequest | Self::AnotherDigest => false,
        }
    }
}

pub(super) fn events() -> impl Strategy<Value = Event> {
    let instance = || 0..3_usize;
    let ticket = || 1..4_u8;
    let outcome = || {
        prop_oneof![
            3 => Just(Outcome::Delivered), 2 => Just(Outcome::NotSent), 2 => Just(Outcome::Unknown),
            2 => Just(Outcome::Refused)
        ]
    };
    let with = prop_oneof![
        8 => Just(With::ItsOwnRequest), 1 => Just(With::AnotherRequest),
        1 => Just(With::AnotherDigest),
        3 => prop::bool::weighted(0.1).prop_map(|is_dearer| With::Instead { is_dearer }),
        3 => Just(With::Rebound)
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
        3 => (0..100_000_u64).prop_map(|seconds| Event::Wait { seconds }),
        1 => (0..4_000_000_u64).prop_map(|seconds| Event::Wait { seconds }),
        1 => (-4_000_000..4_000_000_i64).prop_map(|ahead_s| Event::SetWall { ahead_s }),
        1 => Just(Event::SetWall { ahead_s: 0 }),
        1 => prop_oneof![Just(HERE), Just(ELSEWHERE)].prop_map(|to| Event::Move { to }),
        1 => Just(Event::BackUp),
        1 => Just(Event::PutBack),
        1 => Just(Event::ReleaseRestored),
    ]
}
