//! What was asked for, paid and redeemed, per service and day. It stands beside the way of a
//! request: nothing that decides about a ticket reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::Reply;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Seconds of a day, which begins at midnight UTC.
pub const DAY_S: u64 = 86_400;

/// A challenge that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// Its invoice's.
    pub hash: PaymentHash,
    /// The service that it is for.
    pub service: Arc<str>,
    /// What it asks for, in msat.
    pub price_msat: u64,
    /// When it was handed out.
    pub at: UnixTime,
    /// Until when its invoice can be paid, in Unix seconds.
    pub expires: u64,
    /// Until when its ticket is worth something, in Unix seconds.
    pub valid_until: u64,
    /// Whether it is for more than one request.
    pub is_pass: bool,
    /// Method and path of the service.
    pub address: Arc<str>,
}

/// What was sold of a service in one way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SoldOffer {
    /// Name of the service.
    pub service: String,
    /// Whether as passes.
    pub is_pass: bool,
    /// The method and path at which it was sold.
    pub address: String,
    /// Until when the last of these tickets is worth something, in Unix seconds.
    pub until: u64,
}

impl SoldOffer {
    /// The latest of each, of some challenges.
    pub(super) fn of<'a>(minted: impl Iterator<Item = &'a Minted>) -> Vec<Self> {
        let mut latest = BTreeMap::new();
        for one in minted {
            let key = (&*one.service, one.is_pass, &*one.address);
            let until = latest.entry(key).or_insert(0);
            *until = one.valid_until.max(*until);
        }
        let sold = |((service, is_pass, address), until): ((&str, bool, &str), u64)| Self {
            service: service.to_owned(),
            is_pass,
            address: address.to_owned(),
            until,
        };
        latest.into_iter().map(sold).collect()
    }
}

/// Something to write down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEntry {
    /// A challenge was handed out.
    Minted(Minted),
    /// A challenge turned up that isn't written down: by another instance not yet, or, after a
    /// crash, never. It is counted as handed out once its own instance says so.
    Found(Minted),
    /// Its ticket was served.
    Served(PaymentHash),
}

/// What the node says that it was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledInvoice {
    /// The invoice's.
    pub hash: PaymentHash,
    /// What was paid, in msat.
    pub msat: u64,
    /// Its number among the node's payments.
    pub settle_index: u64,
    /// When.
    pub at: UnixTime,
}

/// How a challenge stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChallengeState {
    /// Not paid, as far as is known.
    Open,
    /// Paid.
    Paid,
    /// Its invoice ran out, or was cancelled, without a payment.
    Closed,
}

impl ChallengeState {
    /// The number by which ledgers store it.
    pub const fn number(self) -> i16 {
        match self {
            Self::Open => 1,
            Self::Paid => 2,
            Self::Closed => 3,
        }
    }

    /// The state of a number.
    pub fn of_number(number: i16) -> Option<Self> {
        [Self::Open, Self::Paid, Self::Closed].into_iter().find(|state| state.number() == number)
    }
}

/// A challenge that was written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// Its invoice's.
    pub hash: PaymentHash,
    /// How it stands.
    pub state: ChallengeState,
    /// Until when its invoice can be paid.
    pub expires: UnixTime,
}

/// A payment that is news.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewlyPaid {
    /// The invoice's.
    pub hash: PaymentHash,
    /// The service that it pays for.
    pub service: String,
}

/// What a payment that was looked up came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recorded {
    /// It was known, or isn't of a challenge that was written down.
    Known,
    /// It is news.
    New(NewlyPaid),
    /// It is news, though the stream of payments had passed its number: that number isn't this
    /// node's. It is set back by this.
    PastTheIndex(NewlyPaid),
}

/// A service's day.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Day {
    /// Challenges that were handed out, and what they asked for.
    pub minted: Sum,
    /// Challenges that were paid on that day.
    pub paid: Sum,
    /// Tickets that were delivered on that day.
    pub redeemed: Sum,
    /// Paid on that day and never delivered, so far.
    pub unredeemed: Sum,
}

/// How many, and how much.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Msat.
    pub msat: u64,
}

impl Sum {
    /// One more, of so many msat.
    pub fn add(&mut self, count: u64, msat: u64) {
        self.count = self.count.saturating_add(count);
        self.msat = self.msat.saturating_add(msat);
    }
}

/// Days by number (Unix time divided by a day) and service.
pub type Days = BTreeMap<(u64, String), Day>;

/// The accounts; every ledger keeps them.
pub trait Accounts: Send + Sync {
    /// Writes entries down. With `challenges`, each challenge has a row, by which its payment is
    /// recognised.
    fn note(&self, entries: Vec<JournalEntry>, challenges: bool) -> Reply<'_, ()>;

    /// What was sold in the past, and in which ways.
    fn sold(&self) -> Reply<'_, Vec<SoldOffer>>;

    /// Payments in the order of the node's stream, with the stream's new index, in one step. Says
    /// which of them are news. Only `found` sets an index back: who writes late doesn't.
    fn paid(&self, node: Arc<str>, settled: Vec<SettledInvoice>) -> Reply<'_, Vec<NewlyPaid>>;

    /// A payment that was looked up.
    fn found(&self, node: Arc<str>, settled: SettledInvoice) -> Reply<'_, Recorded>;

    /// Challenges that certainly will not be paid any more.
    fn close(&self, hashes: Vec<PaymentHash>) -> Reply<'_, ()>;

    /// How far the node's stream of payments was read; 0 for not at all.
    fn settle_index(&self, node: Arc<str>) -> Reply<'_, u64>;

    /// Challenges that are not known to be paid, the soonest to run out first; with
    /// `ran_out_before` (Unix seconds), only those.
    fn open_challenges(&self, ran_out_before: Option<u64>, limit: u32)
    -> Reply<'_, Vec<Challenge>>;

    /// How a challenge stands, if it was written down.
    fn challenge(&self, hash: PaymentHash) -> Reply<'_, Option<Challenge>>;

    /// The accounts of each service and day, from `first_day` on.
    fn days(&self, first_day: u64) -> Reply<'_, Days>;

    /// Per service: paid and not delivered so far.
    fn unredeemed(&self) -> Reply<'_, Vec<(String, Sum)>>;
}
