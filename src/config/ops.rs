//! `[ops]`: the listener for operators.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use super::error::{ConfigError, Reporter};
use super::secret::SecretSource;
use super::socket_address::socket_address;

/// Where it listens, where nothing else is said.
const ADDRESS_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9402);

/// The section, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) address: Option<Spanned<String>>,
    pub(super) token: Option<Spanned<SecretSource>>,
    #[serde(default)]
    pub(super) hosts: Vec<Spanned<String>>,
}

/// The listener for operators.
#[derive(Clone)]
pub struct OpsSettings {
    /// Where it binds.
    pub address: SocketAddr,
    /// What is asked of whoever looks at tickets or changes them.
    pub token: Option<Zeroizing<String>>,
    /// Names that it may be called by, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Written {
    /// Checks it; relative paths start at `folder`.
    pub(super) fn check(
        &self,
        report: &Reporter<'_>,
        folder: &Path,
    ) -> Result<OpsSettings, ConfigError> {
        let address = match &self.address {
            Some(address) => socket_address(report, "ops.address", address)?,
            None => ADDRESS_DEFAULT,
        };
        let read = |source: &Spanned<SecretSource>| {
            source.get_ref().read(folder).map_err(|error| {
                report.at(source.span(), format!("`ops.token`: {error}")).by(&error)
            })
        };
        let token = self.token.as_ref().map(read).transpose()?;
        if let (Some(written), None, false) = (&self.address, &token, address.ip().is_loopback()) {
            return Err(report.at(
                written.span(),
                "whoever reaches `ops.address` can change tickets: let it be a loopback address, \
                 or set `ops.token` = { file = \"...\" }, which /tickets then asks for",
            ));
        }
        let host = |host: &Spanned<String>| {
            let name = host.get_ref();
            let is_name = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            let what = "`ops.hosts` are names such as \"farebox.internal\", without port or scheme";
            if is_name { Ok(name.clone()) } else { Err(report.at(host.span(), what)) }
        };
        let hosts = self.hosts.iter().map(host).collect::<Result<_, _>>()?;
        Ok(OpsSettings { address, token, hosts })
    }
}
