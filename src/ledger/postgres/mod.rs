//! The ledger in PostgreSQL, for several instances behind one load balancer. One round trip per
//! claim, pipelined; a claim carries its owner and a lease by the database's clock, and a lease
//! that ran out parks the ticket.

mod accounts;
mod connection;
mod rows;
mod statements;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::time::sleep;
use tokio_postgres::{Config, Error};
use zeroize::Zeroizing;

use self::accounts::{PRUNE_CLOSED, PRUNE_PAID};
use self::connection::{Line, Link, Opened, Way, open, words};
use self::rows::{millis, read_claim, read_row, signed};
use self::statements::{
    NOTE_SECRET, PRUNE_ANSWERS, PRUNE_TICKETS, RESOLVE, REVOKE, ROW, SECRETS_IN_USE, SWEEP, TOUCH,
};
use super::state::{Attempt, ClaimId, Resolution, Row, State};
use super::store::{Claimed, Ledger, LedgerError, Reply, Settled, Settlement, Terms};
use crate::keys::Fingerprint;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Connections per instance: commits on one follow each other, so that several share a disk sync.
const LINES: usize = 8;

/// How long a claim that was not confirmed is looked for, to take it back. After its lease it is
/// parked anyhow.
const WITHDRAW_FOR: Duration = Duration::from_secs(120);

/// Most such claims that are remembered; the lease parks what is beyond.
const MAX_UNCONFIRMED: usize = 10_000;

/// How long a spent row outlives its ticket.
const PRUNE_MARGIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Seconds.
const DAY: i64 = 86_400;

/// Seconds between two rounds of forgetting, and most small steps in one.
const PRUNE_ROUNDS: u32 = 10;
const PRUNE_STEPS: u32 = 100;

/// Most tickets that are listed at once.
const MAX_LIST: u32 = 1000;

/// What the ledger has to know of the master secrets, since it may be reached only after the start.
pub struct SecretTerms {
    /// All that verify here.
    pub known: Vec<[u8; 16]>,
    /// The one that mints.
    pub minting: [u8; 16],
    /// How long tickets that it mints from now on are worth something.
    pub needed_for: Duration,
}

/// The ledger.
pub struct PostgresLedger {
    lines: Vec<Line>,
    way: Way,
    next: AtomicUsize,
    owner: [u8; 16],
    terms: Terms,
    unconfirmed: Mutex<Vec<(PaymentHash, ClaimId, Instant)>>,
    first: Mutex<Option<Opened>>,
    /// Why nothing could be written, at the last try.
    trouble: Mutex<Option<String>>,
    observer: Box<dyn Fn(Duration) + Send + Sync>,
}

impl PostgresLedger {
    /// `url` as libpq takes it. Tries once: a server that is down comes later, but a fault of the
    /// secrets or the layout is told now.
    pub async fn open(
        url: &Zeroizing<String>,
        tls: Arc<ClientConfig>,
        terms: Terms,
        secrets: SecretTerms,
        observer: Box<dyn Fn(Duration) + Send + Sync>,
    ) -> Result<Self, String> {
        let mut config: Config = url.parse().map_err(|_| {
            "`ledger.postgres` is no PostgreSQL address, such as \
                                     \"postgresql://user@host/database\""
        })?;
        config.application_name("farebox");
        let mut owner = [0_u8; 16];
        getrandom::fill(&mut owner).map_err(|error| error.to_string())?;
        let way = Way { config, tls, secrets };
        let first = match open(&way).await {
            Ok(opened) => Some(opened),
            Err(why) if why.contains("master secret") || why.contains("layout") => return Err(why),
            Err(why) => {
                tracing::warn!("ledger: {why}; nothing is sold or redeemed until it is there");
                None
            }
        };
        Ok(Self {
            lines: (0..LINES).map(|_| Line::new()).collect(),
            way,
            next: AtomicUsize::new(0),
            owner,
            terms,
            unconfirmed: Mutex::default(),
            first: Mutex::new(first),
            trouble: Mutex::default(),
            observer,
        })
    }

