//! Why a subcommand came to nothing.

use std::process::ExitCode;

use crate::app::error::StartError;
use crate::config::ConfigError;
use crate::ledger::postgres::PostgresError;

/// Any error, in words for the operator: it is printed, and the exit code says that there was one.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// `EX_CONFIG` of sysexits.h: the same again would fail again, until the operator has changed
/// something. A supervisor needn't try (`RestartPreventExitStatus=78` in a systemd unit).
const CONFIG_FAULT: u8 = 78;

/// How the process ends.
pub(super) fn exit_code(failure: &Failure) -> ExitCode {
    let start = failure.downcast_ref::<StartError>();
    let is_for_the_operator = failure.is::<ConfigError>()
        || matches!(
            start,
            Some(
                StartError::Config(_)
                    | StartError::LogVariable(_)
                    | StartError::OpenOperators { .. }
                    | StartError::OtherLedger { .. }
                    | StartError::OtherNetwork { .. }
                    | StartError::Postgres(PostgresError::Unusable(_))
            )
        );
    if is_for_the_operator { CONFIG_FAULT.into() } else { ExitCode::FAILURE }
}
