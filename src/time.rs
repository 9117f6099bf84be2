//! Wall-clock time as the tickets and the ledger write it. Pure parts get it as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, by this machine's clock (which may jump).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The time now.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From seconds since the epoch.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// As RFC 3339 writes it, in UTC and whole seconds: for people.
    pub fn rfc_3339(self) -> String {
        let seconds = i64::try_from(self.seconds()).unwrap_or(i64::MAX);
        let format = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|time| time.format(format).ok())
            .unwrap_or_else(|| seconds.to_string())
    }

    /// From what people write: RFC 3339 (`2026-11-28T09:30:00Z`), or Unix seconds.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse() {
            return Some(Self::from_seconds(seconds));
        }
        let format = &time::format_description::well_known::Rfc3339;
        let time = time::OffsetDateTime::parse(text, format).ok()?;
        Some(Self::from_seconds(u64::try_from(time.unix_timestamp()).ok()?))
    }

    /// Later by `d`; stops at the end of time instead of wrapping.
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Earlier by `d`, but not before the epoch.
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; `None` if it lies ahead (the clock was set back).
    pub fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        let time = UnixTime::from_seconds(1_795_858_200);
        assert_eq!(time.rfc_3339(), "2026-11-28T09:30:00Z");
        assert_eq!(UnixTime::parse("2026-11-28T09:30:00Z"), Some(time));
        assert_eq!(UnixTime::parse("2026-11-28T10:30:00+01:00"), Some(time));
        assert_eq!(UnixTime::parse("1795858200"), Some(time));
        assert_eq!(UnixTime::parse("yesterday"), None);
        assert_eq!(UnixTime::from_millis(u64::MAX).rfc_3339(), "18446744073709551");
    }
}