    /// The next connection in turn that is up.
    fn link(&self) -> Result<Arc<Link>, LedgerError> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let mut down = Err(LedgerError::Down("not connected to PostgreSQL".to_owned()));
        for n in 0..LINES {
            match self.lines.get((start + n) % LINES).map(Line::link) {
                Some(Ok(link)) => return Ok(link),
                Some(Err(why)) => down = Err(LedgerError::Down(why)),
                None => {}
            }
        }
        down
    }

    async fn maintain(&self) {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut first = Some(first);
        let lines = self.lines.iter().map(|line| line.keep(&self.way, first.take().flatten()));
        let lines: Vec<_> = lines.map(Box::pin).collect();
        tokio::join!(all(lines), self.housekeep());
    }

    /// Takes back what was granted to nobody, parks what ran out, forgets what is old; and so sees
    /// whether the server takes writes.
    async fn housekeep(&self) {
        let mut rounds = 0_u32;
        loop {
            sleep(Duration::from_secs(1)).await;
            let trouble = self
                .housekeep_once(rounds.is_multiple_of(PRUNE_ROUNDS))
                .await
                .err()
                .map(|error| error.to_string());
            let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            if trouble.is_some() && *known != trouble {
                tracing::warn!("ledger: {}", trouble.as_deref().unwrap_or_default());
            }
            *known = trouble;
            rounds = rounds.wrapping_add(1);
        }
    }

    async fn housekeep_once(&self, prune: bool) -> Result<(), LedgerError> {
        let link = self.link()?;
        link.client.execute(TOUCH, &[]).await.map_err(down)?;
        // Before the sweep, which would park them.
        let unconfirmed =
            std::mem::take(&mut *self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner));
        for (hash, claim, since) in unconfirmed {
            let taken = link
                .client
                .execute(
                    &link.prepared.withdraw,
                    &[&hash.as_bytes().as_slice(), &claim.as_bytes().as_slice()],
                )
                .await;
            // The server may still be at it: it is looked for again. Where it could not be asked,
            // its age doesn't count.
            let done = match taken {
                Ok(0) => since.elapsed() > WITHDRAW_FOR,
                Ok(_) => true,
                Err(_) => false,
            };
            if !done {
                self.remember(hash, claim, since);
            }
        }
        link.client.execute(SWEEP, &[]).await.map_err(down)?;
        if prune {
            let replay = millis(self.terms.replay);
            let margin = i64::try_from(PRUNE_MARGIN.as_secs()).unwrap_or(i64::MAX);
            for _ in 0..PRUNE_STEPS {
                // A day before their tickets, which say what of them was delivered.
                let closed = link.client.execute(PRUNE_CLOSED, &[]).await.map_err(down)?;
                let paid =
                    link.client.execute(PRUNE_PAID, &[&(margin - DAY)]).await.map_err(down)?;
                let answers = link.client.execute(PRUNE_ANSWERS, &[&replay]).await.map_err(down)?;
                let tickets =
                    link.client.execute(PRUNE_TICKETS, &[&margin, &replay]).await.map_err(down)?;
                if closed == 0 && paid == 0 && answers == 0 && tickets == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    fn remember(&self, hash: PaymentHash, claim: ClaimId, since: Instant) {
        let mut unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if unconfirmed.len() < MAX_UNCONFIRMED {
            unconfirmed.push((hash, claim, since));
        }
    }

    async fn try_claim(&self, attempt: &Attempt) -> Result<Claimed, LedgerError> {
        let link = self.link()?;
        let lease = millis(attempt.lease);
        let asked = Instant::now();
        let row = link
            .client
            .query_one(
                &link.prepared.claim,
                &[
                    &attempt.hash.as_bytes().as_slice(),
                    &&*attempt.service,
                    &attempt.request.as_slice(),
                    &attempt.own_request,
                    &signed(attempt.minted_valid_until),
                    &signed(attempt.valid_until),
                    &signed(attempt.price_msat),
                    &attempt.claim.as_bytes().as_slice(),
                    &self.owner.as_slice(),
                    &lease,
                    &attempt.repeatable,
                ],
            )
            .await
            .map_err(|error| {
                self.remember(attempt.hash, attempt.claim, asked);
                down(error)
            })?;
        (self.observer)(asked.elapsed());
        read_claim(&row, attempt, self.terms.replay).map_err(down)
    }

    async fn try_settle(&self, settlement: &Settlement) -> Result<Settled, LedgerError> {
        let link = self.link()?;
        let outcome: i32 = match settlement.outcome {
            Outcome::Delivered => 1,
            Outcome::NotSent => 2,
            Outcome::Unknown => 3,
        };
        let kept = settlement.kept.as_ref();
        let status = kept.map(|kept| i32::from(kept.status));
        let headers = kept
            .map(|kept| serde_json::to_string(&kept.headers).unwrap_or_else(|_| "[]".to_owned()));
        let body = kept.and_then(|kept| kept.body.as_deref());
        let asked = Instant::now();
        let row = link
            .client
            .query_opt(
                &link.prepared.settle,
                &[
                    &settlement.hash.as_bytes().as_slice(),
                    &settlement.claim.as_bytes().as_slice(),
                    &outcome,
                    &status,
                    &headers,
                    &body,
                ],
            )
            .await
            .map_err(down)?;
        (self.observer)(asked.elapsed());
        Ok(row.map_or(Settled::Stale, |row| Settled::Done {
            attempts: u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX),
        }))
    }
}

