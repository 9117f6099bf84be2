//! Names, methods and paths of services.

use std::sync::Arc;

use hyper::Method;
use toml::Spanned;

use crate::config::error::{ConfigError, Reporter};
use crate::service::OWN_PATHS;

/// Lower case, digits and hyphens: it stands in caveats, metrics and logs.
pub(super) fn name(report: &Reporter<'_>, name: &Spanned<String>) -> Result<Arc<str>, ConfigError> {
    let text = name.get_ref();
    let good = (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good {
        Ok(text.as_str().into())
    } else {
        Err(report.at(
            name.span(),
            "a service's `name` has 1 to 40 of the characters a-z, 0-9 and hyphen",
        ))
    }
}

pub(super) fn method(
    report: &Reporter<'_>,
    method: &Spanned<String>,
) -> Result<Method, ConfigError> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    known.into_iter().find(|known| known.as_str() == method.get_ref()).ok_or_else(|| {
        report.at(
            method.span(),
            "`method` is one of \"GET\", \"HEAD\", \"POST\", \"PUT\", \
                                  \"PATCH\", \"DELETE\", \"OPTIONS\"",
        )
    })
}

/// Only what can be written in one way: no escapes, no empty or dotted segments.
pub(super) fn path(report: &Reporter<'_>, path: &Spanned<String>) -> Result<String, ConfigError> {
    let text = path.get_ref();
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b));
    let segments_good = text.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').enumerate().all(|(n, segment)| {
            !matches!(segment, "." | "..") && (!segment.is_empty() || n > 0 || rest.is_empty())
        })
    });
    if let Some(own) = OWN_PATHS.iter().find(|own| text.starts_with(**own)) {
        return Err(report.at(
            path.span(),
            format!("`path`: what begins with {own} is Farebox's own; take another path"),
        ));
    }
    if plain && segments_good && !text.contains("//") {
        Ok(text.clone())
    } else {
        Err(report.at(
            path.span(),
            "`path` starts with / and has only the characters a-z A-Z 0-9 - . _ \
                              ~ and single slashes; it matches exactly",
        ))
    }
}

/// In lower case, without port and the dot of a fully qualified name.
pub(super) fn host(report: &Reporter<'_>, host: &Spanned<String>) -> Result<String, ConfigError> {
    let text = host.get_ref().to_ascii_lowercase();
    let text = text.strip_suffix('.').unwrap_or(&text).to_owned();
    let good = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    if good {
        Ok(text)
    } else {
        Err(report
            .at(host.span(), "`host` is a host name without port, such as \"sms.example.com\""))
    }
}
