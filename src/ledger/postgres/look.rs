//! What `check` sees of a database, without changing anything: all that `serve` would meet.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_postgres::{Client, Config};

use super::connect::{CONNECT_TIMEOUT, connect};
use super::connection::{LAYOUT_MARK, check_layout, check_secrets, has_tables, no_ledger};
use super::error::PostgresError;
use super::statements::COUNT;
use super::{life, session};
use crate::ledger::id::LedgerId;

/// Whether a schema may be made.
const MAY_MAKE: &str = "SELECT has_database_privilege(current_database(), 'CREATE')";

/// What is known of the master secrets: their fingerprints, and the ledgers that they name.
pub struct KnownSecrets {
    /// All that verify.
    pub fingerprints: Vec<[u8; 16]>,
    /// The ledgers that they were made for.
    pub ledgers: Vec<LedgerId>,
}

/// Connects, reads and goes. Without `secrets`, these aren't compared.
pub(super) async fn look(
    config: &Config,
    tls: &Arc<ClientConfig>,
    secrets: Option<&KnownSecrets>,
    network: &str,
) -> Result<String, PostgresError> {
    session::check(config, tls).await?;
    let (client, driver) = connect(config, tls).await?;
    let looked = timeout(CONNECT_TIMEOUT, read(&client, secrets, network)).await;
    driver.abort();
    looked.unwrap_or_else(|_| Err(PostgresError::silent(CONNECT_TIMEOUT)))
}

async fn read(
    client: &Client,
    secrets: Option<&KnownSecrets>,
    network: &str,
) -> Result<String, PostgresError> {
    let named = secrets.map_or(&[][..], |secrets| secrets.ledgers.as_slice());
    if !has_tables(client).await? {
        if let Some(named) = named.first() {
            return Err(no_ledger(*named));
        }
        if !client.query_one(MAY_MAKE, &[]).await?.get::<_, bool>(0) {
            return Err(PostgresError::Unusable(
                "this user may not make the schema `farebox` in the database: GRANT CREATE ON \
                 DATABASE to it"
                    .to_owned(),
            ));
        }
        let said = "PostgreSQL answers; the schema `farebox` will be made at the first start";
        return Ok(said.to_owned());
    }
    check_layout(&client.query_one(LAYOUT_MARK, &[]).await?)?;
    life::check(client, named).await?;
    life::check_network(client, network).await?;
    if let Some(secrets) = secrets {
        check_secrets(client, &secrets.fingerprints).await?;
    }
    let row = client.query_one(COUNT.as_str(), &[]).await?;
    let (tickets, parked): (i64, i64) = (row.get(0), row.get(1));
    Ok(format!("PostgreSQL: {tickets} ticket(s), {parked} parked"))
}
