//! Lines on standard error.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::error::StartError;
#[cfg(feature = "otlp")]
use super::otlp::Otlp;
use crate::config::LogSettings;
use crate::record::access_log::{AccessLog, LogFormat, SpanSink};
use crate::record::lines::Lines;
use crate::record::log_filter::LogFilter;

/// How long an end waits for what was logged: whoever reads standard error may have stopped to.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The environment variable that goes before `log.level`.
pub(super) const VARIABLE: &str = "RUST_LOG";

/// What the environment says of the log, if it says anything.
pub fn variable() -> Result<Option<LogFilter>, StartError> {
    let text = std::env::var(VARIABLE).ok();
    text.map(|text| text.parse().map_err(StartError::LogVariable)).transpose()
}

/// Where spans go, if the config names a collector.
#[cfg(feature = "otlp")]
fn spans(settings: &LogSettings) -> Result<Option<Arc<dyn SpanSink>>, StartError> {
    let Some(endpoint) = &settings.otlp else { return Ok(None) };
    let otlp = Otlp::start(endpoint).map_err(|source| StartError::Otlp(source.to_string()))?;
    Ok(Some(Arc::new(otlp)))
}

#[cfg(not(feature = "otlp"))]
fn spans(_: &LogSettings) -> Result<Option<Arc<dyn SpanSink>>, StartError> {
    Ok(None)
}

/// Where log lines go, and which of them.
#[derive(Clone)]
pub struct Log {
    access: Arc<AccessLog>,
    writing: Option<Writing>,
}

#[derive(Clone)]
struct Writing {
    lines: Lines,
    filter: Handle<Targets, Registry>,
}

impl Log {
    /// Logs nothing.
    pub fn none() -> Self {
        Self { access: Arc::new(AccessLog::none()), writing: None }
    }

    /// Starts to log, onto standard error and by one writer that never blocks. No bridge from the
    /// `log` crate: some libraries would write secrets through it.
    pub fn start(settings: &LogSettings) -> Result<Self, StartError> {
        let what = "the log can't start";
        let lines = Lines::start().map_err(|source| StartError::System { what, source })?;
        let filter = variable()?.unwrap_or_else(|| settings.filter.clone());
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
        let (targets, handle) = reload::Layer::new(filter.targets());
        let registry = tracing_subscriber::registry().with(targets);
        match settings.format {
            LogFormat::Human => registry.with(layer).init(),
            LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
        }
        let access = AccessLog::new(lines.clone(), settings.format, spans(settings)?);
        access.turn(filter.takes_access_lines());
        Ok(Self { access: Arc::new(access), writing: Some(Writing { lines, filter: handle }) })
    }

    /// Which lines are written, from here on. What the environment says goes before it.
    pub fn filter(&self, settings: &LogSettings) {
        let Some(Writing { filter: handle, .. }) = &self.writing else { return };
        let filter = variable().ok().flatten().unwrap_or_else(|| settings.filter.clone());
        self.access.turn(filter.takes_access_lines());
        if let Err(error) = handle.reload(filter.targets()) {
            warn!(%error, "the log's level could not be changed");
        }
    }

    /// Where access lines go.
    pub fn access(&self) -> Arc<AccessLog> {
        Arc::clone(&self.access)
    }

    /// How many lines were dropped, since nobody read them.
    pub fn lines(&self) -> Option<Lines> {
        self.writing.as_ref().map(|writing| writing.lines.clone())
    }

    /// Waits a moment for what was logged to be written. At the end of the process: no more spans
    /// are taken.
    pub fn flush(&self) {
        self.access.close_spans();
        if let Some(writing) = &self.writing {
            writing.lines.flush(FLUSH_MAX);
        }
    }
}
