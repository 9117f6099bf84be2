//! What goes on beside the claims: connections that come back, claims that are taken back or
//! parked, rows that are forgotten.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Client;

use super::PostgresLedger;
use super::account_statements::{PRUNE_CLOSED, PRUNE_PAID};
use super::error::{PostgresError, down};
use super::life;
use super::message_statements::{PRUNE_DAYS, PRUNE_MESSAGES, PRUNE_NUMBERS};
use super::statements::{
    FORGET_ORDERS, MOVE_CLOCK, PRUNE_ANSWERS, PRUNE_TICKETS, REFILL_JUMP, SWEEP, TAKE_JUMP,
};
use crate::era::Era;
use crate::ledger::clock::JUMP_MAX;
use crate::ledger::error::LedgerError;
use crate::ledger::limits::{CHALLENGES_FIRST, ORDERS_KEPT, PRUNE_MARGIN};
use crate::ledger::sql::{millis, signed, unsigned};
use crate::ledger::state::Marks;
use crate::ledger::store::LedgerStore as _;
use crate::time::UnixTime;

/// How long a claim that was not confirmed is looked for, to take it back. After its lease it is
/// parked anyhow.
const WITHDRAW_FOR: Duration = Duration::from_secs(120);

/// Pause between two rounds.
const HOUSEKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The same before it was reached for the first time.
const FIRST_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Rounds between two in which rows are forgotten, and most small steps in one of these.
const PRUNE_ROUNDS: u32 = 10;
const PRUNE_STEPS: u32 = 100;

impl PostgresLedger {
    /// Goes on for as long as it is polled.
    pub(super) async fn maintain(&self) {
        tokio::join!(self.keep_connections(), self.housekeep());
    }

    /// Goes on for as long as it is polled.
    pub(super) async fn keep_connections(&self) {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut first = Some(first);
        let slots = self.slots.iter().map(|slot| slot.keep(&self.options, first.take().flatten()));
        all(slots.map(Box::pin).collect()).await;
    }

    /// Takes back what was granted to nobody, parks what ran out, forgets what is old; and so sees
    /// whether the server takes writes.
    async fn housekeep(&self) {
        let mut rounds = 0_u32;
        loop {
            // Soon, where it is not even known which life the ledger has.
            let known = self.life().is_some();
            sleep(if known { HOUSEKEEP_INTERVAL } else { FIRST_LOOK_INTERVAL }).await;
            let prune = rounds.is_multiple_of(PRUNE_ROUNDS);
            let trouble = self.housekeep_once(prune).await.err().map(|error| error.to_string());
            let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            if trouble.is_some() && *known != trouble {
                tracing::warn!("ledger: {}", trouble.as_deref().unwrap_or_default());
            }
            *known = trouble;
            rounds = rounds.wrapping_add(1);
        }
    }

