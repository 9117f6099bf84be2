//! `[rate]`: what a bitcoin costs, for prices in another currency.

use std::time::Duration;

use hyper::Uri;
use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::units::ConfigDuration;
use crate::rate::RateSettings;

/// How often the source is asked, where nothing else is said, and at the most.
const EVERY_DEFAULT: Duration = Duration::from_secs(60);
const EVERY_MIN: Duration = Duration::from_secs(5);

/// For how long its answer holds, where nothing else is said, and at the most.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(600);
const MAX_AGE_MAX: Duration = Duration::from_secs(86_400);

/// The section, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    currency: Spanned<String>,
    url: Spanned<String>,
    json: Spanned<String>,
    every: Option<Spanned<ConfigDuration>>,
    max_age: Option<Spanned<ConfigDuration>>,
}

impl Written {
    pub(super) fn check(&self, report: &Reporter<'_>) -> Result<RateSettings, ConfigError> {
        if !is_code(self.currency.get_ref()) {
            let what = "`rate.currency` is a code of three capital letters, such as \"USD\"";
            return Err(report.at(self.currency.span(), what));
        }
        let every = self.every.as_ref().map_or(EVERY_DEFAULT, |every| every.get_ref().0);
        let max_age = self.max_age.as_ref().map_or(MAX_AGE_DEFAULT, |age| age.get_ref().0);
        if every < EVERY_MIN {
            let at = self.every.as_ref().map_or(0..0, Spanned::span);
            return Err(report.at(at, "`rate.every` should be at least \"5s\""));
        }
        if max_age < every * 2 || max_age > MAX_AGE_MAX {
            let at = self.max_age.as_ref().or(self.every.as_ref()).map_or(0..0, Spanned::span);
            let what = "`rate.max_age` should be between twice `rate.every` and \"24h\": else one \
                        question without an answer stops the sales";
            return Err(report.at(at, what));
        }
        let pointer = self.json.get_ref();
        if !pointer.starts_with('/') {
            let what =
                format!("`rate.json`: `{pointer}` is no JSON pointer, such as \"/data/amount\"");
            return Err(report.at(self.json.span(), what));
        }
        Ok(RateSettings {
            currency: self.currency.get_ref().clone(),
            url: self.url(report)?,
            pointer: pointer.clone(),
            interval: every,
            age_max: max_age,
        })
    }

    fn url(&self, report: &Reporter<'_>) -> Result<Uri, ConfigError> {
        let fault = |what: &str| report.at(self.url.span(), format!("`rate.url` {what}"));
        let url: Uri = self
            .url
            .get_ref()
            .parse()
            .map_err(|_| fault("is not a URL, such as \"https://example.com/price\""))?;
        let host = url.host().ok_or_else(|| fault("names no host"))?.trim_matches(['[', ']']);
        let is_here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        match url.scheme_str() {
            Some("https") => Ok(url),
            Some("http") if is_here => Ok(url),
            Some("http") => Err(fault(
                "should start with https://: whoever stands between could set your prices",
            )),
            _ => Err(fault("should start with https://")),
        }
    }
}

/// ISO 4217.
fn is_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase())
}
