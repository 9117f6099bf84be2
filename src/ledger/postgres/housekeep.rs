//! What goes on beside the claims: connections that come back, claims that are taken back or
//! parked, rows that are forgotten.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::sleep;

use super::PostgresLedger;
use super::account_statements::{PRUNE_CLOSED, PRUNE_PAID};
use super::connection::down;
use super::statements::{PRUNE_ANSWERS, PRUNE_TICKETS, SWEEP, TOUCH};
use crate::ledger::error::LedgerError;
use crate::ledger::limits::{CHALLENGES_FIRST, PRUNE_MARGIN};
use crate::ledger::sql::{millis, signed};

/// How long a claim that was not confirmed is looked for, to take it back. After its lease it is
/// parked anyhow.
const WITHDRAW_FOR: Duration = Duration::from_secs(120);

/// Pause between two rounds.
const HOUSEKEEP_INTERVAL: Duration = Duration::from_secs(1);

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
            sleep(HOUSEKEEP_INTERVAL).await;
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
        self.execute(TOUCH, &[]).await?;
        // Before the sweep, which would park them.
        self.withdraw_unconfirmed().await?;
        self.sweep().await?;
        if prune {
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
