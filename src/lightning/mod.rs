//! Where invoices come from, and what became of them.

pub mod lnd;
pub mod macaroon_id;
pub mod network;
pub mod play;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::payment_hash::{PaymentHash, Preimage};
use crate::price::Msat;
use crate::time::UnixTime;

/// LND's gRPC messages, made from proto/ by build.rs.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod lnrpc {
    tonic::include_proto!("lnrpc");
}

/// The messages of LND's sub-server for hold invoices.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod invoicesrpc {
    tonic::include_proto!("invoicesrpc");
}

/// What an invoice is to say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its amount.
    pub amount: Msat,
    /// Its description; never anything of the request that it pays for.
    pub memo: String,
    /// How long it can be paid.
    pub expiry: Duration,
}

impl Wanted {
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

/// What is wrong with the node, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing was tried yet.
    #[error("not tried yet")]
    NotTried,
    /// A file of the operator's can't be used.
    #[error("{0}")]
    File(String),
    /// No connection.
    #[error("no connection to LND ({0}); is it running, and is `lnd.address` its gRPC address?")]
    Unreachable(String),
    /// The certificate isn't the one in the file.
    #[error(
        "LND shows another certificate than the one in `lnd.certificate` ({0}); copy LND's \
         tls.cert again"
    )]
    Certificate(String),
    /// Its wallet is locked.
    #[error("LND's wallet is locked; run `lncli unlock`")]
    Locked,
    /// It has no wallet.
    #[error("LND has no wallet yet; run `lncli create`")]
    NoWallet,
    /// It is on its way up.
    #[error("LND is starting")]
    Starting,
    /// It is up, but not at the tip of the chain: invoices would hang.
    #[error("LND is syncing with the chain")]
    Syncing,
    /// It refuses our macaroon.
    #[error("LND refuses the macaroon in `lnd.macaroon`: {0}")]
    Macaroon(String),
    /// It says nothing in time.
    #[error("LND does not answer within {0:?}")]
    Silent(Duration),
    /// Its invoices are of another network or amount than we asked for.
    #[error("LND's invoice is not what was asked for: {0}")]
    WrongInvoice(String),
    /// Anything else that it says.
    #[error("LND says: {0}")]
    Other(String),
    /// As many calls wait for it as may.
    #[error("too many invoices are being asked for at once")]
    Busy,
    /// Calls stand in a queue at it: no more join, so that buyers needn't wait.
    #[error("LND is slow: the oldest call waits for more than {0:?}")]
    Slow(Duration),
}

impl Trouble {
    /// The word in metrics and in `/readyz`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotTried => "not-tried",
            Self::File(_) => "file",
            Self::Unreachable(_) => "unreachable",
            Self::Certificate(_) => "certificate",
            Self::Locked => "locked",
            Self::NoWallet => "no-wallet",
            Self::Starting => "starting",
            Self::Syncing => "syncing",
            Self::Macaroon(_) => "macaroon",
            Self::Silent(_) => "silent",
            Self::WrongInvoice(_) => "wrong-invoice",
            Self::Other(_) => "error",
            Self::Busy => "busy",
            Self::Slow(_) => "slow",
        }
    }

    /// All words.
    pub const WORDS: [&'static str; 14] = [
        "not-tried",
        "file",
        "unreachable",
        "certificate",
        "locked",
        "no-wallet",
        "starting",
        "syncing",
        "macaroon",
        "silent",
        "wrong-invoice",
        "error",
        "busy",
        "slow",
    ];
}

/// No invoice.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{trouble}")]
pub struct NoInvoice {
    /// Why.
    pub trouble: Trouble,
    /// Whether the node may have stored one all the same, which then counts as unpaid.
    pub may_exist: bool,
}

/// What `Node::add_invoice` gives back.
pub type AddingInvoice<'a> = Pin<Box<dyn Future<Output = Result<Invoice, NoInvoice>> + Send + 'a>>;

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
pub enum Standing {
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
pub type LookingUp<'a> = Pin<Box<dyn Future<Output = Result<Standing, Trouble>> + Send + 'a>>;

/// What `Payments::next` gives back.
pub type NextPayment<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Payment>, Trouble>> + Send + 'a>>;

/// Payments as they come in.
pub trait Payments: Send {
    /// The next one; `None` once the node has ended the stream. A wait that is given up loses
    /// nothing.
    fn next(&mut self) -> NextPayment<'_>;
}

/// A Lightning node that makes invoices.
pub trait Node: Send + Sync {
    /// Asks for an invoice. Answers in a bounded time.
    fn add_invoice(&self, wanted: Wanted) -> AddingInvoice<'_>;

    /// Asks how an invoice stands, in a bounded time. Needs more permission than minting does.
    fn look_up(&self, hash: PaymentHash) -> LookingUp<'_>;

    /// The payments after the one with this settle index; those from now on for 0. Needs more
    /// permission than minting does.
    fn payments(&self, after: u64) -> Box<dyn Payments>;

    /// Another number once it may be another node: its files have changed.
    fn generation(&self) -> u64;

    /// `Err` while nothing can be sold.
    fn state(&self) -> Result<(), Trouble>;
}
