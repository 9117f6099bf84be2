//! Lines on standard error.

use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::error::StartError;
use crate::config::Log;
use crate::record::access_log::{AccessLog, LogFormat};
use crate::record::lines::Lines;
use crate::record::log_filter::LogFilter;

/// How long an end waits for what was logged: whoever reads standard error may have stopped to.
pub const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The environment variable that goes before `log.level`.
const VARIABLE: &str = "RUST_LOG";

/// What the environment says of the log, if it says anything.
pub fn variable() -> Result<Option<LogFilter>, StartError> {
    let text = std::env::var(VARIABLE).ok();
    text.map(|text| text.parse().map_err(StartError::LogVariable)).transpose()
}

/// Starts to log, onto standard error and by one writer that never blocks. No bridge from the `log`
/// crate: some libraries would write secrets through it.
pub fn init_log(log: &Log) -> Result<(Lines, AccessLog), StartError> {
    let what = "the log can't start";
    let lines = Lines::start().map_err(|source| StartError::System { what, source })?;
    let filter = variable()?.unwrap_or_else(|| log.filter.clone());
    let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter.targets());
    match log.format {
        LogFormat::Human => registry.with(layer).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
    }
    let access = match filter.takes_access_lines() {
        true => AccessLog::new(lines.clone(), log.format),
        false => AccessLog::none(),
    };
    Ok((lines, access))
}
