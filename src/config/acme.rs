//! `listen.acme`: a certificate that is ordered and renewed by itself.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::file_path::FilePath;

/// Let's Encrypt's.
const DIRECTORY_DEFAULT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The table, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    domains: Spanned<Vec<Spanned<String>>>,
    contact: Option<Spanned<String>>,
    directory: Option<Spanned<String>>,
    directory_ca: Option<FilePath>,
    cache: Option<FilePath>,
}

/// What is ordered, from whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcmeOrder {
    /// The names that the certificate is for, in lower case.
    pub domains: Vec<String>,
    /// Whom the authority writes to.
    pub contact: Option<String>,
    /// The authority's directory.
    pub directory: String,
    /// PEM roots that it is verified against; `None` for the system's.
    pub directory_ca: Option<PathBuf>,
    /// Where accounts and certificates are kept.
    pub cache: PathBuf,
}

impl Written {
    /// Checks it: `directory_ca` starts at `folder`, the cache at `state_dir`.
    pub(super) fn check(
        self,
        report: &Reporter<'_>,
        folder: &Path,
        state_dir: &Path,
    ) -> Result<AcmeOrder, ConfigError> {
        if self.domains.get_ref().is_empty() {
            let what = "`listen.acme` needs the names in `domains`, such as [\"sms.example.com\"]";
            return Err(report.at(self.domains.span(), what));
        }
        let domains = self.domains.get_ref().iter().map(|name| domain(report, name));
        if let Some(contact) = &self.contact
            && !contact.get_ref().starts_with("mailto:")
        {
            let what = "`listen.acme.contact` is a \"mailto:\" address";
            return Err(report.at(contact.span(), what));
        }
        if let Some(directory) = &self.directory {
            let uri = directory.get_ref().parse::<hyper::Uri>();
            if !uri.is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some()) {
                let what = format!(
                    "`listen.acme.directory` is an authority's https address, such as \
                     \"{DIRECTORY_DEFAULT}\""
                );
                return Err(report.at(directory.span(), what));
            }
        }
        Ok(AcmeOrder {
            domains: domains.collect::<Result<_, _>>()?,
            contact: self.contact.map(Spanned::into_inner),
            directory: self
                .directory
                .map_or_else(|| DIRECTORY_DEFAULT.to_owned(), Spanned::into_inner),
            directory_ca: self.directory_ca.map(|path| folder.join(path)),
            cache: state_dir.join(self.cache.map_or_else(|| PathBuf::from("acme"), PathBuf::from)),
        })
    }
}

fn domain(report: &Reporter<'_>, name: &Spanned<String>) -> Result<String, ConfigError> {
    let text = name.get_ref().to_ascii_lowercase();
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.len() < 64 && label.bytes().all(is_letter)
    };
    if text.contains('*') {
        let what = "an authority proves a name with a star by DNS only, which Farebox doesn't \
                    speak: list each name";
        return Err(report.at(name.span(), what));
    }
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    if !text.contains('.') || is_address || !text.split('.').all(is_label) {
        let what = format!("`{text}` is not a name such as \"sms.example.com\"");
        return Err(report.at(name.span(), what));
    }
    Ok(text)
}
