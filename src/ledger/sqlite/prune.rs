//! Forgets what is worth nothing any more, a little at a time.

use std::time::Duration;

use rusqlite::params;

use super::accounts::Column;
use super::marks;
use super::store::{FEW, Store};
use crate::ledger::accounts::{DAY_S, Sum};
use crate::ledger::clock::Moment;
use crate::ledger::limits::{CHALLENGES_FIRST, ORDERS_KEPT, PRUNE_MARGIN, PRUNE_STEP};
use crate::ledger::sql::{fill, signed};
use crate::ledger::state::State;
use crate::time::UnixTime;

/// Id and `valid_until` of a row that is gone; and day, service and price of what was delivered.
type Spent = (i64, u64, Option<(u64, String, u64)>);

impl Store {
    /// One small step of forgetting; `true` if there may be more. Free and parked rows stay: they
    /// are still worth something.
    pub(super) fn prune(&mut self, now: Moment, replay: Duration) -> rusqlite::Result<bool> {
        let stale = signed(now.ledger.minus(replay).millis());
        let answers = self
            .connection()
            // Those of the oldest tickets. One that was stored late keeps others waiting for as
            // long as it is given back itself.
            .prepare_cached(
                "DELETE FROM answers WHERE ticket IN (SELECT ticket FROM
                    (SELECT ticket, stored_at FROM answers ORDER BY ticket LIMIT ?2)
                    WHERE stored_at < ?1)",
            )?
            .execute(params![stale, PRUNE_STEP])?;
        let cutoff = now.ledger.minus(PRUNE_MARGIN).seconds();
        // A day before their tickets, which say what of them was delivered.
        let challenges =
            self.prune_challenges(now.ledger, cutoff + CHALLENGES_FIRST.as_secs(), PRUNE_STEP)?;
        let gone = self.delete_spent(signed(cutoff), stale)?;
        for (id, _, delivered) in &gone {
            // Its number may be given to another ticket.
            self.connection()
                .prepare_cached("DELETE FROM answers WHERE ticket = ?1")?
                .execute(params![id])?;
            if let Some((day, service, price_msat)) = delivered {
                self.add_to_day(
                    Column::Redeemed,
                    *day,
                    service,
                    Sum { count: 1, msat: *price_msat },
                )?;
            }
        }
        if let Some(newest) = gone.iter().map(|(_, valid_until, _)| *valid_until).max() {
            self.raise_watermark(newest)?;
        }
        let orders = self.forget_orders(now)?;
        let messages = self.prune_messages(now)?;
        let step = PRUNE_STEP as usize;
        Ok(gone.len() == step
            || answers == step
            || challenges == PRUNE_STEP
            || orders == step
            || messages == step)
    }

    /// Notes that rows up to this `valid_until` (Unix seconds) were forgotten.
    fn raise_watermark(&mut self, valid_until: u64) -> rusqlite::Result<()> {
        if valid_until > self.marks.watermark {
            marks::set(self.connection(), marks::WATERMARK, signed(valid_until))?;
            self.marks.watermark = valid_until;
        }
        Ok(())
    }

    /// What parked tickets were for is not kept for ever.
    fn forget_orders(&self, now: Moment) -> rusqlite::Result<usize> {
        let old = signed(now.ledger.minus(ORDERS_KEPT).millis());
        self.connection()
            .prepare_cached(&fill(&format!(
                "UPDATE tickets SET sealed = NULL WHERE id IN (SELECT id FROM tickets
                    WHERE {FEW} AND state = {{parked}} AND sealed IS NOT NULL
                        AND changed_ledger < ?1 LIMIT ?2)"
            )))?
            .execute(params![old, PRUNE_STEP])
    }

    fn delete_spent(&self, cutoff: i64, stale: i64) -> rusqlite::Result<Vec<Spent>> {
        self.connection()
            .prepare_cached(&fill(
                "DELETE FROM tickets WHERE id IN (SELECT id FROM tickets
                    WHERE (state = {delivered} OR state = {revoked})
                        AND valid_until < ?1 AND changed_ledger < ?2 LIMIT ?3)
                 RETURNING valid_until, state, changed, service, price_msat, id",
            ))?
            .query_map(params![cutoff, stale, PRUNE_STEP], |row| {
                let delivered = row.get::<_, i16>(1)? == State::Delivered.number();
                let day = UnixTime::from_millis(row.get(2)?).seconds() / DAY_S;
                Ok((
                    row.get(5)?,
                    row.get(0)?,
                    if delivered { Some((day, row.get(3)?, row.get(4)?)) } else { None },
                ))
            })?
            .collect()
    }
}