    async fn housekeep_once(&self, prune: bool) -> Result<(), LedgerError> {
        self.check_life().await?;
        self.move_clock().await?;
        // Before the sweep, which would park them.
        self.withdraw_unconfirmed().await?;
        self.sweep().await?;
        if prune {
            let served = i64::from(PRUNE_ROUNDS) * millis(HOUSEKEEP_INTERVAL);
            self.execute(REFILL_JUMP, &[&millis(JUMP_MAX), &served]).await?;
            for _ in 0..PRUNE_STEPS {
                if !self.prune().await? {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn withdraw_unconfirmed(&self) -> Result<(), LedgerError> {
        let connection = self.connection()?;
        let unconfirmed =
            std::mem::take(&mut *self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner));
        for (hash, claim, since) in unconfirmed {
            let (name, id) = (hash.as_bytes().as_slice(), claim.as_bytes().as_slice());
            let withdraw = &connection.prepared.withdraw;
            // The server may still be at it: it is looked for again. Where it could not be asked,
            // its age doesn't count.
            let is_done = match connection.client.execute(withdraw, &[&name, &id]).await {
                Ok(0) => since.elapsed() > WITHDRAW_FOR,
                Ok(_) => true,
                Err(_) => false,
            };
            if !is_done {
                self.remember(hash, claim, since);
            }
        }
        Ok(())
    }

    /// Moves the ledger's clock, and learns what others have made of the ledger.
    pub(super) async fn move_clock(&self) -> Result<(), LedgerError> {
        let connection = self.connection()?;
        self.move_clock_on(&connection.client).await
    }

    /// The same, on a connection that is not in its place yet.
    pub(super) async fn move_clock_on(&self, client: &Client) -> Result<(), LedgerError> {
        let limit = match self.life() {
            Some(_) => self.clock.limit(),
            None => {
                let rows = client.query(TAKE_JUMP, &[]).await.map_err(down)?;
                let shows = rows.first().map_or(0, |row| unsigned(row.get(0)));
                UnixTime::from_millis(shows)
            }
        };
        let limit = signed(limit.millis());
        let rows = client.query(MOVE_CLOCK, &[&limit]).await.map_err(down)?;
        let gone = || LedgerError::Down("its clock is gone".to_owned());
        let row = rows.first().ok_or_else(gone)?;
        let number = |at: usize| row.get::<_, Option<i64>>(at).unwrap_or(0);
        self.clock.set(UnixTime::from_millis(unsigned(number(0))));
        let marks = Marks {
            era: Era::from_number(number(1)),
            released_before: UnixTime::from_millis(unsigned(number(2))),
            watermark: unsigned(number(3)),
        };
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = Some(marks);
        Ok(())
    }

    /// Whether it is still the ledger that it was: a dump may be put back while we run.
    pub(super) async fn check_life(&self) -> Result<(), LedgerError> {
        let connection = self.connection()?;
        let checked = life::check(&connection.client, &self.options.secrets.ledgers).await;
        match &checked {
            Ok(()) => self.is_another.store(false, Ordering::Relaxed),
            Err(PostgresError::Unusable(_)) => self.is_another.store(true, Ordering::Relaxed),
            // Nothing was learnt.
            Err(PostgresError::Unavailable(_)) => {}
        }
        checked.map_err(|why| LedgerError::Down(why.to_string()))
    }

    /// Parks what a dead instance left claimed.
    pub(super) async fn sweep(&self) -> Result<(), LedgerError> {
        self.execute(&SWEEP, &[]).await.map(|_| ())
    }

    /// One small step of forgetting; `false` if there was nothing to forget.
    pub(super) async fn prune(&self) -> Result<bool, LedgerError> {
        let connection = self.connection()?;
        let client = &connection.client;
        let replay = millis(self.terms.replay);
        let tickets_after = signed(PRUNE_MARGIN.as_secs());
        let challenges_after = signed((PRUNE_MARGIN - CHALLENGES_FIRST).as_secs());
        let mut gone = client.execute(PRUNE_CLOSED.as_str(), &[]).await.map_err(down)?;
        gone += client.execute(PRUNE_PAID.as_str(), &[&challenges_after]).await.map_err(down)?;
        gone += client.execute(PRUNE_ANSWERS.as_str(), &[&replay]).await.map_err(down)?;
        let tickets = &PRUNE_TICKETS;
        gone += client.execute(tickets.as_str(), &[&tickets_after, &replay]).await.map_err(down)?;
        for forgotten in [&PRUNE_MESSAGES, &PRUNE_NUMBERS, &PRUNE_DAYS] {
            gone += client.execute(forgotten.as_str(), &[]).await.map_err(down)?;
        }
        gone +=
            client.execute(FORGET_ORDERS.as_str(), &[&millis(ORDERS_KEPT)]).await.map_err(down)?;
        Ok(gone > 0)
    }
}

async fn all(mut futures: Vec<impl Future<Output = ()> + Unpin>) {
    std::future::poll_fn(|cx| {
        for future in &mut futures {
            // None of them ends.
            let _ = std::pin::Pin::new(future).poll(cx);
        }
        std::task::Poll::<()>::Pending
    })
    .await;
}
