//! `[log]`: how log lines look.

use serde::Deserialize;

use crate::record::access_log::LogFormat;

/// The section, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    pub(super) format: LogFormat,
}
