//! Why a ledger's file can't be opened.

use std::path::PathBuf;

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
    /// It is gone, or another one lies in its place.
    #[error(
        "{} was replaced or removed under this process, which stops using it; stop Farebox, put \
         the right file there, and start it again (after a copy was put back: run `farebox ledger \
         restored` first)",
        .0.display()
    )]
    Replaced(PathBuf),
    /// It was copied from another, and nobody has said yet that this one goes on from now.
    #[error(
        "{} is a copy that `farebox ledger backup` made; tickets may have been spent since. Run \
         `farebox ledger --config FILE restored` first, which parks what nobody knows of",
        .0.display()
    )]
    Copy(PathBuf),
    /// The log of a ledger that lay there before would be written over a copy.
    #[error(
        "{} belongs to the ledger that lay at {} before, and would spoil the copy that lies there \
         now: move it away (with its \"-shm\"), and try again",
        .log.display(),
        .path.display()
    )]
    ForeignLog {
        /// The copy.
        path: PathBuf,
        /// The log.
        log: PathBuf,
    },
    /// There is no ledger to do something with.
    #[error("{} is not there", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{} is there already, and is not touched", .0.display())]
    Exists(PathBuf),
    /// The system gives no random numbers.
    #[error("there is no randomness: {0}")]
    NoRandomness(String),
    /// Written by another version.
    #[error(
        "{} has the layout {found}, and this Farebox knows {known}; run the version that made it",
        .path.display()
    )]
    OtherLayout {
        /// The database.
        path: PathBuf,
        /// Its layout number.
        found: i64,
        /// Ours.
        known: i64,
    },
}
