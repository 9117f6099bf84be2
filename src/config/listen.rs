//! `[listen]`: the listener for payers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::file_path::FilePath;
use super::socket_address::socket_address;
use super::units::ConfigDuration;

/// How long requests under way may take at a stop, where nothing else is said.
const DRAIN_DEFAULT: Duration = Duration::from_secs(30);

/// The section, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) address: Spanned<String>,
    pub(super) certificate: Option<FilePath>,
    pub(super) key: Option<FilePath>,
    #[serde(default)]
    pub(super) plain_http: bool,
    pub(super) public_url: Option<Spanned<String>>,
    pub(super) drain: Option<ConfigDuration>,
}

/// The listener for payers.
pub struct Listen {
    /// Where it binds.
    pub address: SocketAddr,
    /// Certificate and key files; `None` for plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How payers reach us, without a slash at the end. It may have a path, which what stands in
    /// front takes off.
    pub public_url: Option<String>,
    /// How long requests under way may take at a stop.
    pub drain: Duration,
}

impl Written {
    /// Checks it; relative paths start at `folder`.
    pub(super) fn check(self, report: &Reporter<'_>, folder: &Path) -> Result<Listen, ConfigError> {
        let tls = match (self.certificate, self.key, self.plain_http) {
            (Some(certificate), Some(key), false) => {
                Some((folder.join(certificate), folder.join(key)))
            }
            (None, None, true) => None,
            (Some(_), Some(_), true) => {
                return Err(report.at(
                    self.address.span(),
                    "[listen] has certificate and key, and also `plain_http = true`; keep one of \
                     the two",
                ));
            }
            _ => {
                return Err(report.at(
                    self.address.span(),
                    "[listen] needs both `certificate` and `key` (PEM files), or `plain_http = \
                     true` if something in front ends TLS",
                ));
            }
        };
        let public_url = self.public_url.map(|url| public_url(report, &url)).transpose()?;
        Ok(Listen {
            address: socket_address(report, "listen.address", &self.address)?,
            tls,
            public_url,
            drain: self.drain.map_or(DRAIN_DEFAULT, |drain| drain.0),
        })
    }
}

/// What stands in front may have us below a path, which it takes off.
fn public_url(report: &Reporter<'_>, url: &Spanned<String>) -> Result<String, ConfigError> {
    let text = url.get_ref().trim_end_matches('/');
    let good = text.parse::<hyper::Uri>().is_ok_and(|uri| {
        let is_plain = !uri.path().contains("//") && !uri.path().contains("/.");
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some()
            && is_plain
            && uri.query().is_none()
    });
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-_~[]".contains(&byte);
    if good && text.bytes().all(safe) {
        Ok(text.to_owned())
    } else {
        Err(report.at(
            url.span(),
            "`public_url` should be how payers reach this gate, such as \
             \"https://sms.example.com\" or \"https://example.com/sms\"",
        ))
    }
}
