//! `[limits]`: bounds on what strangers can use up.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Reporter};
use super::units::Size;
use crate::service::BODY_DEFAULT;

/// What holds where nothing else is said.
const UNPAID_PER_CLIENT_DEFAULT: u32 = 30;
const UNPAID_TOTAL_DEFAULT: u32 = 10_000;
const STORED_ANSWER_DEFAULT: usize = 64 * 1024;
const CONNECTIONS_DEFAULT: usize = 10_000;
const CONNECTIONS_PER_CLIENT_DEFAULT: usize = 200;
const REDEMPTIONS_DEFAULT: usize = 1024;

/// The section, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) unpaid_per_client: Option<u32>,
    pub(super) unpaid_total: Option<u32>,
    pub(super) body: Option<Size>,
    pub(super) stored_answer: Option<Size>,
    pub(super) connections: Option<Spanned<u32>>,
    pub(super) connections_per_client: Option<Spanned<u32>>,
    pub(super) redemptions: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<Spanned<String>>,
}

/// Bounds on what strangers can use up.
#[derive(Clone, Default)]
pub struct Limits {
    /// Unpaid challenges per client.
    pub unpaid_per_client: usize,
    /// Unpaid challenges in all.
    pub unpaid_total: usize,
    /// Longest request body, in bytes.
    pub body: usize,
    /// Longest answer that is kept for replays, in bytes.
    pub stored_answer: usize,
    /// Most connections at once.
    pub connections: usize,
    /// Most connections of one client at once; trusted proxies have no such limit.
    pub connections_per_client: usize,
    /// Most redemptions under way at once, and connections to each backend.
    pub redemptions: usize,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Written {
    /// Checks it.
    pub(super) fn check(self, report: &Reporter<'_>) -> Result<Limits, ConfigError> {
        let at_least_one = |key: &str, value: Option<Spanned<u32>>, default: usize| match value {
            None => Ok(default),
            Some(value) if *value.get_ref() == 0 => {
                Err(report.at(value.span(), format!("`limits.{key}` should be at least 1")))
            }
            Some(value) => Ok(value.into_inner() as usize),
        };
        let trusted_proxies = self
            .trusted_proxies
            .iter()
            .map(|text| {
                let net = text.get_ref();
                net.parse()
                    .or_else(|_| net.parse().map(|address: IpAddr| IpNet::from(address)))
                    .map_err(|_| {
                        let example = "such as \"10.0.0.1\" or \"10.0.0.0/8\"";
                        report
                            .at(text.span(), format!("`{net}` is no address or network, {example}"))
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Limits {
            unpaid_per_client: self.unpaid_per_client.unwrap_or(UNPAID_PER_CLIENT_DEFAULT) as usize,
            unpaid_total: self.unpaid_total.unwrap_or(UNPAID_TOTAL_DEFAULT) as usize,
            body: self.body.map_or(BODY_DEFAULT, |size| size.0),
            stored_answer: self.stored_answer.map_or(STORED_ANSWER_DEFAULT, |size| size.0),
            connections: at_least_one("connections", self.connections, CONNECTIONS_DEFAULT)?,
            connections_per_client: at_least_one(
                "connections_per_client",
                self.connections_per_client,
                CONNECTIONS_PER_CLIENT_DEFAULT,
            )?,
            redemptions: at_least_one("redemptions", self.redemptions, REDEMPTIONS_DEFAULT)?,
            trusted_proxies,
        })
    }
}
