//! The ledger in PostgreSQL, for several instances behind one load balancer. One round trip per
//! claim, pipelined; a claim carries its owner and a lease by the database's clock, and a lease
//! that ran out parks the ticket.

mod account_statements;
mod accounts;
mod admin;
mod connect;
mod connection;
mod error;
mod housekeep;
mod life;
mod list_statements;
mod look;
mod message_statements;
mod messages;
mod room;
mod rows;
mod session;
mod statements;
mod url;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustls::ClientConfig;
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;
use zeroize::Zeroizing;

pub use self::admin::Admin;
pub use self::connection::SecretTerms;
use self::connection::{ConnectOptions, Connection, Opened, Slot, open};
pub use self::error::PostgresError;
use self::error::{down, unreadable};
use self::list_statements::{COUNTS, EXPORT, WAITING};
pub use self::look::KnownSecrets;
use self::room::RoomValues;
use self::rows::{read_claim, read_exported, read_row};
use self::statements::{
    NOTE_SECRET, RELEASE_RESTORED, RESOLVE, REVOKE, REVOKED, ROW, SEALED, SECRETS_IN_USE,
};
use self::url::read_url;
use super::clock::{LedgerClock, Moment};
use super::error::{LedgerError, Reply};
use super::limits::LIST_MAX;
use super::sql::{asked_number, instead, millis, outcome_number, signed, unsigned};
use super::state::{Attempt, ClaimId, Marks, Resolution, Row, State};
use super::store::{
    Claimed, CommitObserver, Exported, LedgerStore, LedgerTerms, Settled, Settlement, Waiting,
};
use crate::keys::Fingerprint;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Connections per instance: commits on one follow each other, so that several share a disk sync.
const SLOTS: usize = 8;

/// Most claims that were not confirmed which are remembered; the lease parks what is beyond.
const UNCONFIRMED_MAX: usize = 10_000;

/// The ledger.
pub struct PostgresLedger {
    slots: Vec<Slot>,
    options: ConnectOptions,
    next: AtomicUsize,
    owner: [u8; 16],
    terms: LedgerTerms,
    unconfirmed: Mutex<Vec<(PaymentHash, ClaimId, Instant)>>,
    first: Mutex<Option<Opened>>,
    /// Why nothing could be written, at the last try.
    trouble: Mutex<Option<String>>,
    /// Whether another ledger lies there than the one that was opened: nothing is granted then.
    is_another: AtomicBool,
    clock: LedgerClock,
    /// What the ledger knows of itself; `None` before it was reached.
    life: Mutex<Option<Marks>>,
    observer: CommitObserver,
}

impl PostgresLedger {
    /// `url` as libpq takes it. Tries once: a server that is down comes later, but a fault of the
    /// secrets or the layout is told now.
    pub async fn open(
        url: &Zeroizing<String>,
        tls: Arc<ClientConfig>,
        terms: LedgerTerms,
        secrets: SecretTerms,
        observer: CommitObserver,
    ) -> Result<Self, PostgresError> {
        let mut config = read_url(url)?;
        config.application_name("farebox");
        let mut owner = [0_u8; 16];
        let no_randomness = |error: getrandom::Error| PostgresError::Unusable(error.to_string());
        getrandom::fill(&mut owner).map_err(no_randomness)?;
        let options = ConnectOptions { config, tls, secrets, has_sessions: AtomicBool::new(false) };
        let first = match open(&options).await {
            Ok(opened) => Some(opened),
            Err(why @ PostgresError::Unusable(_)) => return Err(why),
            Err(why @ PostgresError::Unavailable(_)) => {
                tracing::warn!("ledger: {why}; nothing is sold or redeemed until it is there");
                None
            }
        };
        let at_once = first.as_ref().map(|opened| Arc::clone(&opened.connection));
        let ledger = Self {
            slots: (0..SLOTS).map(|_| Slot::new()).collect(),
            options,
            next: AtomicUsize::new(0),
            owner,
            terms,
            unconfirmed: Mutex::default(),
            first: Mutex::new(first),
            trouble: Mutex::default(),
            is_another: AtomicBool::new(false),
            clock: LedgerClock::new(UnixTime::from_millis(0)),
            life: Mutex::default(),
            observer,
        };
        if let Some(connection) = at_once {
            let known = ledger.move_clock_on(&connection.client).await;
            known.map_err(|why| PostgresError::Unavailable(why.to_string()))?;
        }
        Ok(ledger)
    }

