//! A connection that comes back: connected, checked and prepared by a task of its own, and cut when
//! the server doesn't answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config};
use tracing::{info, warn};

use super::connect::{CONNECT_TIMEOUT, connect};
use super::error::{PostgresError, words};
use super::statements::{NOTE_SECRET, Prepared, SECRETS_IN_USE};
use super::{life, session};
use crate::ledger::id::LedgerId;
use crate::ledger::sql::{fill, signed};
use crate::time::UnixTime;

/// Number of the layout in `migrations`, as the mark `layout` keeps it.
const LAYOUT: i64 = 5;

/// Keeps two instances from making the layout at once.
const MIGRATION_LOCK: i64 = 0x6661_7265_626f_7800;

/// How often a connection is asked whether it lives, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

const RETRY_DELAY: Duration = Duration::from_millis(500);

/// What the ledger has to know of the master secrets, since it may be reached only after the start.
pub struct SecretTerms {
    /// All that verify here.
    pub known: Vec<[u8; 16]>,
    /// The one that mints.
    pub minting: [u8; 16],
    /// The ledgers that they were made for, as far as their file says so.
    pub ledgers: Vec<LedgerId>,
    /// How long tickets that it mints from now on are worth something.
    pub needed_for: Duration,
    /// The network that tickets are sold on, which their keys are derived for.
    pub network: &'static str,
}

/// How a connection is made.
pub(super) struct ConnectOptions {
    pub(super) config: Config,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) secrets: SecretTerms,
    /// Whether it is known that sessions are our own.
    pub(super) has_sessions: AtomicBool,
}

/// A connection that is ready.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) prepared: Prepared,
}

/// A place for one connection, and why there is none.
pub(super) struct Slot {
    state: Mutex<Result<Arc<Connection>, PostgresError>>,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(Err(PostgresError::Unavailable("not connected yet".to_owned()))) }
    }

    pub(super) fn connection(&self) -> Result<Arc<Connection>, PostgresError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: Result<Arc<Connection>, PostgresError>) {
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
                    self.set(Err(PostgresError::Unavailable(why)));
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
pub(super) async fn open(options: &ConnectOptions) -> Result<Opened, PostgresError> {
    if !options.has_sessions.load(Ordering::Relaxed) {
        session::check(&options.config, &options.tls).await?;
        options.has_sessions.store(true, Ordering::Relaxed);
    }
    let (mut client, driver) = connect(&options.config, &options.tls).await?;
    let ready = timeout(CONNECT_TIMEOUT, prepare(&mut client, &options.secrets)).await;
    match ready.unwrap_or_else(|_| Err(PostgresError::silent(CONNECT_TIMEOUT))) {
        Ok(prepared) => {
            Ok(Opened { connection: Arc::new(Connection { client, prepared }), driver })
        }
        Err(why) => {
            driver.abort();
            Err(why)
        }
    }
}

async fn prepare(client: &mut Client, secrets: &SecretTerms) -> Result<Prepared, PostgresError> {
    // Weaker settings would lose claims in a crash of the server; stronger ones are the operator's
    // wish.
    let durable = "SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local')";
    client.batch_execute(durable).await?;
    migrate(client, &secrets.ledgers).await?;
    life::check(client, &secrets.ledgers).await?;
    check_secrets(client, &secrets.known).await?;
    sell_on(client, secrets.network).await?;
    let (wall, clock) = (UnixTime::now(), life::clock(client).await?);
    let until = signed(wall.max(clock).plus(secrets.needed_for).seconds());
    client.execute(NOTE_SECRET, &[&secrets.minting.as_slice(), &until]).await?;
    Ok(Prepared::on(client).await?)
}

/// One instance at a time, so that two of different networks don't both begin.
async fn sell_on(client: &mut Client, network: &str) -> Result<(), PostgresError> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    life::sell_on(&transaction, network).await?;
    Ok(transaction.commit().await?)
}

/// Whether every master secret that a ticket is signed with is known.
pub(super) async fn check_secrets(
    client: &Client,
    known: &[[u8; 16]],
) -> Result<(), PostgresError> {
    let now = UnixTime::now().min(life::clock(client).await?);
    let in_use = client.query(SECRETS_IN_USE.as_str(), &[&signed(now.seconds())]).await?;
    let is_known = |fingerprint: &[u8]| known.iter().any(|known| known == fingerprint);
    let missing = in_use.iter().filter(|row| !is_known(row.get(0))).count();
    if missing > 0 {
        return Err(PostgresError::Unusable(format!(
            "{missing} master secret(s) that tickets are still signed with are missing from \
             `tickets.master_secret`; paid tickets would be worthless, and refused numbers \
             forgotten"
        )));
    }
    Ok(())
}

const HAS_TABLES: &str = "SELECT to_regclass('farebox.marks') IS NOT NULL";

/// Whether a ledger was made there.
pub(super) async fn has_tables(client: &Client) -> Result<bool, PostgresError> {
    Ok(client.query_one(HAS_TABLES, &[]).await?.get(0))
}

pub(super) const LAYOUT_MARK: &str = "SELECT value FROM farebox.marks WHERE name = 'layout'";

/// Whether the layout is the one that we know; `mark` is what was found.
pub(super) fn check_layout(mark: &tokio_postgres::Row) -> Result<(), PostgresError> {
    let found: i64 = mark.get(0);
    if found == LAYOUT {
        return Ok(());
    }
    Err(PostgresError::Unusable(format!(
        "the database has the layout {found}, and this Farebox knows {LAYOUT}; run the version \
         that made it"
    )))
}

/// The master secret names a ledger, and there is none.
pub(super) fn no_ledger(named: LedgerId) -> PostgresError {
    PostgresError::Unusable(format!(
        "the master secret belongs to the ledger {named}, and the database has none: put it back \
         (then run `farebox ledger --config FILE restored`), or begin an empty one with `farebox \
         ledger --config FILE new`"
    ))
}

/// Makes the layout, or checks that it is ours. Where the master secret names a ledger (`named`),
/// none is made.
pub(super) async fn migrate(client: &mut Client, named: &[LedgerId]) -> Result<(), PostgresError> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    if transaction.query_one(HAS_TABLES, &[]).await?.get(0) {
        check_layout(&transaction.query_one(LAYOUT_MARK, &[]).await?)?;
    } else if let Some(id) = named.first() {
        return Err(no_ledger(*id));
    } else {
        transaction.batch_execute(&fill(include_str!("migrations/0001.sql"))).await?;
        let noted = "INSERT INTO farebox.marks VALUES ('layout', $1)";
        transaction.execute(noted, &[&LAYOUT]).await?;
        life::begin(&transaction).await?;
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