/// Looks at the database without changing anything, for `check`.
pub async fn look(url: &Zeroizing<String>, tls: &Arc<ClientConfig>) -> Result<String, String> {
    let config: Config = url.parse().map_err(|_| {
        "no PostgreSQL address, such as \"postgresql://user@host/database\"".to_owned()
    })?;
    connection::look(&config, tls).await
}

async fn all(futures: Vec<impl Future<Output = ()> + Unpin>) {
    let mut futures = futures;
    std::future::poll_fn(|cx| {
        for future in &mut futures {
            // None of them ends.
            let _ = std::pin::Pin::new(future).poll(cx);
        }
        std::task::Poll::<()>::Pending
    })
    .await;
}

impl Ledger for PostgresLedger {
    fn claim(&self, attempt: Attempt) -> Reply<'_, Claimed> {
        Box::pin(async move { self.try_claim(&attempt).await })
    }

    fn settle(&self, settlement: Settlement) -> Reply<'_, Settled> {
        Box::pin(async move { self.try_settle(&settlement).await })
    }

    fn note_secret(&self, secret: Fingerprint, needed_until: UnixTime) -> Reply<'_, ()> {
        Box::pin(async move {
            let link = self.link()?;
            let until = signed(needed_until.seconds());
            link.client
                .execute(NOTE_SECRET, &[&secret.as_bytes().as_slice(), &until])
                .await
                .map(|_| ())
                .map_err(down)
        })
    }

    fn secrets_in_use(&self, now: UnixTime) -> Reply<'_, Vec<[u8; 16]>> {
        Box::pin(async move {
            let rows = self
                .link()?
                .client
                .query(SECRETS_IN_USE, &[&signed(now.seconds())])
                .await
                .map_err(down)?;
            Ok(rows.iter().filter_map(|row| row.get::<_, &[u8]>(0).try_into().ok()).collect())
        })
    }

    fn list(&self, state: Option<State>, limit: u32) -> Reply<'_, Vec<(PaymentHash, Row)>> {
        Box::pin(async move {
            let link = self.link()?;
            let text = format!(
                "{ROW} WHERE $1::smallint IS NULL OR state = $1 ORDER BY changed DESC LIMIT $2"
            );
            let rows = link
                .client
                .query(&text, &[&state.map(State::number), &i64::from(limit.min(MAX_LIST))])
                .await
                .map_err(down)?;
            rows.iter().map(|row| read_row(row).ok_or_else(unreadable)).collect()
        })
    }

    fn show(&self, hash: PaymentHash) -> Reply<'_, Option<Row>> {
        Box::pin(async move {
            let text = format!("{ROW} WHERE hash = $1");
            let row = self
                .link()?
                .client
                .query_opt(&text, &[&hash.as_bytes().as_slice()])
                .await
                .map_err(down)?;
            row.map(|row| read_row(&row).map(|(_, row)| row).ok_or_else(unreadable)).transpose()
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
            let changed = self
                .link()?
                .client
                .execute(
                    RESOLVE,
                    &[&hash.as_bytes().as_slice(), &state.number(), &claim.as_bytes().as_slice()],
                )
                .await
                .map_err(down)?;
            Ok(if changed == 0 { Settled::Stale } else { Settled::Done { attempts: 0 } })
        })
    }

    fn revoke(&self, hash: PaymentHash, valid_until: u64) -> Reply<'_, ()> {
        Box::pin(async move {
            let link = self.link()?;
            link.client
                .execute(REVOKE, &[&hash.as_bytes().as_slice(), &signed(valid_until)])
                .await
                .map(|_| ())
                .map_err(down)
        })
    }

    fn revoked(&self) -> Reply<'_, Vec<PaymentHash>> {
        Box::pin(async move {
            let rows = self
                .link()?
                .client
                .query("SELECT hash FROM farebox.tickets WHERE state = 5", &[])
                .await
                .map_err(down)?;
            Ok(rows
                .iter()
                .filter_map(|row| {
                    row.get::<_, &[u8]>(0).try_into().ok().map(PaymentHash::from_bytes)
                })
                .collect())
        })
    }

    fn health(&self) -> Result<(), LedgerError> {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(LedgerError::Down(why.clone())),
            None => self.link().map(|_| ()),
        }
    }

    fn run(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.maintain())
    }
}

fn down(error: Error) -> LedgerError {
    LedgerError::Down(words(&error))
}

fn unreadable() -> LedgerError {
    LedgerError::Down("a row can't be read".to_owned())
}
