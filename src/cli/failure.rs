//! Why a subcommand came to nothing.

/// Any error, in words for the operator: it is printed, and the exit code says that there was one.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;
