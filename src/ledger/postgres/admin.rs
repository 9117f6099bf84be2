//! What an operator does with a ledger that nobody needs to serve.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio_postgres::Client;
use zeroize::Zeroizing;

use super::connect::connect;
use super::connection::{has_tables, migrate};
use super::error::PostgresError;
use super::life::{Queries as _, begin_life, id, unusable};
use super::statements::{FORGET_PARKED, PARK_RESTORED};
use super::url::read_url;
use crate::ledger::id::LedgerId;

/// A connection for that.
pub struct Admin {
    client: Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Admin {
    /// Connects.
    pub async fn connect(
        url: &Zeroizing<String>,
        tls: &Arc<ClientConfig>,
    ) -> Result<Self, PostgresError> {
        let (client, driver) = connect(&read_url(url)?, tls).await?;
        Ok(Self { client, driver })
    }

    /// Makes an empty ledger where there is none.
    pub async fn make(&mut self) -> Result<LedgerId, PostgresError> {
        if has_tables(&self.client).await? {
            let there = "the database has a ledger already, which is not touched";
            return Err(PostgresError::Unusable(there.to_owned()));
        }
        migrate(&mut self.client, &[]).await?;
        id(&self.client).await
    }

    /// Begins a new life after a dump was put back, and says how many tickets it has parked.
    pub async fn restored(&mut self) -> Result<(LedgerId, u64), PostgresError> {
        if !has_tables(&self.client).await? {
            return Err(unusable("the database has no ledger; put the copy back first"));
        }
        let transaction = self.client.transaction().await?;
        transaction.execute(FORGET_PARKED.as_str(), &[]).await?;
        let parked = transaction.execute(PARK_RESTORED.as_str(), &[]).await?;
        transaction.set("released", 0).await?;
        begin_life(&transaction).await?;
        let id = id(&transaction).await?;
        transaction.commit().await?;
        Ok((id, parked))
    }
}
