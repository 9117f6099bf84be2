//! What `check` tells of the node, where the macaroon may ask.

use super::Lnd;
use crate::lightning::lnrpc::lightning_client::LightningClient;
use crate::lightning::{Trouble, lnrpc};

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

/// Its channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// How many are active.
    pub active: usize,
    /// Of these, how many are private.
    pub private: usize,
    /// The most that the active ones can receive, in sat.
    pub inbound_sat: u64,
}

impl Lnd {
    /// Needs `info:read`.
    pub async fn info(&self) -> Result<Info, Trouble> {
        let line = self.line.ready(&self.settings)?;
        let request = line.request(lnrpc::GetInfoRequest {});
        let answer = self.within(async { LightningClient::new(line.channel()).get_info(request).await }).await;
        let said = answer.map_err(|no| no.trouble)?;
        Ok(Info {
            alias: said.alias,
            version: said.version,
            network: said.chains.into_iter().next().map(|chain| chain.network),
            synced: said.synced_to_chain,
        })
    }

    /// Needs `offchain:read`.
    pub async fn channels(&self) -> Result<Channels, Trouble> {
        let line = self.line.ready(&self.settings)?;
        let request = line.request(lnrpc::ListChannelsRequest {});
        let answer = self.within(async { LightningClient::new(line.channel()).list_channels(request).await }).await;
        let all = answer.map_err(|no| no.trouble)?.channels;
        let active: Vec<_> = all.into_iter().filter(|channel| channel.active).collect();
        Ok(Channels {
            active: active.len(),
            private: active.iter().filter(|channel| channel.private).count(),
            inbound_sat: active.iter().map(|channel| u64::try_from(channel.remote_balance).unwrap_or(0)).sum(),
        })
    }
}
