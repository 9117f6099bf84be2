//! What a ledger gives back, and why it may give nothing.

use std::future::Future;
use std::pin::Pin;

/// What a method of a ledger's store gives back.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Why the ledger did nothing, as far as it can say.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// It can't be read or written; the text is for the operator.
    #[error("the ledger is down: {0}")]
    Down(String),
    /// More waits for it than it may hold.
    #[error("the ledger has too much to do")]
    Overloaded,
}
