//! The states that a ticket's holder is told.

use crate::ledger::messages::{Delivery, DeliveryState};

/// How a ticket stands, and how far its message has come where its backend reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    pub(super) status: TicketStatus,
    pub(super) delivery: Option<Delivery>,
}

impl Standing {
    /// Of what is known of a message, only what was reported is told before its ticket is
    /// delivered.
    pub(super) fn new(status: TicketStatus, delivery: Option<Delivery>) -> Self {
        let is_told = |delivery: &Delivery| {
            status == TicketStatus::Delivered || delivery.state != DeliveryState::Accepted
        };
        Self { status, delivery: delivery.filter(is_told) }
    }

    /// Whether nothing comes after it by itself. What failed may arrive after all.
    pub(super) fn is_final(&self) -> bool {
        let is_there =
            self.delivery.is_none_or(|delivery| delivery.state == DeliveryState::Delivered);
        self.status.is_final() && is_there
    }
}

/// How a ticket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TicketStatus {
    /// Its invoice can be paid, and isn't.
    Unpaid,
    /// It can be handed in.
    Paid,
    /// It is being redeemed.
    Sending,
    /// Its request was served.
    Delivered,
    /// Nobody knows whether its request was served.
    Parked,
    /// Its request will never be served.
    Refused {
        /// Whether it can be handed in with another one.
        may_change: bool,
    },
    /// It is worth nothing any more.
    Expired,
    /// The operator took it back.
    Revoked,
}

impl TicketStatus {
    const ALL: [Self; 9] = [
        Self::Unpaid,
        Self::Paid,
        Self::Sending,
        Self::Delivered,
        Self::Parked,
        Self::Refused { may_change: true },
        Self::Refused { may_change: false },
        Self::Expired,
        Self::Revoked,
    ];

    /// The word that clients read.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Paid => "paid",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Refused { .. } => "refused",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The state of a word.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == text)
    }

    /// Whether nothing comes after it by itself.
    pub(super) fn is_final(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::Expired | Self::Revoked | Self::Refused { may_change: false }
        )
    }
}
