//! How a backend is reached, and what it is sent beside what was priced.

use std::path::Path;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use toml::Spanned;
use zeroize::Zeroizing;

use super::written::{Reference, Written};
use crate::config::error::{ConfigError, Reporter};
use crate::config::secret::Value;
use crate::upstream::request::{IdempotencyKeyPlace, is_framing};
use crate::upstream::settings::UpstreamSettings;

/// The header field in which a backend is told our reference, where nothing else is said.
const REFERENCE: HeaderName = HeaderName::from_static("farebox-reference");

/// Time limit of each request, where nothing else is said.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Where it is, with the operator's own header fields and parameters.
pub(super) fn settings(
    report: &Reporter<'_>,
    folder: &Path,
    written: &Written,
) -> Result<UpstreamSettings, ConfigError> {
    Ok(UpstreamSettings {
        url: match &written.upstream {
            Some(upstream) => url(report, upstream)?,
            // The backend's preset has one.
            None => Uri::default(),
        },
        query: query(report, folder, written)?,
        fixed_names: fixed_names(written),
        headers: headers(report, folder, written)?,
        own: Vec::new(),
        ca: written.upstream_ca.as_ref().map(|path| folder.join(path)),
        timeout: written.timeout.as_ref().map_or(TIMEOUT_DEFAULT, |timeout| timeout.0),
    })
}

pub(super) fn url(report: &Reporter<'_>, upstream: &Spanned<String>) -> Result<Uri, ConfigError> {
    let fault = |what: &str| report.at(upstream.span(), format!("`upstream` {what}"));
    let uri: Uri = upstream
        .get_ref()
        .parse()
        .map_err(|_| fault("is not a URL, such as \"http://127.0.0.1:8080/send\""))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(fault("should start with http:// or https://"));
    }
    let authority = uri.authority().ok_or_else(|| fault("names no host"))?;
    if authority.as_str().contains('@') {
        return Err(fault(
            "must not carry a password; put it into `upstream_headers` as { env = \"NAME\" } or { \
             file = \"...\" }",
        ));
    }
    Ok(uri)
}

fn headers(
    report: &Reporter<'_>,
    folder: &Path,
    written: &Written,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let mut headers = Vec::new();
    for (name, value) in &written.upstream_headers {
        let fault = |what: String| {
            report.at(name.span(), format!("`upstream_headers`, {}: {what}", name.get_ref()))
        };
        let parsed = HeaderName::from_bytes(name.get_ref().as_bytes())
            .map_err(|_| fault("no name of a header field".to_owned()))?;
        if is_framing(&parsed) {
            return Err(fault(
                "it is about the connection or the body, and set by Farebox".to_owned(),
            ));
        }
        let (text, is_secret) = match value {
            Value::Plain(text) => (text.clone(), false),
            Value::Secret(source) => {
                let text =
                    source.read(folder).map_err(|error| fault(error.to_string()).by(&error))?;
                (text.to_string(), true)
            }
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| fault("the value can't stand in a header field".to_owned()))?;
        value.set_sensitive(is_secret);
        headers.push((parsed, value));
    }
    Ok(headers)
}

fn query(
    report: &Reporter<'_>,
    folder: &Path,
    written: &Written,
) -> Result<Vec<(String, Zeroizing<String>)>, ConfigError> {
    let fault = |name: &Spanned<String>, what: String| {
        report.at(name.span(), format!("`upstream_query`, {}: {what}", name.get_ref()))
    };
    let read = |(name, value): (&Spanned<String>, &Value)| {
        let value = match value {
            Value::Plain(text) => Zeroizing::new(text.clone()),
            Value::Secret(source) => {
                source.read(folder).map_err(|error| fault(name, error.to_string()).by(&error))?
            }
        };
        Ok((name.get_ref().clone(), value))
    };
    written.upstream_query.iter().map(read).collect()
}

/// The header field for our reference. A free service has none: it is passed on as it comes.
pub(super) fn reference(
    report: &Reporter<'_>,
    written: &Written,
    is_free: bool,
    key: Option<&IdempotencyKeyPlace>,
) -> Result<Option<HeaderName>, ConfigError> {
    if is_free {
        return match &written.reference {
            Some(given) => Err(report.at(given.span(), "`reference` is for paid services")),
            None => Ok(None),
        };
    }
    let Some(given) = &written.reference else {
        // A mapping says it where the backend reads it.
        return Ok(Some(REFERENCE).filter(|_| written.backend.is_none()));
    };
    let fault = |what: &str| report.at(given.span(), format!("`reference` {what}"));
    let example = "is { header = \"Farebox-Reference\" }, or false for none";
    let Reference::In(place) = given.get_ref() else {
        return match given.get_ref() {
            Reference::Off(false) => Ok(None),
            _ => Err(fault(example)),
        };
    };
    let name = HeaderName::from_bytes(place.header.as_bytes()).map_err(|_| fault(example))?;
    if is_framing(&name) || [HOST, AUTHORIZATION, CONTENT_TYPE, ACCEPT_ENCODING].contains(&name) {
        return Err(fault("names a header field that means something else"));
    }
    if matches!(key, Some(IdempotencyKeyPlace::Header(taken)) if *taken == name) {
        return Err(fault("names the header field of the key against repeats"));
    }
    Ok(Some(name))
}

pub(super) fn forward_headers(
    report: &Reporter<'_>,
    written: Option<&[Spanned<String>]>,
) -> Result<Vec<HeaderName>, ConfigError> {
    let Some(written) = written else {
        return Ok(["accept", "accept-language", "user-agent", "traceparent"]
            .map(HeaderName::from_static)
            .to_vec());
    };
    // These would change what is asked for, or hand our credential on.
    const REFUSED: [&str; 9] = [
        "authorization",
        "host",
        "macaroon",
        "content-type",
        "content-encoding",
        "range",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    written
        .iter()
        .map(|name| {
            let parsed = HeaderName::from_bytes(name.get_ref().as_bytes()).map_err(|_| {
                report.at(name.span(), format!("`{}` is no name of a header field", name.get_ref()))
            })?;
            if is_framing(&parsed)
                || REFUSED.contains(&parsed.as_str())
                || parsed.as_str().starts_with("if-")
            {
                return Err(report.at(
                    name.span(),
                    format!("`{parsed}` can't be forwarded from a client of a paid service"),
                ));
            }
            Ok(parsed)
        })
        .collect()
}

/// The parameters that the operator fixes: they replace a client's.
pub(super) fn fixed_names(written: &Written) -> Vec<String> {
    let address = written.upstream.as_ref().map_or("", |upstream| upstream.get_ref());
    let in_address = address.split_once('?').map_or("", |(_, query)| query);
    let in_address =
        form_urlencoded::parse(in_address.as_bytes()).map(|(name, _)| name.into_owned());
    in_address.chain(written.upstream_query.keys().map(|name| name.get_ref().clone())).collect()
}
