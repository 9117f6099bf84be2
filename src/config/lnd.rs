//! `[lnd]`: the Lightning node, and what is asked of it.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::file_path::FilePath;
use super::units::ConfigDuration;
use crate::lightning::lnd::LndSettings;
use crate::lightning::network::Network;

/// How long an invoice can be paid, where nothing else is said.
const INVOICE_EXPIRY_DEFAULT: Duration = Duration::from_secs(600);

/// Deadline of each call, where nothing else is said.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// Most invoices that are made ahead for each service, where nothing else is said, and that may be.
const MINT_AHEAD_DEFAULT: usize = 100;
const MINT_AHEAD_MAX: u32 = 10_000;

/// The section, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) address: Spanned<String>,
    pub(super) certificate: FilePath,
    pub(super) macaroon: FilePath,
    pub(super) network: Spanned<String>,
    pub(super) invoice_expiry: Option<Spanned<ConfigDuration>>,
    pub(super) timeout: Option<ConfigDuration>,
    #[serde(default)]
    pub(super) private: bool,
    #[serde(default)]
    pub(super) detect_payments: bool,
    pub(super) mint_ahead: Option<Spanned<u32>>,
}

impl Written {
    /// How the node is reached; relative paths start at `folder`.
    pub(super) fn node(
        &self,
        report: &Reporter<'_>,
        folder: &Path,
    ) -> Result<LndSettings, ConfigError> {
        let network =
            Network::ALL.into_iter().find(|network| network.name() == self.network.get_ref());
        let network = network.ok_or_else(|| {
            report.at(
                self.network.span(),
                "`lnd.network` is one of \"mainnet\", \"testnet\", \"signet\", \"regtest\"",
            )
        })?;
        let address = self.address.get_ref();
        let good = address
            .parse::<hyper::http::uri::Authority>()
            .is_ok_and(|authority| authority.port_u16().is_some());
        if !good || address.contains('@') {
            return Err(report.at(
                self.address.span(),
                "`lnd.address` should be LND's gRPC listener as \
                                               \"host:port\", such as \"127.0.0.1:10009\"",
            ));
        }
        Ok(LndSettings {
            address: address.clone(),
            certificate: folder.join(&self.certificate),
            macaroon: folder.join(&self.macaroon),
            network,
            timeout: self.timeout.as_ref().map_or(TIMEOUT_DEFAULT, |timeout| timeout.0),
            private: self.private,
        })
    }

    /// How long an invoice can be paid.
    pub(super) fn invoice_expiry(&self, report: &Reporter<'_>) -> Result<Duration, ConfigError> {
        let Some(expiry) = &self.invoice_expiry else { return Ok(INVOICE_EXPIRY_DEFAULT) };
        let duration = expiry.get_ref().0;
        // LND reads 0 as 24 hours.
        if (Duration::from_secs(10)..=Duration::from_secs(86_400)).contains(&duration) {
            Ok(duration)
        } else {
            Err(report
                .at(expiry.span(), "`lnd.invoice_expiry` should be between \"10s\" and \"24h\""))
        }
    }

    /// Most invoices that are made ahead for each service.
    pub(super) fn mint_ahead(&self, report: &Reporter<'_>) -> Result<usize, ConfigError> {
        match &self.mint_ahead {
            None => Ok(MINT_AHEAD_DEFAULT),
            Some(most) if *most.get_ref() > MINT_AHEAD_MAX => Err(report
                .at(most.span(), "`lnd.mint_ahead` should be at most 10000 (0 switches it off)")),
            Some(most) => Ok(*most.get_ref() as usize),
        }
    }
}
