//! A connection that comes back: connected, checked and prepared by a task of its own, and cut when
//! the server doesn't answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{info, warn};

use super::statements::{COUNT, NOTE_SECRET, Prepared, SECRETS_IN_USE};
use crate::ledger::error::LedgerError;
use crate::ledger::sql::{fill, signed};
use crate::time::UnixTime;

/// Number of the layout in `migrations`, as the mark `layout` keeps it.
const LAYOUT: i64 = 3;

/// Keeps two instances from making the layout at once.
const MIGRATION_LOCK: i64 = 0x6661_7265_626f_7800;

/// How often a connection is asked whether it lives, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// What the ledger has to know of the master secrets, since it may be reached only after the start.
pub struct SecretTerms {
    /// All that verify here.
    pub known: Vec<[u8; 16]>,
    /// The one that mints.
    pub minting: [u8; 16],
    /// How long tickets that it mints from now on are worth something.
    pub needed_for: Duration,
}

/// Why there is no connection, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The server can't be asked now; it may be there later.
    #[error("{0}")]
    Unavailable(String),
    /// It is there, and stays useless until the operator does something.
    #[error("{0}")]
    Unusable(String),
}

impl ConnectError {
    fn silent() -> Self {
        Self::Unavailable(format!("PostgreSQL does not answer within {CONNECT_TIMEOUT:?}"))
    }
}

impl From<Error> for ConnectError {
    fn from(error: Error) -> Self {
        Self::Unavailable(words(&error))
    }
}

/// How a connection is made.
pub(super) struct ConnectOptions {
    pub(super) config: Config,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) secrets: SecretTerms,
}

/// A connection that is ready.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) prepared: Prepared,
}

/// A place for one connection, and why there is none.
pub(super) struct Slot {
    state: Mutex<Result<Arc<Connection>, ConnectError>>,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(Err(ConnectError::Unavailable("not connected yet".to_owned()))) }
    }

    pub(super) fn connection(&self) -> Result<Arc<Connection>, ConnectError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: Result<Arc<Connection>, ConnectError>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Keeps the connection up for as long as it is polled. `first` may be one that is made
    /// already.
    pub(super) async fn keep(&self, options: &ConnectOptions, mut first: Option<Opened>) {
        loop {
            let opened = match first.take() {
                Some(opened) => Ok(opened),
                None => open(options).await,
            };
            match opened {
                Ok(Opened { connection, driver }) => {
                    if self.connection().is_err() {
                        info!("ledger: connected to PostgreSQL");
                    }
                    self.set(Ok(Arc::clone(&connection)));
                    let why = alive(&connection, &driver).await;
                    driver.abort();
                    warn!("ledger: the connection to PostgreSQL is lost: {why}");
                    self.set(Err(ConnectError::Unavailable(why)));
                }
                Err(why) => {
                    if self.connection().err().as_ref() != Some(&why) {
                        warn!("ledger: {why}");
                    }
                    self.set(Err(why));
                }
            }
            sleep(RETRY_DELAY).await;
        }
    }
}

/// A connection and the task that drives it.
pub(super) struct Opened {
    pub(super) connection: Arc<Connection>,
    driver: tokio::task::JoinHandle<()>,
}

/// Connects, makes or checks the layout, and compares the secrets. `Err` is for the operator.
pub(super) async fn open(options: &ConnectOptions) -> Result<Opened, ConnectError> {
    let connecting = options.config.connect(MakeRustlsConnect::new((*options.tls).clone()));
    let (mut client, connection) = match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected?,
        Err(_) => return Err(ConnectError::silent()),
    };
    let driver = tokio::spawn(async move {
        // Its end shows in the ping.
        let _ = connection.await;
    });
    let ready = timeout(CONNECT_TIMEOUT, prepare(&mut client, &options.secrets)).await;
    match ready.unwrap_or_else(|_| Err(ConnectError::silent())) {
        Ok(prepared) => {
            Ok(Opened { connection: Arc::new(Connection { client, prepared }), driver })
        }
        Err(why) => {
            driver.abort();
            Err(why)
        }
    }
}

