//! What `check` tells of the node, where the macaroon may ask.

use super::Lnd;
use super::proto::lnrpc;
use super::proto::lnrpc::lightning_client::LightningClient;
use crate::lightning::error::NodeError;

/// Who the node is.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its name.
    pub alias: String,
    /// LND's version.
    pub version: String,
    /// The network that it says it is on.
    pub network: Option<String>,
    /// Whether it has seen the newest block.
    pub synced: bool,
}

/// Its active channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Those that the network knows of.
    pub public: Inbound,
    /// Those that only an invoice can name.
    pub private: Inbound,
}

/// What some channels can receive.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// How many channels.
    pub channels: usize,
    /// The most that they can receive together, in sat: what the other ends have, but for what they
    /// must keep.
    pub sat: u64,
}

impl Inbound {
    /// These and others.
    pub fn and(self, others: Self) -> Self {
        Self { channels: self.channels + others.channels, sat: self.sat.saturating_add(others.sat) }
    }

    fn of(channels: &[lnrpc::Channel], private: bool) -> Self {
        channels.iter().filter(|channel| channel.active && channel.private == private).fold(
            Self::default(),
            |sum, channel| {
                let reserve = channel
                    .remote_constraints
                    .as_ref()
                    .map_or(0, |constraints| constraints.chan_reserve_sat);
                let sat =
                    u64::try_from(channel.remote_balance).unwrap_or(0).saturating_sub(reserve);
                sum.and(Self { channels: 1, sat })
            },
        )
    }
}

impl Lnd {
    /// Needs `info:read`.
    pub async fn info(&self) -> Result<Info, NodeError> {
        let ready = self.endpoint.ready(&self.settings)?;
        let request = ready.request(lnrpc::GetInfoRequest {});
        let answer = self
            .within(async { LightningClient::new(ready.channel()).get_info(request).await })
            .await;
        let said = answer.map_err(|no| no.error)?;
        Ok(Info {
            alias: said.alias,
            version: said.version,
            network: said.chains.into_iter().next().map(|chain| chain.network),
            synced: said.synced_to_chain,
        })
    }

    /// Needs `offchain:read`.
    pub async fn channels(&self) -> Result<Channels, NodeError> {
        let ready = self.endpoint.ready(&self.settings)?;
        let request = ready.request(lnrpc::ListChannelsRequest {});
        let answer = self
            .within(async { LightningClient::new(ready.channel()).list_channels(request).await })
            .await;
        let all = answer.map_err(|no| no.error)?.channels;
        Ok(Channels { public: Inbound::of(&all, false), private: Inbound::of(&all, true) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbound_is_what_active_channels_have_at_their_other_ends_but_for_the_reserve() {
        let channel = |active, private, remote_balance, reserve: Option<u64>| lnrpc::Channel {
            active,
            private,
            remote_balance,
            remote_constraints: reserve
                .map(|chan_reserve_sat| lnrpc::ChannelConstraints { chan_reserve_sat }),
            ..Default::default()
        };
        let all = [
            channel(true, false, 1000, Some(100)),
            channel(true, false, 50, Some(100)),
            channel(true, false, 7, None),
            channel(false, false, 9999, None),
            channel(true, true, 500, Some(1)),
        ];
        assert_eq!(Inbound::of(&all, false), Inbound { channels: 3, sat: 907 });
        assert_eq!(Inbound::of(&all, true), Inbound { channels: 1, sat: 499 });
    }
}
