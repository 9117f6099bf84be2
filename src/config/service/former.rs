//! What a service was named, and where it was, before.

use std::sync::Arc;

use hyper::Method;
use toml::Spanned;

use super::address;
use crate::config::error::{ConfigError, Reporter};

/// Names and addresses that a service had.
#[derive(Default)]
pub(super) struct Former {
    pub(super) names: Vec<Arc<str>>,
    pub(super) addresses: Vec<(Method, String)>,
}

/// `formerly = ["old-name", "POST /old/path"]`.
pub(super) fn read(
    report: &Reporter<'_>,
    written: &[Spanned<String>],
    is_free: bool,
) -> Result<Former, ConfigError> {
    let mut former = Former::default();
    for one in written {
        if is_free {
            let what = "`formerly` is for paid services: a free one has no tickets to redeem";
            return Err(report.at(one.span(), what));
        }
        match one.get_ref().split_once(' ') {
            None => former.names.push(address::name(report, one)?),
            Some((method, path)) => {
                let part = |text: &str| Spanned::new(one.span(), text.to_owned());
                let method = address::method(report, &part(method))?;
                former.addresses.push((method, address::path(report, &part(path))?));
            }
        }
    }
    Ok(former)
}
