//! `[log]`: how log lines look, and which are written.

use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use crate::record::access_log::LogFormat;
use crate::record::log_filter::LogFilter;

/// The section, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    pub(super) format: LogFormat,
    pub(super) level: Option<Spanned<String>>,
}

/// What is logged, and how.
#[derive(Clone, Default)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines are written.
    pub filter: LogFilter,
}

impl Written {
    /// Checks it.
    pub(super) fn check(&self, report: &Reporter<'_>) -> Result<LogSettings, ConfigError> {
        let filter = match &self.level {
            None => LogFilter::default(),
            Some(level) => level
                .get_ref()
                .parse()
                .map_err(|error| report.at(level.span(), format!("`log.level`: {error}")))?,
        };
        Ok(LogSettings { format: self.format, filter })
    }
}
