//! What is kept of text messages beside their tickets: how many went to a number and in a day,
//! numbers to which none can go, and what became of them on their way to the phone. Nothing here
//! says what becomes of a ticket's money.

use super::clock::Moment;
use std::time::Duration;

use super::accounts::DAY_S;
use super::error::Reply;
use crate::keys::Fingerprint;
use crate::number_hash::NumberHash;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// The message that a claim is for.
#[derive(Clone, Debug)]
pub struct MessageClaim {
    /// Whom it goes to, and what it is counted in.
    pub room: RoomQuery,
    /// The country's prefix, such as `+44`, for metrics.
    pub country: String,
    /// By which its backend's reports name it, if they do.
    pub name: Option<ReportName>,
    /// How long it is remembered.
    pub kept_for: Duration,
}

/// What limits apply to a message.
#[derive(Clone, Debug, Default)]
pub struct RoomQuery {
    /// Its number, under every secret and every name of its service. The first one is kept.
    pub numbers: Vec<NumberHash>,
    /// How many messages one number gets.
    pub per_number: Option<PerNumber>,
    /// How many messages go in a day.
    pub per_day: Vec<PerDay>,
}

/// Most messages to one number in a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PerNumber {
    /// So many.
    pub max: u32,
    /// In any such time.
    pub within: Duration,
}

/// Most messages of one kind in a day, which begins at midnight UTC by the ledger's clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PerDay {
    /// Names what is counted: a service, or a service and a prefix.
    pub scope: String,
    /// So many.
    pub max: u64,
}

/// Which limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// That of one number.
    Number,
    /// That of a day.
    Day,
}

/// There is no room for a message now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom {
    /// Which limit is reached.
    pub limit: Limit,
    /// When there may be room again. While the ledger's clock is ahead it waits for the other one,
    /// and so does what is counted by it.
    pub retry_after: Duration,
}

impl PerNumber {
    /// Whether there is no room at `now`; `latest` is when the `max`-last message to the number was
    /// claimed.
    pub(super) fn no_room(&self, latest: UnixTime, now: Moment) -> Option<NoRoom> {
        let next = latest.plus(self.within);
        (next > now.ledger).then(|| NoRoom { limit: Limit::Number, retry_after: now.until(next) })
    }
}

/// The day of a time, in days since 1970.
pub(super) fn day(time: UnixTime) -> u64 {
    time.seconds() / DAY_S
}

/// The day is full.
pub(super) fn day_is_full(now: Moment) -> NoRoom {
    let next = UnixTime::from_seconds((day(now.ledger) + 1) * DAY_S);
    NoRoom { limit: Limit::Day, retry_after: now.until(next) }
}

/// What stands in the way of a message before it is sold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Until when nothing is sold to its number, by the ledger's clock.
    pub refused_until: Option<UnixTime>,
    /// Which limit is reached.
    pub no_room: Option<NoRoom>,
}

/// By which a backend's reports name a message: 16 bytes that tell nothing of its ticket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReportName([u8; 16]);

impl ReportName {
    /// From 32 hex digits.
    pub fn read(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// How far a message has come. A later one of these takes the place of an earlier, in whatever
/// order the reports come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DeliveryState {
    /// The backend has it.
    Accepted,
    /// It is on its way.
    Sent,
    /// It won't arrive.
    Failed,
    /// It is on the phone.
    Delivered,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Sent, Self::Failed, Self::Delivered];

    /// The number by which ledgers store it.
    pub const fn number(self) -> i16 {
        match self {
            Self::Accepted => 0,
            Self::Sent => 1,
            Self::Failed => 2,
            Self::Delivered => 3,
        }
    }

    /// The state of a number.
    pub fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The word that payers and operators read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
        }
    }
}

/// How far a ticket's message has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// So far.
    pub state: DeliveryState,
    /// When that was reported; of one that was not reported on, when it was claimed.
    pub at: UnixTime,
}

/// What a backend says of a message.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of which.
    pub name: ReportName,
    /// How far it has come.
    pub state: DeliveryState,
    /// All names of the backend's service, by one of which the message was sold: nobody reports on
    /// those of another one.
    pub services: Vec<String>,
}

/// What a report has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reported {
    /// The message's ticket.
    pub ticket: PaymentHash,
    /// The country's prefix.
    pub country: String,
    /// Whether it was news.
    pub is_news: bool,
}

/// A number that nothing is sold to for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusedNumber {
    /// Which.
    pub number: NumberHash,
    /// For so long from now on, by the ledger's clock.
    pub lasts: Duration,
    /// Who said so.
    pub by: RefusedBy,
    /// The secret that its hash is made with, which is needed as long.
    pub key: Fingerprint,
}

/// Who said that a number gets no messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusedBy {
    /// The backend, or the phone itself, which may want them again.
    Others,
    /// The operator.
    Operator,
}

impl RefusedBy {
    /// As ledgers store it.
    pub const fn is_operator(self) -> bool {
        matches!(self, Self::Operator)
    }
}

/// Which refusals end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowed {
    /// Those of the backend and of the phone: the phone wants messages again.
    ByPhone,
    /// All: the operator says so.
    ByOperator,
}

/// What Farebox asks of whatever keeps messages.
pub trait Messages: Send + Sync {
    /// What stands in the way of a message that isn't sold yet.
    fn standing(&self, asked: RoomQuery) -> Reply<'_, Standing>;

    /// A backend reports on a message; `None` if there is none of that name and service, or no
    /// more.
    fn report(&self, report: Report) -> Reply<'_, Option<Reported>>;

    /// How far a ticket's message has come; `None` if that isn't known (any more).
    fn delivery(&self, ticket: PaymentHash) -> Reply<'_, Option<Delivery>>;

    /// Nothing is sold to a number from now on.
    fn refuse_number(&self, refused: RefusedNumber) -> Reply<'_, ()>;

    /// Messages are sold to these again, unless somebody else refused them; says whether anybody
    /// had.
    fn allow_numbers(&self, numbers: Vec<NumberHash>, allowed: Allowed) -> Reply<'_, bool>;
}
