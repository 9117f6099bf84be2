//! What is wrong with a node.

/// What is wrong with a node: of which kind, and in words for the operator, which are its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct NodeError {
    kind: NodeErrorKind,
    words: String,
}

/// The kinds, whatever node it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeErrorKind {
    /// Nothing was tried yet.
    NotTried,
    /// A file of the operator's can't be used.
    File,
    /// No connection.
    Unreachable,
    /// The certificate isn't the one that the operator named.
    Certificate,
    /// Its wallet is locked.
    Locked,
    /// It has no wallet.
    NoWallet,
    /// It is on its way up.
    Starting,
    /// It is up, but not at the tip of the chain: invoices would hang.
    Syncing,
    /// It refuses what we show it: LND, the macaroon.
    Credential,
    /// It says nothing in time.
    Silent,
    /// Its invoices are of another network or amount than we asked for.
    WrongInvoice,
    /// Anything else.
    Other,
    /// As many calls wait for it as may.
    Busy,
    /// Calls stand in a queue at it: no more join, so that buyers needn't wait.
    Slow,
}

impl NodeErrorKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::NotTried,
        Self::File,
        Self::Unreachable,
        Self::Certificate,
        Self::Locked,
        Self::NoWallet,
        Self::Starting,
        Self::Syncing,
        Self::Credential,
        Self::Silent,
        Self::WrongInvoice,
        Self::Other,
        Self::Busy,
        Self::Slow,
    ];

    /// The word in metrics and in `/readyz`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotTried => "not-tried",
            Self::File => "file",
            Self::Unreachable => "unreachable",
            Self::Certificate => "certificate",
            Self::Locked => "locked",
            Self::NoWallet => "no-wallet",
            Self::Starting => "starting",
            Self::Syncing => "syncing",
            Self::Credential => "macaroon",
            Self::Silent => "silent",
            Self::WrongInvoice => "wrong-invoice",
            Self::Other => "error",
            Self::Busy => "busy",
            Self::Slow => "slow",
        }
    }
}

impl NodeError {
    /// Of a kind, in these words.
    pub fn new(kind: NodeErrorKind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into() }
    }

    /// Of which nothing is known yet.
    pub fn not_tried() -> Self {
        Self::new(NodeErrorKind::NotTried, "not tried yet")
    }

    /// That is of no other kind.
    pub fn other(words: impl Into<String>) -> Self {
        Self::new(NodeErrorKind::Other, words)
    }

    /// As many calls wait for it as may.
    pub fn busy() -> Self {
        Self::new(NodeErrorKind::Busy, "too many calls to the node at once")
    }

    /// Of which kind it is.
    pub fn kind(&self) -> NodeErrorKind {
        self.kind
    }

    /// The word in metrics and in `/readyz`.
    pub fn word(&self) -> &'static str {
        self.kind.word()
    }
}

/// No invoice.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct AddInvoiceError {
    /// Why.
    pub error: NodeError,
    /// Whether the node may have stored one all the same, which then counts as unpaid.
    pub may_exist: bool,
}