    /// The next connection in turn that is up.
    fn connection(&self) -> Result<Arc<Connection>, LedgerError> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let mut down = Err(LedgerError::Down("not connected to PostgreSQL".to_owned()));
        for n in 0..SLOTS {
            match self.slots.get((start + n) % SLOTS).map(Slot::connection) {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(why)) => down = Err(LedgerError::Down(why.to_string())),
                None => {}
            }
        }
        down
    }

    async fn rows(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<SqlRow>, LedgerError> {
        self.connection()?.client.query(sql, values).await.map_err(down)
    }

    /// Gives how many rows it changed.
    async fn execute(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, LedgerError> {
        self.connection()?.client.execute(sql, values).await.map_err(down)
    }

    /// Has a claim whose commit was not confirmed taken back.
    fn remember(&self, hash: PaymentHash, claim: ClaimId, since: Instant) {
        let mut unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if unconfirmed.len() < UNCONFIRMED_MAX {
            unconfirmed.push((hash, claim, since));
        }
    }

    async fn try_claim(&self, attempt: &Attempt) -> Result<Claimed, LedgerError> {
        let connection = self.connection()?;
        if self.is_another.load(Ordering::Relaxed) {
            return Err(LedgerError::Down("another ledger lies in its place".to_owned()));
        }
        let (price_msat, rebound) = instead(attempt.asked);
        let message = attempt.message.as_deref();
        let room = message.map(|message| RoomValues::of(&message.room)).unwrap_or_default();
        let numbers = message.map(|_| &room.numbers);
        let values: [&(dyn ToSql + Sync); 26] = [
            &attempt.hash.as_bytes().as_slice(),
            &&*attempt.service,
            &attempt.request.as_bytes().as_slice(),
            &asked_number(attempt.asked),
            &signed(attempt.minted_valid_until),
            &signed(attempt.first_claim_until()),
            &signed(attempt.price_msat),
            &attempt.claim.as_bytes().as_slice(),
            &self.owner.as_slice(),
            &millis(attempt.lease),
            &attempt.remembered.map(millis),
            &attempt.key.as_bytes().as_slice(),
            &attempt.era.number(),
            &signed(attempt.minted.millis()),
            &attempt.place.as_ref().map(|place| place.as_bytes().as_slice()),
            &attempt.sealed.as_deref(),
            &price_msat,
            &rebound,
            &numbers,
            &room.most,
            &room.within,
            &room.scopes,
            &room.maxima,
            &message.map(|message| &*message.country),
            &message.and_then(|message| message.name.as_ref()).map(|n| n.as_bytes().as_slice()),
            &message.map(|message| millis(message.kept_for)),
        ];
        let asked = Instant::now();
        let row = connection.client.query_one(&connection.prepared.claim, &values).await;
        let row = row.map_err(|error| {
            self.remember(attempt.hash, attempt.claim, asked);
            down(error)
        })?;
        (self.observer)(asked.elapsed());
        read_claim(&row, attempt, self.terms.replay).map_err(down)
    }

    async fn try_settle(&self, settlement: &Settlement) -> Result<Settled, LedgerError> {
        let connection = self.connection()?;
        let answer = settlement.answer.as_ref();
        let headers = answer.map(|answer| serde_json::to_string(&answer.headers));
        let refused = settlement.refused.as_ref();
        let uncounted = settlement.uncounted.as_deref();
        let room = uncounted.map(|message| RoomValues::of(&message.room)).unwrap_or_default();
        let values: [&(dyn ToSql + Sync); 11] = [
            &settlement.hash.as_bytes().as_slice(),
            &settlement.claim.as_bytes().as_slice(),
            &outcome_number(settlement.outcome),
            &answer.map(|answer| i32::from(answer.status)),
            &headers.map(|headers| headers.unwrap_or_else(|_| "[]".to_owned())),
            &answer.and_then(|answer| answer.body.as_deref()),
            &refused.map(|refused| refused.number.as_bytes().as_slice()),
            &refused.map(|refused| millis(refused.lasts)),
            &refused.map(|refused| refused.key.as_bytes().as_slice()),
            &uncounted.map(|_| &room.numbers),
            &room.scopes,
        ];
        let asked = Instant::now();
        let row = connection.client.query_opt(&connection.prepared.settle, &values).await;
        let row = row.map_err(down)?;
        (self.observer)(asked.elapsed());
        Ok(row.map_or(Settled::Stale, |row| Settled::Done {
            attempts: u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX),
        }))
    }
}

/// Looks at the database without changing anything, for `check`.
pub async fn look(
    url: &Zeroizing<String>,
    tls: &Arc<ClientConfig>,
    secrets: Option<&KnownSecrets>,
    network: &str,
) -> Result<String, PostgresError> {
    look::look(&read_url(url)?, tls, secrets, network).await
}

impl PostgresLedger {
    async fn count(&self, statement: &str) -> Result<Vec<Waiting>, LedgerError> {
        let waiting = |row: &tokio_postgres::Row| Waiting {
            service: row.get(0),
            state: State::of_number(row.get(1)).unwrap_or(State::Parked),
            count: unsigned(row.get(2)),
        };
        Ok(self.rows(statement, &[]).await?.iter().map(waiting).collect())
    }
}

