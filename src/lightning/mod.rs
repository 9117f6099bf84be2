//! Where invoices come from, and what became of them.

pub mod error;
pub mod lnd;
pub mod network;
mod open;
pub mod play;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use self::error::{AddInvoiceError, NodeError};
pub use self::open::open;
use crate::payment_hash::{PaymentHash, Preimage};
use crate::price::Msat;
use crate::time::UnixTime;

/// What an invoice is to say.
#[derive(Clone, Debug)]
pub struct NewInvoice {
    /// Its amount.
    pub amount: Msat,
    /// Its description; never anything of the request that it pays for.
    pub memo: String,
    /// How long it can be paid.
    pub expiry: Duration,
}

impl NewInvoice {
    /// One that is made only to see that one can be made.
    pub fn trial(expiry: Duration) -> Self {
        Self { amount: Msat::MIN, memo: "farebox: a trial, not to be paid".to_owned(), expiry }
    }
}

/// An invoice that the node stores.
#[derive(Clone, Debug)]
pub struct Invoice {
    /// Hash of the preimage that its payer gets.
    pub payment_hash: PaymentHash,
    /// BOLT 11 text.
    pub bolt11: String,
}

/// What `Node::add_invoice` gives back.
pub type AddingInvoice<'a> =
    Pin<Box<dyn Future<Output = Result<Invoice, AddInvoiceError>> + Send + 'a>>;

/// A payment that the node holds for good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// The invoice's.
    pub hash: PaymentHash,
    /// What its payer got for it.
    pub preimage: Preimage,
    /// What was paid: at least the invoice's amount.
    pub msat: u64,
    /// How many invoices of the node were settled before it, plus one.
    pub settle_index: u64,
    /// When it was settled.
    pub at: UnixTime,
}

/// How an invoice stands at the node. The preimage is there only for one that is settled, though a
/// node tells it of open ones too.
#[derive(Clone, PartialEq, Eq)]
pub enum InvoiceState {
    /// It can be paid.
    Open {
        /// Its BOLT 11 text.
        bolt11: Box<str>,
        /// When it runs out.
        expires: UnixTime,
    },
    /// Somebody's money is locked in; it may still be given back.
    Accepted,
    /// It was paid.
    Settled(Payment),
    /// It ran out, or was cancelled.
    Canceled,
    /// The node knows of none.
    Unknown,
}

/// What `Node::look_up` gives back.
pub type LookingUp<'a> = Pin<Box<dyn Future<Output = Result<InvoiceState, NodeError>> + Send + 'a>>;

/// What `PaymentStream::next` gives back.
pub type NextPayment<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Payment>, NodeError>> + Send + 'a>>;

/// Payments as they come in.
pub trait PaymentStream: Send {
    /// The next one; `None` once the node has ended the stream. A wait that is given up loses
    /// nothing.
    fn next(&mut self) -> NextPayment<'_>;
}

/// When what a node is reached by ends, in Unix seconds; `None` where it doesn't, or isn't known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AccessEnds {
    /// Its certificate.
    pub certificate: Option<i64>,
    /// The macaroon that it is shown.
    pub macaroon: Option<i64>,
}

/// What a call took and whether it worked, for the metrics.
pub type Observer = Box<dyn Fn(Duration, Result<(), &NodeError>) + Send + Sync>;

/// What `Node::watch` gives back.
pub type Watching<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A Lightning node that makes invoices.
pub trait Node: Send + Sync {
    /// Looks after the node's state, for as long as it is polled.
    fn watch(&self) -> Watching<'_>;

    /// Asks for an invoice. Answers in a bounded time.
    fn add_invoice(&self, invoice: NewInvoice) -> AddingInvoice<'_>;

    /// Asks how an invoice stands, in a bounded time. Needs more permission than minting does.
    fn look_up(&self, hash: PaymentHash) -> LookingUp<'_>;

    /// The payments after the one with this settle index; those from now on for 0. Needs more
    /// permission than minting does.
    fn payments(&self, after: u64) -> Box<dyn PaymentStream>;

    /// Another number once it may be another node: its files have changed.
    fn generation(&self) -> u64;

    /// When what it is reached by ends.
    fn ends(&self) -> AccessEnds {
        AccessEnds::default()
    }

    /// `Err` while nothing can be sold.
    fn state(&self) -> Result<(), NodeError>;
}
