//! Addresses to listen on.

use std::net::SocketAddr;

use toml::Spanned;

use super::error::{ConfigError, Reporter};

/// An address and a port; `key` names it to the operator.
pub(super) fn socket_address(
    report: &Reporter<'_>,
    key: &str,
    text: &Spanned<String>,
) -> Result<SocketAddr, ConfigError> {
    text.get_ref().parse().map_err(|_| {
        report.at(
            text.span(),
            format!(
                "`{key}` should be an address and a port, such as \
                  \"127.0.0.1:8402\" or \"[::]:443\""
            ),
        )
    })
}
