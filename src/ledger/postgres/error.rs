//! Why PostgreSQL does nothing, in words.

use std::time::Duration;

use tokio_postgres::Error;

use crate::ledger::error::LedgerError;

/// Why there is no connection, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresError {
    /// The server can't be asked now; it may be there later.
    #[error("{0}")]
    Unavailable(String),
    /// It is there, and stays useless until the operator does something.
    #[error("{0}")]
    Unusable(String),
}

impl PostgresError {
    pub(super) fn silent(limit: Duration) -> Self {
        Self::Unavailable(format!("PostgreSQL does not answer within {limit:?}"))
    }
}

impl From<Error> for PostgresError {
    fn from(error: Error) -> Self {
        Self::Unavailable(words(&error))
    }
}

/// An error with its cause; tokio-postgres's own words are "db error" and the like. No password is
/// in them.
pub(super) fn words(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("PostgreSQL: {error}: {cause}"),
        None => format!("PostgreSQL: {error}"),
    }
}

/// A statement that failed.
pub(super) fn down(error: Error) -> LedgerError {
    LedgerError::Down(words(&error))
}

/// A row that isn't as it was written.
pub(super) fn unreadable() -> LedgerError {
    LedgerError::Down("a row can't be read".to_owned())
}
