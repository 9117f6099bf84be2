//! What Farebox asks of whatever keeps the durable record.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::Accounts;
use super::clock::Moment;
use super::error::{LedgerError, Reply};
use super::messages::{MessageClaim, Messages, RefusedNumber};
use super::state::{Attempt, Claim, ClaimId, Marks, Resolution, Row, State};
use super::stored_answer::StoredAnswer;
use crate::keys::Fingerprint;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// The answer to a claim, with the stored answer if it is a replay.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// What the state machine said.
    pub claim: Claim,
    /// Only with `Claim::Replay`.
    pub answer: Option<StoredAnswer>,
    /// With `Claim::Granted`: an earlier try may have been served.
    pub maybe_delivered: bool,
}

/// How a try ended.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The ticket.
    pub hash: PaymentHash,
    /// The try.
    pub claim: ClaimId,
    /// What the upstream did.
    pub outcome: Outcome,
    /// The answer to keep; only with `Outcome::Delivered`.
    pub answer: Option<StoredAnswer>,
    /// To whom nothing is sold from now on; only with `Outcome::Refused`.
    pub refused: Option<RefusedNumber>,
    /// The message that wasn't sent, and so doesn't count; only with `Outcome::Refused`.
    pub uncounted: Option<Arc<MessageClaim>>,
}

/// Whether a settlement found its row as it left it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    /// Written.
    Done {
        /// Tries that certainly did nothing, with this one.
        attempts: u32,
    },
    /// Somebody else changed the row meanwhile (the operator, say); left as it is.
    Stale,
}

/// Tickets of one service in one state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// The service, by the name that they were sold under.
    pub service: String,
    /// Parked or free.
    pub state: State,
    /// How many.
    pub count: u64,
}

/// A ticket, as an account has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exported {
    /// The payment; of a use of a counted pass, a name that is made of it.
    pub hash: PaymentHash,
    /// The service, by the name that it was sold under.
    pub service: String,
    /// When it was minted.
    pub minted: UnixTime,
    /// What it cost, in msat. Of a counted pass the first use has it, the others cost nothing.
    pub price_msat: u64,
    /// How it stands; `None`: paid, and not handed in so far.
    pub state: Option<State>,
    /// The secret that signed it, where it is known.
    pub key: Option<Fingerprint>,
}

/// Times that the ledger acts by.
#[derive(Clone, Copy, Debug)]
pub struct LedgerTerms {
    /// How long a delivered answer is given back.
    pub replay: Duration,
}

/// Is told how long each durable commit took.
pub type CommitObserver = Box<dyn Fn(Duration) + Send + Sync>;

/// The durable record of tickets that were handed in.
///
/// Every method may be called again after an error. An error from `claim` means: not granted, and
/// if the row was written all the same, the ledger takes it back by itself.
pub trait LedgerStore: Accounts + Messages + Send + Sync {
    /// Decides and records in one durable step.
    fn claim(&self, attempt: Attempt) -> Reply<'_, Claimed>;

    /// Records how a try ended; durable once it returns.
    fn settle(&self, settlement: Settlement) -> Reply<'_, Settled>;

    /// Notes that a master secret mints tickets that are worth something until `needed_until`.
    fn note_secret(&self, secret: Fingerprint, needed_until: UnixTime) -> Reply<'_, ()>;

    /// The secrets that tickets may still be signed with.
    fn secrets_in_use(&self, now: UnixTime) -> Reply<'_, Vec<[u8; 16]>>;

    /// The newest tickets, of one state or of any.
    fn list(&self, state: Option<State>, limit: u32) -> Reply<'_, Vec<(PaymentHash, Row)>>;

    /// Per service: how many tickets are parked, and how many free, in the order of the services'
    /// names and then of the states' numbers.
    fn waiting(&self) -> Reply<'_, Vec<Waiting>>;

    /// The same for all states, which takes a look at each ticket.
    fn counts(&self) -> Reply<'_, Vec<Waiting>>;

    /// Tickets for an account, in the order of their hashes, from the one after `after` on: those
    /// that were handed in, and those that the node says are paid.
    fn export(&self, after: PaymentHash, limit: u32) -> Reply<'_, Vec<Exported>>;

    /// One ticket, if it was ever handed in.
    fn show(&self, hash: PaymentHash) -> Reply<'_, Option<Row>>;

    /// Ends a ticket's being parked by the try `claim`; `Stale` if it isn't.
    fn resolve(
        &self,
        hash: PaymentHash,
        claim: ClaimId,
        resolution: Resolution,
    ) -> Reply<'_, Settled>;

    /// Takes a ticket back for good. `valid_until` (Unix seconds) is for one that was never handed
    /// in: until when to remember it.
    fn revoke(&self, hash: PaymentHash, valid_until: u64) -> Reply<'_, ()>;

    /// What a ticket was handed in for, sealed, as long as nobody knows what became of it.
    fn sealed(&self, hash: PaymentHash) -> Reply<'_, Option<Vec<u8>>>;

    /// Frees what a restore parked, of tickets minted before a time, and takes those that come in
    /// later; gives how many were freed.
    fn release_restored(&self, minted_before: UnixTime) -> Reply<'_, u64>;

    /// All tickets that were taken back.
    fn revoked(&self) -> Reply<'_, Vec<PaymentHash>>;

    /// Looks after itself for as long as this is polled: it never ends.
    fn run(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Writes what waits and leaves everything in its place: nothing can be asked of it any more.
    fn shut(&self) -> Reply<'_, ()>;

    /// The time by both clocks.
    fn now(&self) -> Moment;

    /// What it knows of itself; `None` if it was never reached.
    fn life(&self) -> Option<Marks>;

    /// `Err` while it is known to be down.
    fn health(&self) -> Result<(), LedgerError>;
}
