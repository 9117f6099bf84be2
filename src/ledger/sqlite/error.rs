//! Why a ledger's file can't be opened.

use std::path::PathBuf;

use super::layout;

/// Why the ledger can't be opened at start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another `serve` has it.
    #[error("{} is in use by another Farebox (it holds the lock {}); one SQLite ledger serves one \
             process", .ledger.display(), .lock.display())]
    InUse {
        /// The database.
        ledger: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The file system says no.
    #[error("{}: {source}", .path.display())]
    File {
        /// What was to be opened.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite says no.
    #[error("{}: {source}", .path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Written by another version.
    #[error(
        "{} has the layout {found}, and this Farebox knows {}; run the version that made it",
        .path.display(),
        layout::LAYOUT
    )]
    OtherLayout {
        /// The database.
        path: PathBuf,
        /// Its layout number.
        found: i64,
    },
}
