//! The states that a ticket's holder is told.

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
    /// It is worth nothing any more.
    Expired,
    /// The operator took it back.
    Revoked,
}

impl TicketStatus {
    const ALL: [Self; 7] = [
        Self::Unpaid,
        Self::Paid,
        Self::Sending,
        Self::Delivered,
        Self::Parked,
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
        matches!(self, Self::Delivered | Self::Expired | Self::Revoked)
    }
}
