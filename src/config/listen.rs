//! `[listen]`: the listener for payers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::acme::{self, AcmeOrder};
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
    pub(super) acme: Option<Spanned<acme::Written>>,
    pub(super) redirect: Option<Spanned<String>>,
    pub(super) hsts: Option<ConfigDuration>,
}

/// Where a certificate comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateSource {
    /// Files in PEM.
    Files {
        /// The chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// An authority, by ACME.
    Acme(AcmeOrder),
}

/// The listener for payers.
pub struct Listen {
    /// Where it binds.
    pub address: SocketAddr,
    /// Where the certificate comes from; `None` for plain HTTP.
    pub tls: Option<CertificateSource>,
    /// Where plain HTTP is answered beside TLS, to send clients there.
    pub redirect: Option<SocketAddr>,
    /// How long browsers are to use https only, by `Strict-Transport-Security` (RFC 6797).
    pub hsts: Option<Duration>,
    /// How payers reach us, without a slash at the end. It may have a path, which what stands in
    /// front takes off.
    pub public_url: Option<String>,
    /// How long requests under way may take at a stop.
    pub drain: Duration,
}

impl Written {
    /// Checks it; relative paths start at `folder`.
    pub(super) fn check(
        mut self,
        report: &Reporter<'_>,
        folder: &Path,
        state_dir: &Path,
    ) -> Result<Listen, ConfigError> {
        let tls = self.tls(report, folder, state_dir)?;
        let redirect = match &self.redirect {
            Some(written) if tls.is_none() => {
                let what = "`listen.redirect` sends clients to https, and with `plain_http = true` \
                            there is none here; whatever ends TLS in front can redirect them";
                return Err(report.at(written.span(), what));
            }
            Some(written) => Some(socket_address(report, "listen.redirect", written)?),
            None => None,
        };
        let public_url = self.public_url.map(|url| public_url(report, &url)).transpose()?;
        Ok(Listen {
            address: socket_address(report, "listen.address", &self.address)?,
            tls,
            redirect,
            hsts: self.hsts.map(|hsts| hsts.0),
            public_url,
            drain: self.drain.map_or(DRAIN_DEFAULT, |drain| drain.0),
        })
    }
}

impl Written {
    fn tls(
        &mut self,
        report: &Reporter<'_>,
        folder: &Path,
        state_dir: &Path,
    ) -> Result<Option<CertificateSource>, ConfigError> {
        let files = (self.certificate.take(), self.key.take());
        match (files, self.acme.take(), self.plain_http) {
            ((Some(certificate), Some(key)), None, false) => Ok(Some(CertificateSource::Files {
                certificate: folder.join(certificate),
                key: folder.join(key),
            })),
            ((None, None), Some(acme), false) => {
                let order = acme.into_inner().check(report, folder, state_dir)?;
                Ok(Some(CertificateSource::Acme(order)))
            }
            ((None, None), None, true) => Ok(None),
            ((None, None) | (Some(_), None) | (None, Some(_)), None, false) => Err(report.at(
                self.address.span(),
                "[listen] needs both `certificate` and `key` (PEM files), or `acme` to have them \
                 ordered, or `plain_http = true` if something in front ends TLS",
            )),
            _ => Err(report.at(
                self.address.span(),
                "[listen] has more than one of: `certificate` and `key`, `acme`, `plain_http = \
                 true`; keep one",
            )),
        }
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
