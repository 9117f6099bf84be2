//! `[tickets]`: what tickets are made of, and how long they live.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::secret::SecretSource;
use super::units::ConfigDuration;

/// Longest lifetime of a ticket, so that times in it can't overflow: a hundred years.
const LIFETIME_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What holds where nothing else is said.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(30 * 86_400);
const REPLAY_DEFAULT: Duration = Duration::from_secs(86_400);
const WAIT_DEFAULT: Duration = Duration::from_secs(15);

/// The section, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) master_secret: Option<Spanned<SecretSource>>,
    pub(super) lifetime: Option<Spanned<ConfigDuration>>,
    pub(super) replay: Option<ConfigDuration>,
    pub(super) wait: Option<ConfigDuration>,
}

/// What tickets are made of and how long they live.
#[derive(Clone)]
pub struct TicketSettings {
    /// Where the master secret is.
    pub master_secret: SecretSource,
    /// Folder that a relative secret file is looked for in.
    pub state_dir: PathBuf,
    /// How long a ticket is worth something after its invoice could be paid.
    pub lifetime: Duration,
    /// How long a delivered answer is given back.
    pub replay: Duration,
    /// How long a second request waits for the first one's answer.
    pub wait: Duration,
}

impl Written {
    /// Checks it.
    pub(super) fn check(
        self,
        report: &Reporter<'_>,
        state_dir: PathBuf,
    ) -> Result<TicketSettings, ConfigError> {
        let lifetime = match &self.lifetime {
            None => LIFETIME_DEFAULT,
            Some(lifetime) if lifetime.get_ref().0 > LIFETIME_MAX => {
                return Err(
                    report.at(lifetime.span(), "`tickets.lifetime` is longer than a hundred years")
                );
            }
            Some(lifetime) => lifetime.get_ref().0,
        };
        Ok(TicketSettings {
            master_secret: self
                .master_secret
                .map_or_else(|| SecretSource::File("master.secret".into()), Spanned::into_inner),
            state_dir,
            lifetime,
            replay: self.replay.map_or(REPLAY_DEFAULT, |replay| replay.0),
            wait: self.wait.map_or(WAIT_DEFAULT, |wait| wait.0),
        })
    }
}
