//! Which log lines are written: a level, and others for single modules.

use std::str::FromStr;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// What our modules are named after. Libraries log nothing: some would be made to by strangers, and
/// some would write secrets.
const OURS: &str = "farebox";

/// The module of access lines.
const ACCESS: &str = "farebox::access";

/// The module of what operators do, which is written unless it is itself turned off.
const AUDIT: &str = "farebox::audit";

/// As `info,farebox::upstream=debug`.
#[derive(Clone, PartialEq)]
pub struct LogFilter(Targets);

/// Why a filter can't be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a level (\"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\"), or a \
     module of Farebox's with one, such as \"farebox::upstream=debug\""
)]
pub struct FilterError(String);

impl Default for LogFilter {
    fn default() -> Self {
        Self(Targets::new().with_target(OURS, Level::INFO).with_target(AUDIT, Level::INFO))
    }
}

impl FromStr for LogFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut targets = Self::default().0;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (module, level) = part.split_once('=').unwrap_or((OURS, part));
            let level = level.trim().parse::<LevelFilter>();
            let is_ours = module == OURS || module.starts_with(&format!("{OURS}::"));
            match level {
                Ok(level) if is_ours => targets = targets.with_target(module, level),
                _ => return Err(FilterError(part.to_owned())),
            }
        }
        Ok(Self(targets))
    }
}

impl LogFilter {
    /// For `tracing`.
    pub fn targets(&self) -> Targets {
        self.0.clone()
    }

    /// Whether access lines are written, which are of the level "info".
    pub fn takes_access_lines(&self) -> bool {
        self.0.would_enable(ACCESS, &Level::INFO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(text: &str, module: &str, level: Level) -> bool {
        text.parse::<LogFilter>().unwrap().0.would_enable(module, &level)
    }

    #[test]
    fn a_level_is_of_our_modules_and_single_ones_have_their_own() {
        assert!(takes("", "farebox::sale", Level::INFO));
        assert!(!takes("", "farebox::sale", Level::DEBUG) && !takes("", "hyper", Level::ERROR));
        assert!(!takes("warn", "farebox::sale", Level::INFO));
        assert!(takes("off", "farebox::audit", Level::INFO));
        assert!(!takes("farebox::audit=off", "farebox::audit", Level::INFO));
        let narrow = "warn, farebox::upstream=debug";
        assert!(takes(narrow, "farebox::upstream::health", Level::DEBUG));
        assert!(!takes(narrow, "farebox::sale", Level::INFO));
        assert!(!"warn".parse::<LogFilter>().unwrap().takes_access_lines());
        assert!("warn,farebox::access=info".parse::<LogFilter>().unwrap().takes_access_lines());
        for bad in ["loud", "hyper=debug", "farebox::sale=loud", "fareboxes=debug", "=info"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }
}
