//! The statements about text messages; see `ledger::messages`.

use rusqlite::{OptionalExtension as _, params};

use super::store::Store;
use crate::ledger::clock::Moment;
use crate::ledger::limits::PRUNE_STEP;
use crate::ledger::messages::{
    Allowed, Delivery, DeliveryState, MessageClaim, NoRoom, PerDay, RefusedNumber, Report,
    ReportName, Reported, RoomQuery, Standing, day, day_is_full,
};
use crate::ledger::sql::{millis, signed};
use crate::number_hash::NumberHash;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Days whose messages are still counted: today, and one before, should the clocks of a copy
/// differ.
const DAYS_KEPT: u64 = 2;

impl Store {
    /// What stands in the way of a message that isn't sold yet.
    pub(super) fn standing(&self, asked: &RoomQuery, now: Moment) -> rusqlite::Result<Standing> {
        let mut refused_until = None;
        for number in &asked.numbers {
            let until = self
                .connection()
                .prepare_cached(
                    "SELECT max(until) FROM refused_numbers WHERE number = ?1 AND until > ?2",
                )?
                .query_row(params![number.as_bytes(), signed(now.ledger.millis())], |row| {
                    Ok(row.get::<_, Option<u64>>(0)?.map(UnixTime::from_millis))
                })?;
            refused_until = refused_until.max(until);
        }
        Ok(Standing { refused_until, no_room: self.no_room(None, asked, now)? })
    }

    /// Which limit a message has reached; its own ticket's earlier tries don't count.
    pub(super) fn no_room(
        &self,
        ticket: Option<&PaymentHash>,
        asked: &RoomQuery,
        now: Moment,
    ) -> rusqlite::Result<Option<NoRoom>> {
        if let Some(limit) = &asked.per_number {
            let since = now.ledger.minus(limit.within);
            let mut latest = Vec::new();
            for number in &asked.numbers {
                let claimed = self.latest(number, ticket, since, limit.max)?;
                latest.extend(claimed);
            }
            latest.sort_unstable_by(|one, other| other.cmp(one));
            let at = usize::try_from(limit.max.saturating_sub(1)).unwrap_or(usize::MAX);
            let full = latest.get(at).and_then(|latest| limit.no_room(*latest, now));
            if full.is_some() {
                return Ok(full);
            }
        }
        if let Some(ticket) = ticket
            && self.is_counted_today(ticket, &asked.numbers, now)?
        {
            return Ok(None);
        }
        for one in &asked.per_day {
            let count: Option<u64> = self
                .connection()
                .prepare_cached("SELECT messages FROM day_counts WHERE scope = ?1 AND day = ?2")?
                .query_row(params![one.scope, signed(day(now.ledger))], |row| row.get(0))
                .optional()?;
            if count.unwrap_or(0) >= one.max {
                return Ok(Some(day_is_full(now)));
            }
        }
        Ok(None)
    }

    /// When the latest messages to a number were claimed, no more than `max`.
    fn latest(
        &self,
        number: &NumberHash,
        ticket: Option<&PaymentHash>,
        since: UnixTime,
        max: u32,
    ) -> rusqlite::Result<Vec<UnixTime>> {
        self.connection()
            .prepare_cached(
                "SELECT claimed FROM messages
                 WHERE number = ?1 AND claimed > ?2 AND ticket IS NOT ?3
                 ORDER BY claimed DESC LIMIT ?4",
            )?
            .query_map(
                params![
                    number.as_bytes(),
                    signed(since.millis()),
                    ticket.map(PaymentHash::as_bytes),
                    max
                ],
                |row| row.get(0).map(UnixTime::from_millis),
            )?
            .collect()
    }