/// Connects, reads and goes.
pub(super) async fn look(config: &Config, tls: &Arc<ClientConfig>) -> Result<String, ConnectError> {
    let looking = async {
        let (client, connection) = config.connect(MakeRustlsConnect::new((**tls).clone())).await?;
        let driver = tokio::spawn(connection);
        let row =
            client.query_one("SELECT to_regclass('farebox.tickets') IS NOT NULL", &[]).await?;
        let said = if row.get(0) {
            let row = client.query_one(COUNT.as_str(), &[]).await?;
            let (tickets, parked): (i64, i64) = (row.get(0), row.get(1));
            format!("PostgreSQL: {tickets} ticket(s), {parked} parked")
        } else {
            "PostgreSQL answers; the schema `farebox` will be made at the first start".to_owned()
        };
        driver.abort();
        Ok::<_, Error>(said)
    };
    match timeout(CONNECT_TIMEOUT, looking).await {
        Ok(said) => said.map_err(ConnectError::from),
        Err(_) => Err(ConnectError::silent()),
    }
}

async fn prepare(client: &mut Client, secrets: &SecretTerms) -> Result<Prepared, ConnectError> {
    // Weaker settings would lose claims in a crash of the server; stronger ones are the operator's
    // wish.
    let durable = "SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local')";
    client.batch_execute(durable).await?;
    migrate(client).await?;
    let now = UnixTime::now();
    let in_use = client.query(SECRETS_IN_USE, &[&signed(now.seconds())]).await?;
    let is_known = |fingerprint: &[u8]| secrets.known.iter().any(|known| known == fingerprint);
    let missing = in_use.iter().filter(|row| !is_known(row.get(0))).count();
    if missing > 0 {
        return Err(ConnectError::Unusable(format!(
            "{missing} master secret(s) that tickets are still signed with are missing from \
             `tickets.master_secret`; paid tickets would be worthless"
        )));
    }
    let until = signed(now.plus(secrets.needed_for).seconds());
    client.execute(NOTE_SECRET, &[&secrets.minting.as_slice(), &until]).await?;
    Ok(Prepared::on(client).await?)
}

/// Makes the layout, or checks that it is ours.
async fn migrate(client: &mut Client) -> Result<(), ConnectError> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    let exists = "SELECT to_regclass('farebox.marks') IS NOT NULL";
    if transaction.query_one(exists, &[]).await?.get(0) {
        let layout = "SELECT value FROM farebox.marks WHERE name = 'layout'";
        let found: i64 = transaction.query_one(layout, &[]).await?.get(0);
        if found != LAYOUT {
            return Err(ConnectError::Unusable(format!(
                "the database has the layout {found}, and this Farebox knows {LAYOUT}; run the \
                 version that made it"
            )));
        }
    } else {
        transaction.batch_execute(&fill(include_str!("migrations/0001.sql"))).await?;
        let noted = "INSERT INTO farebox.marks VALUES ('layout', $1)";
        transaction.execute(noted, &[&LAYOUT]).await?;
    }
    Ok(transaction.commit().await?)
}

/// Ends, with why, when the connection does.
async fn alive(connection: &Connection, driver: &tokio::task::JoinHandle<()>) -> String {
    loop {
        sleep(PING_INTERVAL).await;
        if driver.is_finished() || connection.client.is_closed() {
            return "it was closed".to_owned();
        }
        match timeout(PING_TIMEOUT, connection.client.simple_query("SELECT 1")).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return words(&error),
            Err(_) => return format!("no answer within {PING_TIMEOUT:?}"),
        }
    }
}

/// An error with its cause; tokio-postgres's own words are "db error" and the like. No password is
/// in them.
fn words(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("PostgreSQL: {error}: {cause}"),
        None => format!("PostgreSQL: {error}"),
    }
}

/// A statement that failed.
pub(super) fn down(error: Error) -> LedgerError {
    LedgerError::Down(words(&error))
}
