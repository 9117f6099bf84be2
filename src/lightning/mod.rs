//! Where invoices come from.

pub mod lnd;
pub mod network;
pub mod play;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::l402::PaymentHash;
use crate::price::Sat;

/// LND's gRPC messages, made from proto/ by build.rs.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod lnrpc {
    tonic::include_proto!("lnrpc");
}

/// What an invoice is to say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its amount.
    pub amount: Sat,
    /// Its description; never anything of the request that it pays for.
    pub memo: String,
    /// How long it can be paid.
    pub expiry: Duration,
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
    #[error("LND shows another certificate than the one in `lnd.certificate` ({0}); copy LND's tls.cert again")]
    Certificate(String),
    /// The wallet doesn't exist or is locked.
    #[error("LND's wallet is {0}; run `lncli {1}`")]
    Wallet(&'static str, &'static str),
    /// It is on its way up.
    #[error("LND is starting")]
    Starting,
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
}

impl Trouble {
    /// The word in metrics and in `/readyz`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotTried => "not-tried",
            Self::File(_) => "file",
            Self::Unreachable(_) => "unreachable",
            Self::Certificate(_) => "certificate",
            Self::Wallet(..) => "wallet",
            Self::Starting => "starting",
            Self::Macaroon(_) => "macaroon",
            Self::Silent(_) => "silent",
            Self::WrongInvoice(_) => "wrong-invoice",
            Self::Other(_) => "error",
            Self::Busy => "busy",
        }
    }
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

/// A Lightning node that makes invoices.
pub trait Node: Send + Sync {
    /// Asks for an invoice. Answers in a bounded time.
    fn add_invoice(&self, wanted: Wanted) -> AddingInvoice<'_>;

    /// `Err` while nothing can be sold.
    fn state(&self) -> Result<(), Trouble>;
}
