//! Whether each of our connections has a session of its own. A pooler that gives every transaction
//! another one, as PgBouncer does in transaction mode, loses what we prepare and set.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, SimpleQueryMessage};

use super::connect::{CONNECT_TIMEOUT, connect};
use super::error::PostgresError;

/// How often it is looked whether a session changes.
const LOOKS: usize = 8;

/// Longest that an idle server takes for one word.
const SHARED_WAIT: Duration = Duration::from_secs(2);

/// `Err` if one server process serves several of our connections by turns.
pub(super) async fn check(config: &Config, tls: &Arc<ClientConfig>) -> Result<(), PostgresError> {
    let (one, one_driver) = connect(config, tls).await?;
    let (other, other_driver) = connect(config, tls).await?;
    let looked = timeout(CONNECT_TIMEOUT, are_own(&one, &other)).await;
    one_driver.abort();
    other_driver.abort();
    match looked {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(PostgresError::Unusable(
            "`ledger.postgres` leads to a pooler that gives each transaction another session \
             (PgBouncer with `pool_mode = transaction`), in which prepared statements and \
             settings are lost: name PostgreSQL itself, or set `pool_mode = session` for this \
             database"
                .to_owned(),
        )),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(PostgresError::silent(CONNECT_TIMEOUT)),
    }
}

/// Takes what session `one` has just used for `other`, as far as a pooler gives it away.
async fn are_own(one: &Client, other: &Client) -> Result<bool, tokio_postgres::Error> {
    let first = process(one).await?;
    for _ in 0..LOOKS {
        other.batch_execute("BEGIN").await?;
        let others = process(other).await?;
        // Of a pooler with one session the other has it now.
        let Ok(again) = timeout(SHARED_WAIT, process(one)).await else { return Ok(false) };
        let again = again?;
        other.batch_execute("ROLLBACK").await?;
        if others == first || again != first {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The number of the server's process behind a connection; by the simple protocol, which every
/// pooler passes on.
async fn process(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let said = client.simple_query("SELECT pg_backend_pid()").await?;
    Ok(said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
