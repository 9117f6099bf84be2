//! `[ops]`: the listener for operators.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::socket_address::socket_address;

/// Where it listens, where nothing else is said.
const ADDRESS_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9402);

/// The section, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) address: Option<Spanned<String>>,
}

impl Written {
    /// Where it listens.
    pub(super) fn address(&self, report: &Reporter<'_>) -> Result<SocketAddr, ConfigError> {
        match &self.address {
            Some(address) => socket_address(report, "ops.address", address),
            None => Ok(ADDRESS_DEFAULT),
        }
    }
}
