//! A connection that comes back: connected, checked and prepared by a task of its own, and cut when
//! the server doesn't answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{info, warn};

use super::SecretTerms;
use super::rows::signed;
use super::statements::{NOTE_SECRET, Prepared, SECRETS_IN_USE};
use crate::time::UnixTime;

/// The layout that this version knows.
const LAYOUT: i64 = 2;

/// Keeps two instances from making the layout at once.
const MIGRATION_LOCK: i64 = 0x6661_7265_626f_7800;

/// How often a connection is asked whether it lives, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_LIMIT: Duration = Duration::from_secs(3);

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How a connection is made.
pub(super) struct Way {
    pub(super) config: Config,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) secrets: SecretTerms,
}

/// A connection that is ready.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) prepared: Prepared,
}

/// A place for one connection, and why there is none.
pub(super) struct Line {
    state: Mutex<Result<Arc<Link>, String>>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(Err("not connected yet".to_owned())) }
    }

    pub(super) fn link(&self) -> Result<Arc<Link>, String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: Result<Arc<Link>, String>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Keeps the connection up for as long as it is polled. `first` may be one that is made
    /// already.
    pub(super) async fn keep(&self, way: &Way, mut first: Option<Opened>) {
        loop {
            let opened = match first.take() {
                Some(opened) => Ok(opened),
                None => open(way).await,
            };
            match opened {
                Ok(Opened { link, driver }) => {
                    if self.link().is_err() {
                        info!("ledger: connected to PostgreSQL");
                    }
                    self.set(Ok(Arc::clone(&link)));
                    let why = alive(&link, &driver).await;
                    driver.abort();
                    warn!("ledger: the connection to PostgreSQL is lost: {why}");
                    self.set(Err(why));
                }
                Err(why) => {
                    if self.link().err().as_ref() != Some(&why) {
                        warn!("ledger: {why}");
                    }
                    self.set(Err(why));
                }
            }
            sleep(RETRY_AFTER).await;
        }
    }
}

/// A connection and the task that drives it.
pub(super) struct Opened {
    pub(super) link: Arc<Link>,
    driver: tokio::task::JoinHandle<()>,
}

/// Connects, makes or checks the layout, and compares the secrets. `Err` is for the operator.
pub(super) async fn open(way: &Way) -> Result<Opened, String> {
    let connecting = way.config.connect(MakeRustlsConnect::new((*way.tls).clone()));
    let (mut client, connection) = match timeout(CONNECT_LIMIT, connecting).await {
        Ok(connected) => connected.map_err(|error| words(&error))?,
        Err(_) => return Err(format!("PostgreSQL does not answer within {CONNECT_LIMIT:?}")),
    };
    let driver = tokio::spawn(async move {
        // Its end shows in the ping.
        let _ = connection.await;
    });
    let ready = timeout(CONNECT_LIMIT, prepare(&mut client, &way.secrets)).await;
    match ready
        .unwrap_or_else(|_| Err(format!("PostgreSQL does not answer within {CONNECT_LIMIT:?}")))
    {
        Ok(prepared) => Ok(Opened { link: Arc::new(Link { client, prepared }), driver }),
        Err(why) => {
            driver.abort();
            Err(why)
        }
    }
}

/// Connects, reads and goes.
pub(super) async fn look(config: &Config, tls: &Arc<ClientConfig>) -> Result<String, String> {
    let looking = async {
        let (client, connection) = config.connect(MakeRustlsConnect::new((**tls).clone())).await?;
        let driver = tokio::spawn(connection);
        let row =
            client.query_one("SELECT to_regclass('farebox.tickets') IS NOT NULL", &[]).await?;
        let said = if row.get(0) {
            let row = client
                .query_one(
                    "SELECT count(*), count(*) FILTER (WHERE state = 4) FROM farebox.tickets",
                    &[],
                )
                .await?;
            format!(
                "PostgreSQL: {} ticket(s), {} parked",
                row.get::<_, i64>(0),
                row.get::<_, i64>(1)
            )
        } else {
            "PostgreSQL answers; the schema `farebox` will be made at the first start".to_owned()
        };
        driver.abort();
        Ok::<_, Error>(said)
    };
    match timeout(CONNECT_LIMIT, looking).await {
        Ok(said) => said.map_err(|error| words(&error)),
        Err(_) => Err(format!("PostgreSQL does not answer within {CONNECT_LIMIT:?}")),
    }
}

async fn prepare(client: &mut Client, secrets: &SecretTerms) -> Result<Prepared, String> {
    let words = |error: Error| words(&error);
    // Weaker settings would lose claims in a crash of the server; stronger ones are the operator's
    // wish.
    let durable = "SELECT set_config('synchronous_commit', 'on', false) WHERE \
                   current_setting('synchronous_commit') IN ('off', 'local')";
    client.batch_execute(durable).await.map_err(words)?;
    migrate(client).await?;
    let now = UnixTime::now();
    let in_use = client.query(SECRETS_IN_USE, &[&signed(now.seconds())]).await.map_err(words)?;
    let missing = in_use
        .iter()
        .filter(|row| !secrets.known.iter().any(|known| known.as_slice() == row.get::<_, &[u8]>(0)))
        .count();
    if missing > 0 {
        return Err(format!(
            "{missing} master secret(s) that tickets are still signed with are missing from \
             `tickets.master_secret`; paid tickets would be worthless"
        ));
    }
    let until = signed(now.plus(secrets.needed_for).seconds());
    client.execute(NOTE_SECRET, &[&secrets.minting.as_slice(), &until]).await.map_err(words)?;
    Prepared::on(client).await.map_err(words)
}

async fn migrate(client: &mut Client) -> Result<(), String> {
    let words = |error: Error| words(&error);
    let transaction = client.transaction().await.map_err(words)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
        .await
        .map_err(words)?;
    let exists: bool = transaction
        .query_one("SELECT to_regclass('farebox.marks') IS NOT NULL", &[])
        .await
        .map_err(words)?
        .get(0);
    if exists {
        let row = transaction
            .query_one("SELECT value FROM farebox.marks WHERE name = 'layout'", &[])
            .await
            .map_err(words)?;
        let found: i64 = row.get(0);
        match found {
            LAYOUT => {}
            1 => transaction.batch_execute(include_str!("accounts.sql")).await.map_err(words)?,
            found => {
                return Err(format!(
                    "the database has the layout {found}, this Farebox knows {LAYOUT}; run the \
                     newer version"
                ));
            }
        }
    } else {
        transaction.batch_execute(include_str!("schema.sql")).await.map_err(words)?;
        transaction.batch_execute(include_str!("accounts.sql")).await.map_err(words)?;
    }
    transaction.commit().await.map_err(words)
}

/// Ends, with why, when the connection does.
async fn alive(link: &Link, driver: &tokio::task::JoinHandle<()>) -> String {
    loop {
        sleep(PING_EVERY).await;
        if driver.is_finished() || link.client.is_closed() {
            return "it was closed".to_owned();
        }
        match timeout(PING_LIMIT, link.client.simple_query("SELECT 1")).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return words(&error),
            Err(_) => return format!("no answer within {PING_LIMIT:?}"),
        }
    }
}

/// An error with its cause; tokio-postgres's own words are "db error" and the like. No password is
/// in them.
pub(super) fn words(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("PostgreSQL: {error}: {cause}"),
        None => format!("PostgreSQL: {error}"),
    }
}
