//! `[pages]`: what people see in a browser.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyper::Uri;
use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::file_path::FilePath;
use crate::answer::page_settings::{Accent, Logo, PageSettings, WalletLink};

/// Longest logo, in bytes: it is part of every first page.
const LOGO_MAX_BYTES: u64 = 64 * 1024;

/// The section, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) enabled: Option<bool>,
    pub(super) title: Option<String>,
    pub(super) about: Option<String>,
    pub(super) contact: Option<Spanned<String>>,
    pub(super) terms: Option<Spanned<String>>,
    pub(super) accent: Option<Spanned<String>>,
    pub(super) logo: Option<Spanned<FilePath>>,
    pub(super) wallet: Option<Spanned<WrittenWallet>>,
    pub(super) static_dir: Option<Spanned<FilePath>>,
}

/// `{ title = "..", url = "..{invoice}.." }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenWallet {
    pub(super) title: String,
    pub(super) url: String,
}

impl Written {
    /// Checks it; relative paths start at `folder`. Reads the logo.
    pub(super) fn check(
        self,
        report: &Reporter<'_>,
        folder: &Path,
    ) -> Result<PageSettings, ConfigError> {
        let link = |key: &str, schemes: &[&str], text: Option<Spanned<String>>| {
            let Some(text) = text else { return Ok(None) };
            let is_link = is_link(text.get_ref(), schemes);
            let what = format!("`pages.{key}` begins with {}", schemes.join(" or "));
            let fault = report.at(text.span(), what);
            if is_link { Ok(Some(text.into_inner())) } else { Err(fault) }
        };
        Ok(PageSettings {
            is_enabled: self.enabled.unwrap_or(true),
            title: self.title,
            about: self.about,
            contact: link("contact", &["mailto:", "https://", "http://"], self.contact)?,
            terms: link("terms", &["https://", "http://"], self.terms)?,
            accent: accent(report, self.accent)?,
            logo: self.logo.map(|path| logo(report, folder, &path)).transpose()?,
            wallet: self.wallet.map(|link| wallet(report, link)).transpose()?,
            static_dir: self.static_dir.map(|dir| static_dir(report, folder, &dir)).transpose()?,
        })
    }
}

fn is_link(text: &str, schemes: &[&str]) -> bool {
    let has_scheme =
        schemes.iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    has_scheme && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// `#rgb` or `#rrggbb` (CSS Color Module Level 4, section 5.2).
fn accent(
    report: &Reporter<'_>,
    written: Option<Spanned<String>>,
) -> Result<Option<Accent>, ConfigError> {
    let Some(written) = written else { return Ok(None) };
    let read = |text: &str| {
        let digits = text.strip_prefix('#')?;
        let full: String = match digits.len() {
            3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
            6 => digits.to_owned(),
            _ => return None,
        };
        let mut rgb = [0_u8; 3];
        hex::decode_to_slice(full, &mut rgb).ok().map(|()| Accent(rgb))
    };
    let what = "`pages.accent` is a colour such as \"#0a7\" or \"#00aa77\"";
    read(written.get_ref()).map(Some).ok_or_else(|| report.at(written.span(), what))
}

fn logo(
    report: &Reporter<'_>,
    folder: &Path,
    written: &Spanned<FilePath>,
) -> Result<Logo, ConfigError> {
    let path = folder.join(written.get_ref());
    let fault = |what: String| report.at(written.span(), format!("`pages.logo`: {what}"));
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let media_type = match ending.to_ascii_lowercase().as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        _ => return Err(fault("a picture that ends in .svg, .png, .jpg, .webp or .gif".into())),
    };
    let unreadable = |error: std::io::Error| fault(format!("{}: {error}", path.display()));
    let length = std::fs::metadata(&path).map_err(unreadable)?.len();
    if length > LOGO_MAX_BYTES {
        let what = format!("{} has {length} bytes, and at most {LOGO_MAX_BYTES}", path.display());
        return Err(fault(format!("{what} make a page that is quick to load")));
    }
    let bytes: Bytes = std::fs::read(&path).map_err(unreadable)?.into();
    Ok(Logo { media_type, bytes })
}

fn wallet(
    report: &Reporter<'_>,
    written: Spanned<WrittenWallet>,
) -> Result<WalletLink, ConfigError> {
    let span = written.span();
    let WrittenWallet { title, url } = written.into_inner();
    let filled = url.replace("{invoice}", "lnbc1");
    let is_url = is_link(&filled, &["https://", "http://"]) && filled.parse::<Uri>().is_ok();
    if filled == url || !is_url || title.trim().is_empty() {
        return Err(report.at(
            span,
            "`pages.wallet` is { title = \"My wallet\", url = \"https://...{invoice}\" }, where \
             {invoice} stands for the invoice",
        ));
    }
    Ok(WalletLink { title, url })
}

fn static_dir(
    report: &Reporter<'_>,
    folder: &Path,
    written: &Spanned<FilePath>,
) -> Result<PathBuf, ConfigError> {
    let path = folder.join(written.get_ref());
    let fault = |what: String| report.at(written.span(), format!("`pages.static_dir`: {what}"));
    match path.canonicalize() {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(_) => Err(fault(format!("{} is no folder", path.display()))),
        Err(error) => Err(fault(format!("{}: {error}", path.display()))),
    }
}
