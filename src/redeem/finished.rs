//! How a redemption ended, and what that is to whoever waits for it.

use std::time::Duration;

use super::stored_answer::UpstreamRefusal;
use crate::answer::problem::Problem;
use crate::answer::stored::{Overflow, delivered, replayed};
use crate::answer::{Answer, order_problems, problems};
use crate::code::Code;
use crate::ledger::messages::NoRoom;
use crate::ledger::state::{Claim, RejectReason};
use crate::ledger::store::Claimed;
use crate::ledger::stored_answer::StoredAnswer;
use crate::ticket::Rejected;

/// How a redemption ended, for everybody who waits for it.
pub(super) struct Finished {
    pub(super) ending: Ending,
    /// How long the upstream took.
    pub(super) upstream: Duration,
    /// Whether this try held the ticket; else `ending` is what an earlier one left.
    pub(super) granted: bool,
}

impl Finished {
    /// Of a try that never held the ticket, and so never asked the upstream.
    pub(super) fn not_granted(ending: Ending) -> Self {
        Self { ending, upstream: Duration::ZERO, granted: false }
    }
}

/// The end itself.
pub(super) enum Ending {
    /// Delivered by this very redemption.
    Delivered(StoredAnswer),
    /// Delivered before; `None` if the answer isn't kept any more.
    Replay(Option<StoredAnswer>),
    /// Certainly nothing happened.
    NotSent(NotSent),
    /// Certainly nothing happened, and with this request nothing ever will.
    Refused(Option<UpstreamRefusal>, MayChange),
    /// Nobody knows.
    Parked,
    /// Somebody else holds it.
    Busy,
    /// Tried again too soon.
    RetryLater(Duration),
    /// So many messages were sent.
    NoRoom(NoRoom),
    /// It buys nothing any more.
    Rejected(Code),
    /// Unused, and bought for another request.
    OtherRequest,
    /// The claim could not be made durable; nothing was sent.
    LedgerDown,
}

impl Ending {
    /// Of a claim that grants nothing.
    pub(super) fn of_refused(claimed: Claimed) -> Self {
        match claimed.claim {
            Claim::Replay => Self::Replay(claimed.answer),
            // A grant that nobody can use; not reached by a caller that asks for one.
            Claim::Granted | Claim::Busy => Self::Busy,
            Claim::Parked => Self::Parked,
            Claim::Refused { may_change: true } => Self::Refused(None, MayChange::Once),
            Claim::Refused { may_change: false } => Self::Refused(None, MayChange::No),
            Claim::NoRoom(full) => Self::NoRoom(full),
            Claim::RetryLater { retry_after } => Self::RetryLater(retry_after),
            Claim::OtherRequest => Self::OtherRequest,
            Claim::Rejected(why) => Self::Rejected(match why {
                RejectReason::Expired => Code::TicketExpired,
                RejectReason::UsedForAnother => Code::TicketUsed,
                RejectReason::Spent => Code::TicketSpent,
                RejectReason::Revoked => Code::TicketRevoked,
            }),
        }
    }
}

/// Nothing happened.
pub(super) struct NotSent {
    /// What the upstream said, if it answered.
    pub(super) refusal: Option<UpstreamRefusal>,
    /// When the ticket may be handed in again.
    pub(super) retry_after: Duration,
}

impl NotSent {
    pub(super) fn problem(&self) -> Problem {
        match &self.refusal {
            None => problems::upstream_unreachable(self.retry_after),
            Some(refusal) => problems::upstream_refused(
                refusal.status,
                refusal.words.as_deref(),
                // Before either is over, another try does nothing.
                self.retry_after.max(refusal.retry_after.unwrap_or_default()),
            ),
        }
    }
}

/// Whether another request may be handed in with what paid for a refused one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MayChange {
    /// A single-use ticket, whose first request it was.
    Once,
    /// A pass.
    Always,
    /// It took the place of a refused one already.
    No,
}

/// What the payer of a refused request is told.
pub(super) fn refused_problem(refusal: Option<&UpstreamRefusal>, may_change: MayChange) -> Problem {
    let problem = match may_change {
        MayChange::Once => order_problems::order_refused(),
        MayChange::Always => order_problems::order_refused_of_pass(),
        MayChange::No => order_problems::order_refused_again(),
    };
    match refusal {
        Some(refusal) => problem.upstream_said(refusal.status, refusal.words.as_deref()),
        None => problem,
    }
}

/// What came of a ticket or pass.
pub enum Redeemed {
    /// An answer for its holder.
    Answer(Answer),
    /// It buys nothing here: offer a new one, and say why.
    Rejected(Rejected),
}

impl Redeemed {
    /// It buys nothing here.
    pub(super) fn rejected(why: Code) -> Self {
        Self::Rejected(Rejected::because(why))
    }
}

/// Whose try an answer is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WhoseTry {
    /// This request's own.
    Own,
    /// Another request's, which this one waited for.
    Another,
}

/// From how it ended to what is said.
pub(super) fn answer(
    ending: &Ending,
    whose: WhoseTry,
    overflow: Option<Overflow>,
) -> Result<Redeemed, Problem> {
    let answer = match ending {
        Ending::Delivered(answer) if whose == WhoseTry::Own => delivered(answer, overflow),
        Ending::Delivered(answer) | Ending::Replay(Some(answer)) => replayed(answer),
        Ending::Replay(None) => {
            replayed(&StoredAnswer { status: 200, headers: Vec::new(), body: None })
        }
        Ending::NotSent(not_sent) => Err(not_sent.problem()),
        Ending::Refused(refusal, may_change) => Err(refused_problem(refusal.as_ref(), *may_change)),
        Ending::Parked => Err(problems::parked()),
        Ending::Busy => Err(problems::in_flight()),
        Ending::RetryLater(pause) => Err(problems::retry_later(*pause)),
        Ending::NoRoom(full) => Err(order_problems::no_room_yet(*full)),
        Ending::OtherRequest => Err(problems::for_another_request()),
        Ending::LedgerDown => Err(problems::ledger_down()),
        Ending::Rejected(why) => return Ok(Redeemed::rejected(*why)),
    };
    answer.map(Redeemed::Answer)
}
