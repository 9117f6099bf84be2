//! Why a subcommand came to nothing.

use std::process::ExitCode;

use crate::app::error::StartError;
use crate::config::ConfigError;
use crate::ledger::postgres::PostgresError;
use crate::ledger::sqlite::error::OpenError;

/// Any error, in words for the operator: it is printed, and the exit code says that there was one.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// `EX_CONFIG` of sysexits.h: the same again would fail again, until the operator has changed
/// something. A supervisor needn't try (`RestartPreventExitStatus=78` in a systemd unit).
const CONFIG_FAULT: u8 = 78;

/// How the process ends.
pub(super) fn exit_code(failure: &Failure) -> ExitCode {
    let of_config = |error: &ConfigError| !error.may_pass();
    let is_for_the_operator = match failure.downcast_ref::<StartError>() {
        Some(StartError::Config(error)) => of_config(error),
        Some(
            StartError::LogVariable(_)
            | StartError::OpenOperators { .. }
            | StartError::OtherLedger { .. }
            | StartError::OtherNetwork { .. }
            | StartError::Sqlite(OpenError::Copy(_) | OpenError::OtherLayout { .. })
            | StartError::Postgres(PostgresError::Unusable(_)),
        ) => true,
        // A certificate, a ledger or a master secret may lie where something is yet to be mounted.
        Some(_) => false,
        None => failure.downcast_ref::<ConfigError>().is_some_and(of_config),
    };
    if is_for_the_operator { CONFIG_FAULT.into() } else { ExitCode::FAILURE }
}