    /// Whether a ticket's message to this number is among those of today.
    fn is_counted_today(
        &self,
        ticket: &PaymentHash,
        numbers: &[NumberHash],
        now: Moment,
    ) -> rusqlite::Result<bool> {
        let before: Option<([u8; 16], u64)> = self
            .connection()
            .prepare_cached("SELECT number, claimed FROM messages WHERE ticket = ?1")?
            .query_row(params![ticket.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(before.is_some_and(|(number, claimed)| {
            numbers.contains(&NumberHash::from_bytes(number))
                && day(UnixTime::from_millis(claimed)) == day(now.ledger)
        }))
    }

    /// Counts a message that was claimed. What was reported of an earlier try counts for this one
    /// only if it `may_repeat` it.
    pub(super) fn keep_message(
        &self,
        ticket: &PaymentHash,
        service: &str,
        message: &MessageClaim,
        may_repeat: bool,
        now: Moment,
    ) -> rusqlite::Result<()> {
        let Some(number) = message.room.numbers.first() else { return Ok(()) };
        if !self.is_counted_today(ticket, &message.room.numbers, now)? {
            self.count_today(&message.room.per_day, 1, now)?;
        }
        self.connection()
            .prepare_cached(
                "INSERT INTO messages
                     (ticket, number, service, country, claimed, until, name, state, reported)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)
                 ON CONFLICT (ticket) DO UPDATE SET number = excluded.number,
                     country = excluded.country, claimed = excluded.claimed,
                     until = max(until, excluded.until), name = excluded.name,
                     state = CASE WHEN ?9 THEN state ELSE 0 END,
                     reported = CASE WHEN ?9 THEN reported ELSE excluded.reported END",
            )?
            .execute(params![
                ticket.as_bytes(),
                number.as_bytes(),
                service,
                message.country,
                signed(now.ledger.millis()),
                signed(now.ledger.millis()).saturating_add(millis(message.kept_for)),
                message.name.as_ref().map(ReportName::as_bytes),
                signed(now.wall.millis()),
                may_repeat,
            ])
            .map(|_| ())
    }

    /// A message was refused for good, and so wasn't sent.
    pub(super) fn take_back_message(
        &self,
        ticket: &PaymentHash,
        message: &MessageClaim,
        now: Moment,
    ) -> rusqlite::Result<()> {
        if self.is_counted_today(ticket, &message.room.numbers, now)? {
            self.count_today(&message.room.per_day, -1, now)?;
        }
        self.connection()
            .prepare_cached("DELETE FROM messages WHERE ticket = ?1")?
            .execute(params![ticket.as_bytes()])
            .map(|_| ())
    }

    fn count_today(&self, scopes: &[PerDay], by: i64, now: Moment) -> rusqlite::Result<()> {
        for one in scopes {
            self.connection()
                .prepare_cached(
                    "INSERT INTO day_counts VALUES (?1, ?2, max(?3, 0))
                     ON CONFLICT DO UPDATE SET messages = max(messages + ?3, 0)",
                )?
                .execute(params![one.scope, signed(day(now.ledger)), by])?;
        }
        Ok(())
    }

    /// See `Messages::report`.
    pub(super) fn report(
        &self,
        report: &Report,
        now: Moment,
    ) -> rusqlite::Result<Option<Reported>> {
        let Report { name, state, services } = report;
        let known = self
            .connection()
            .prepare_cached(
                "SELECT ticket, service, country, state < ?2 FROM messages
                 WHERE name = ?1 AND until > ?3",
            )?
            .query_row(
                params![name.as_bytes(), state.number(), signed(now.ledger.millis())],
                |row| {
                    let reported = Reported {
                        ticket: PaymentHash::from_bytes(row.get(0)?),
                        country: row.get(2)?,
                        is_news: row.get(3)?,
                    };
                    let sold_by: String = row.get(1)?;
                    Ok(services.contains(&sold_by).then_some(reported))
                },
            )
            .optional()?
            .flatten();
        if known.as_ref().is_some_and(|known| known.is_news) {
            self.connection()
                .prepare_cached("UPDATE messages SET state = ?2, reported = ?3 WHERE name = ?1")?
                .execute(params![name.as_bytes(), state.number(), signed(now.wall.millis())])?;
        }
        Ok(known)
    }

    /// See `Messages::delivery`.
    pub(super) fn delivery(
        &self,
        ticket: &PaymentHash,
        now: Moment,
    ) -> rusqlite::Result<Option<Delivery>> {
        self.connection()
            .prepare_cached(
                "SELECT state, reported FROM messages
                 WHERE ticket = ?1 AND until > ?2 AND name IS NOT NULL",
            )?
            .query_row(params![ticket.as_bytes(), signed(now.ledger.millis())], |row| {
                let state = DeliveryState::of_number(row.get(0)?);
                Ok(Delivery {
                    state: state.unwrap_or(DeliveryState::Accepted),
                    at: UnixTime::from_millis(row.get(1)?),
                })
            })
            .optional()
    }

    /// Nothing is sold to a number for a time.
    pub(super) fn refuse_number(
        &self,
        refused: &RefusedNumber,
        now: Moment,
    ) -> rusqlite::Result<()> {
        let until = signed(now.ledger.millis()).saturating_add(millis(refused.lasts));
        self.connection()
            .prepare_cached(
                "INSERT INTO refused_numbers VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
            )?
            .execute(params![refused.number.as_bytes(), refused.by.is_operator(), until])?;
        self.note_secret(refused.key.as_bytes(), now.ledger.plus(refused.lasts))
    }

    /// See `Messages::allow_numbers`.
    pub(super) fn allow_numbers(
        &self,
        numbers: &[NumberHash],
        allowed: Allowed,
    ) -> rusqlite::Result<bool> {
        let mut gone = 0;
        for number in numbers {
            gone += self
                .connection()
                .prepare_cached(
                    "DELETE FROM refused_numbers WHERE number = ?1 AND by_operator <= ?2",
                )?
                .execute(params![number.as_bytes(), allowed == Allowed::ByOperator])?;
        }
        Ok(gone > 0)
    }

    /// One small step of forgetting; gives how many rows it took.
    pub(super) fn prune_messages(&self, now: Moment) -> rusqlite::Result<usize> {
        let (clock, connection) = (signed(now.ledger.millis()), self.connection());
        let messages = connection
            .prepare_cached(
                "DELETE FROM messages WHERE ticket IN
                    (SELECT ticket FROM messages WHERE until <= ?1 LIMIT ?2)",
            )?
            .execute(params![clock, PRUNE_STEP])?;
        let numbers = connection
            .prepare_cached(
                "DELETE FROM refused_numbers WHERE until <= ?1 AND number IN
                    (SELECT number FROM refused_numbers WHERE until <= ?1 LIMIT ?2)",
            )?
            .execute(params![clock, PRUNE_STEP])?;
        connection
            .prepare_cached("DELETE FROM day_counts WHERE day < ?1")?
            .execute(params![signed(day(now.ledger).saturating_sub(DAYS_KEPT))])?;
        Ok(messages.max(numbers))
    }
}
