//! `[log]`: how log lines look, and which are written.

use hyper::Uri;
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
    pub(super) otlp: Option<Spanned<String>>,
}

/// What is logged, and how.
#[derive(Clone, Default)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines are written.
    pub filter: LogFilter,
    /// The OpenTelemetry collector that gets a span for each request.
    pub otlp: Option<String>,
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
        let otlp = self.otlp.as_ref().map(|given| collector(given, report)).transpose()?;
        Ok(LogSettings { format: self.format, filter, otlp })
    }
}

fn collector(given: &Spanned<String>, report: &Reporter<'_>) -> Result<String, ConfigError> {
    let refuse = |why: &str| Err(report.at(given.span(), format!("`log.otlp`: {why}")));
    if !cfg!(feature = "otlp") {
        return refuse(
            "this farebox can't send traces: build it with `cargo build --release --features otlp`",
        );
    }
    let address: Result<Uri, _> = given.get_ref().parse();
    let is_one = address.is_ok_and(|address| {
        address.scheme_str() == Some("http")
            && address.host().is_some_and(|host| !host.is_empty())
            && address.path() == "/"
            && address.query().is_none()
    });
    match is_one {
        true => Ok(given.get_ref().clone()),
        false => refuse(
            "where a collector takes OTLP over gRPC, in plain HTTP: \"http://HOST:PORT\"; run one \
             beside Farebox, which sends on by TLS",
        ),
    }
}