impl LedgerStore for PostgresLedger {
    fn claim(&self, attempt: Attempt) -> Reply<'_, Claimed> {
        Box::pin(async move { self.try_claim(&attempt).await })
    }

    fn settle(&self, settlement: Settlement) -> Reply<'_, Settled> {
        Box::pin(async move { self.try_settle(&settlement).await })
    }

    fn note_secret(&self, secret: Fingerprint, needed_until: UnixTime) -> Reply<'_, ()> {
        Box::pin(async move {
            let until = signed(needed_until.seconds());
            let values: [&(dyn ToSql + Sync); 2] = [&secret.as_bytes().as_slice(), &until];
            self.execute(NOTE_SECRET, &values).await.map(|_| ())
        })
    }

    fn secrets_in_use(&self, now: UnixTime) -> Reply<'_, Vec<[u8; 16]>> {
        Box::pin(async move {
            let rows = self.rows(&SECRETS_IN_USE, &[&signed(now.seconds())]).await?;
            Ok(rows.iter().filter_map(|row| row.get::<_, &[u8]>(0).try_into().ok()).collect())
        })
    }

    fn list(&self, state: Option<State>, limit: u32) -> Reply<'_, Vec<(PaymentHash, Row)>> {
        Box::pin(async move {
            let newest = "WHERE $1::smallint IS NULL OR state = $1 ORDER BY changed DESC LIMIT $2";
            let (state, limit) = (state.map(State::number), i64::from(limit.min(LIST_MAX)));
            let rows = self.rows(&format!("{ROW} {newest}"), &[&state, &limit]).await?;
            rows.iter().map(|row| read_row(row).ok_or_else(unreadable)).collect()
        })
    }

    fn waiting(&self) -> Reply<'_, Vec<Waiting>> {
        Box::pin(self.count(&WAITING))
    }

    fn counts(&self) -> Reply<'_, Vec<Waiting>> {
        Box::pin(self.count(COUNTS))
    }

    fn export(&self, after: PaymentHash, limit: u32) -> Reply<'_, Vec<Exported>> {
        Box::pin(async move {
            let (after, limit) = (after.as_bytes().as_slice(), i64::from(limit.min(LIST_MAX)));
            let rows = self.rows(&EXPORT, &[&after, &limit]).await?;
            rows.iter().map(|row| read_exported(row).ok_or_else(unreadable)).collect()
        })
    }

    fn show(&self, hash: PaymentHash) -> Reply<'_, Option<Row>> {
        Box::pin(async move {
            let hash = hash.as_bytes().as_slice();
            let rows = self.rows(&format!("{ROW} WHERE hash = $1"), &[&hash]).await?;
            let read = rows.first().map(|row| read_row(row).ok_or_else(unreadable));
            Ok(read.transpose()?.map(|(_, row)| row))
        })
    }

    fn resolve(
        &self,
        hash: PaymentHash,
        claim: ClaimId,
        resolution: Resolution,
    ) -> Reply<'_, Settled> {
        Box::pin(async move {
            let state = match resolution {
                Resolution::Delivered => State::Delivered,
                Resolution::Release => State::Free,
            };
            let (hash, claim) = (hash.as_bytes().as_slice(), claim.as_bytes().as_slice());
            let changed = self.execute(&RESOLVE, &[&hash, &state.number(), &claim]).await?;
            Ok(if changed == 0 { Settled::Stale } else { Settled::Done { attempts: 0 } })
        })
    }

    fn revoke(&self, hash: PaymentHash, valid_until: u64) -> Reply<'_, ()> {
        Box::pin(async move {
            let hash = hash.as_bytes().as_slice();
            self.execute(&REVOKE, &[&hash, &signed(valid_until)]).await.map(|_| ())
        })
    }

    fn revoked(&self) -> Reply<'_, Vec<PaymentHash>> {
        Box::pin(async move {
            let rows = self.rows(&REVOKED, &[]).await?;
            let hashes = rows.iter().filter_map(|row| row.get::<_, &[u8]>(0).try_into().ok());
            Ok(hashes.map(PaymentHash::from_bytes).collect())
        })
    }

    fn sealed(&self, hash: PaymentHash) -> Reply<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let rows = self.rows(SEALED, &[&hash.as_bytes().as_slice()]).await?;
            Ok(rows.first().and_then(|row| row.get(0)))
        })
    }

    fn release_restored(&self, minted_before: UnixTime) -> Reply<'_, u64> {
        Box::pin(async move {
            let released =
                self.execute(&RELEASE_RESTORED, &[&signed(minted_before.millis())]).await?;
            self.move_clock().await?;
            Ok(released)
        })
    }

    fn shut(&self) -> Reply<'_, ()> {
        // Each answer waited for its commit.
        Box::pin(std::future::ready(Ok(())))
    }

    fn now(&self) -> Moment {
        let now = self.clock.now();
        // Before it was reached there is only one clock.
        if self.life().is_some() { now } else { Moment { wall: now.wall, ledger: now.wall } }
    }

    fn life(&self) -> Option<Marks> {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> Result<(), LedgerError> {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(LedgerError::Down(why.clone())),
            None if self.life().is_none() => Err(LedgerError::Down("not read yet".to_owned())),
            None => self.connection().map(|_| ()),
        }
    }

    fn run(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.maintain())
    }
}

#[cfg(test)]
pub(super) mod conformance;
