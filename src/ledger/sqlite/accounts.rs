//! The accounts' tables and statements.

use rusqlite::{OptionalExtension as _, params};

use super::error::OpenError;
use super::marks;
use super::read::read_only;
use super::store::Store;
use crate::ledger::accounts::{
    Challenge, ChallengeState, DAY_S, Days, JournalEntry, Minted, NewlyPaid, Recorded,
    SettledInvoice, SoldOffer, Sum,
};
use crate::ledger::limits::CLOSED_FOR;
use crate::ledger::sql::{fill, settle_index_name, signed, unsigned};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Paid and not delivered: neither noted as served nor, where a crash came before the note,
/// delivered by its row.
const UNREDEEMED: &str = "state = {paid} AND served = 0 AND NOT EXISTS (
    SELECT 1 FROM tickets WHERE tickets.hash = challenges.hash AND tickets.state = {delivered})";

/// A pair of columns of `days`.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Minted,
    Paid,
    Redeemed,
    Unredeemed,
}

impl Column {
    fn add(self) -> &'static str {
        match self {
            Self::Minted => ADD_MINTED,
            Self::Paid => ADD_PAID,
            Self::Redeemed => ADD_REDEEMED,
            Self::Unredeemed => ADD_UNREDEEMED,
        }
    }
}

macro_rules! add_to {
    ($count:literal, $msat:literal) => {
        concat!(
            "INSERT INTO days (day, service, ",
            $count,
            ", ",
            $msat,
            ") VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET ",
            $count,
            " = ",
            $count,
            " + excluded.",
            $count,
            ", ",
            $msat,
            " = ",
            $msat,
            " + excluded.",
            $msat
        )
    };
}

const ADD_MINTED: &str = add_to!("minted", "minted_msat");
const ADD_PAID: &str = add_to!("paid", "paid_msat");
const ADD_REDEEMED: &str = add_to!("redeemed", "redeemed_msat");
const ADD_UNREDEEMED: &str = add_to!("unredeemed", "unredeemed_msat");

impl Store {
    pub(super) fn add_to_day(
        &self,
        column: Column,
        day: u64,
        service: &str,
        sum: Sum,
    ) -> rusqlite::Result<()> {
        let values = params![signed(day), service, signed(sum.count), signed(sum.msat)];
        self.connection().prepare_cached(column.add())?.execute(values).map(|_| ())
    }

    pub(super) fn note(&self, entries: &[JournalEntry], challenges: bool) -> rusqlite::Result<()> {
        let mut minted = std::collections::BTreeMap::<(u64, &str), Sum>::new();
        for entry in entries {
            match entry {
                JournalEntry::Minted(challenge) => {
                    // Said before, and that went unconfirmed: not counted again.
                    if !challenges || self.insert_challenge(challenge, challenge.at.seconds())? {
                        minted
                            .entry((challenge.at.seconds() / DAY_S, &challenge.service))
                            .or_default()
                            .add(1, challenge.price_msat);
                    }
                }
                JournalEntry::Found(challenge) => {
                    self.insert_challenge(challenge, 0)?;
                }
                JournalEntry::Served(hash) => {
                    self.connection()
                        .prepare_cached("UPDATE challenges SET served = 1 WHERE hash = ?1")?
                        .execute(params![hash.as_bytes()])?;
                }
            }
        }
        let minted_ones = entries.iter().filter_map(|entry| match entry {
            JournalEntry::Minted(one) | JournalEntry::Found(one) => Some(one),
            JournalEntry::Served(_) => None,
        });
        for SoldOffer { service, is_pass, address, until } in SoldOffer::of(minted_ones) {
            self.connection()
                .prepare_cached(
                    "INSERT INTO offers VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
                )?
                .execute(params![service, is_pass, address, signed(until)])?;
        }
        for ((day, service), sum) in minted {
            self.add_to_day(Column::Minted, day, service, sum)?;
        }
        Ok(())
    }

    /// Whether it is news.
    fn insert_challenge(&self, challenge: &Minted, minted: u64) -> rusqlite::Result<bool> {
        let inserted = self
            .connection()
            .prepare_cached(
                "INSERT INTO challenges (hash, service, price_msat, minted, expires, valid_until,
                     state, paid_msat, paid_at, served)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0)
                 ON CONFLICT DO UPDATE SET minted = excluded.minted
                 WHERE minted = 0 AND excluded.minted > 0",
            )?
            .execute(params![
                challenge.hash.as_bytes(),
                challenge.service,
                signed(challenge.price_msat),
                signed(minted),
                signed(challenge.expires),
                signed(challenge.valid_until),
                ChallengeState::Open.number(),
            ])?;
        Ok(inserted == 1)
    }

    pub(super) fn paid(
        &self,
        node: &str,
        settled: &[SettledInvoice],
    ) -> rusqlite::Result<Vec<NewlyPaid>> {
        let mut news = Vec::new();
        for one in settled {
            news.extend(self.mark_paid(one)?.map(|(news, _)| news));
        }
        if let Some(last) = settled.last() {
            let name = settle_index_name(node);
            self.set_mark(&name, last.settle_index.max(self.mark(&name)?))?;
        }
        Ok(news)
    }

    pub(super) fn found(&self, node: &str, settled: &SettledInvoice) -> rusqlite::Result<Recorded> {
        let Some((news, was_counted)) = self.mark_paid(settled)? else {
            return Ok(Recorded::Known);
        };
        let name = settle_index_name(node);
        // One that only turned up again may be older than the accounts: it says nothing of the
        // index.
        if !was_counted || self.mark(&name)? < settled.settle_index {
            return Ok(Recorded::New(news));
        }
        self.set_mark(&name, settled.settle_index)?;
        Ok(Recorded::PastTheIndex(news))
    }

    /// The second part says whether the challenge was counted. A payment counts once, whoever tells
    /// of it and however often.
    fn mark_paid(&self, settled: &SettledInvoice) -> rusqlite::Result<Option<(NewlyPaid, bool)>> {
        let found: Option<(String, u64)> = self
            .connection()
            .prepare_cached(
                "UPDATE challenges SET state = ?4, paid_msat = ?2, paid_at = ?3
                 WHERE hash = ?1 AND state <> ?4 RETURNING service, minted",
            )?
            .query_row(
                params![
                    settled.hash.as_bytes(),
                    signed(settled.msat),
                    signed(settled.at.seconds()),
                    ChallengeState::Paid.number(),
                ],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        if let Some((service, _)) = &found {
            self.add_to_day(
                Column::Paid,
                settled.at.seconds() / DAY_S,
                service,
                Sum { count: 1, msat: settled.msat },
            )?;
        }
        Ok(found.map(|(service, minted)| (NewlyPaid { hash: settled.hash, service }, minted > 0)))
    }

    pub(super) fn close_challenges(&self, hashes: &[PaymentHash]) -> rusqlite::Result<()> {
        let (open, closed) = (ChallengeState::Open.number(), ChallengeState::Closed.number());
        for hash in hashes {
            self.connection()
                .prepare_cached("UPDATE challenges SET state = ?3 WHERE hash = ?1 AND state = ?2")?
                .execute(params![hash.as_bytes(), open, closed])?;
        }
        Ok(())
    }

    pub(super) fn settle_index(&self, node: &str) -> rusqlite::Result<u64> {
        self.mark(&settle_index_name(node))
    }

    pub(super) fn open_challenges(
        &self,
        ran_out_before: Option<u64>,
        limit: u32,
    ) -> rusqlite::Result<Vec<Challenge>> {
        let before = ran_out_before.map_or(i64::MAX, signed);
        self.connection()
            .prepare_cached(&fill(
                "SELECT hash, expires FROM challenges WHERE state = {open} AND expires < ?1
                 ORDER BY expires LIMIT ?2",
            ))?
            .query_map(params![before, limit], |row| {
                let (hash, expires) =
                    (PaymentHash::from_bytes(row.get(0)?), UnixTime::from_seconds(row.get(1)?));
                Ok(Challenge { hash, state: ChallengeState::Open, expires })
            })?
            .collect()
    }

    pub(super) fn challenge(&self, hash: &PaymentHash) -> rusqlite::Result<Option<Challenge>> {
        let row: Option<(i16, u64)> = self
            .connection()
            .prepare_cached("SELECT state, expires FROM challenges WHERE hash = ?1")?
            .query_row(params![hash.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(row.and_then(|(state, expires)| {
            let state = ChallengeState::of_number(state)?;
            Some(Challenge { hash: *hash, state, expires: UnixTime::from_seconds(expires) })
        }))
    }

    /// One small step of forgetting; gives how many rows went. What is open stays until it was
    /// looked up. What was paid and never delivered is kept as a sum.
    pub(super) fn prune_challenges(
        &self,
        now: UnixTime,
        paid_cutoff: u64,
        limit: u32,
    ) -> rusqlite::Result<u32> {
        let closed = self
            .connection()
            .prepare_cached(&fill(
                "DELETE FROM challenges WHERE hash IN (
                     SELECT hash FROM challenges WHERE state = {closed} AND expires < ?1 LIMIT ?2)",
            ))?
            .execute(params![signed(now.seconds().saturating_sub(CLOSED_FOR.as_secs())), limit])?;
        let old = "state = {paid} AND valid_until < ?1 ORDER BY valid_until LIMIT ?2";
        let lost: Vec<(u64, String, u64)> = self
            .connection()
            .prepare_cached(&fill(&format!(
                "SELECT paid_at, service, paid_msat FROM challenges
                 WHERE hash IN (SELECT hash FROM challenges WHERE {old}) AND {UNREDEEMED}"
            )))?
            .query_map(params![signed(paid_cutoff), limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (paid_at, service, msat) in lost {
            self.add_to_day(Column::Unredeemed, paid_at / DAY_S, &service, Sum { count: 1, msat })?;
        }
        let paid = self
            .connection()
            .prepare_cached(&fill(&format!(
                "DELETE FROM challenges WHERE hash IN (SELECT hash FROM challenges WHERE {old})"
            )))?
            .execute(params![signed(paid_cutoff), limit])?;
        Ok(u32::try_from(closed.max(paid)).unwrap_or(u32::MAX))
    }

    /// Read beside the writer.
    pub(super) fn days(path: &std::path::Path, first_day: u64) -> Result<Days, OpenError> {
        read_only(path, |connection| {
            let mut days = Days::new();
            let from = signed(first_day);
            let sum = |row: &rusqlite::Row<'_>, at: usize| {
                Ok::<_, rusqlite::Error>(Sum { count: row.get(at)?, msat: row.get(at + 1)? })
            };
            let mut kept = connection.prepare(
                "SELECT day, service, minted, minted_msat, paid, paid_msat, redeemed,
                     redeemed_msat, unredeemed, unredeemed_msat
                 FROM days WHERE day >= ?1",
            )?;
            let mut rows = kept.query(params![from])?;
            while let Some(row) = rows.next()? {
                let day = days.entry((row.get(0)?, row.get(1)?)).or_default();
                (day.minted, day.paid) = (sum(row, 2)?, sum(row, 4)?);
                (day.redeemed, day.unredeemed) = (sum(row, 6)?, sum(row, 8)?);
            }
            let mut delivered = connection.prepare(&fill(
                "SELECT changed / {day_ms}, service, count(*), sum(price_msat) FROM tickets
                 WHERE state = {delivered} AND changed >= ?1 * {day_ms} GROUP BY 1, 2",
            ))?;
            let mut rows = delivered.query(params![from])?;
            while let Some(row) = rows.next()? {
                let Sum { count, msat } = sum(row, 2)?;
                days.entry((row.get(0)?, row.get(1)?)).or_default().redeemed.add(count, msat);
            }
            let mut owed = connection.prepare(&fill(&format!(
                "SELECT paid_at / {{day_s}}, service, count(*), sum(paid_msat) FROM challenges
                 WHERE {UNREDEEMED} AND paid_at >= ?1 * {{day_s}} GROUP BY 1, 2"
            )))?;
            let mut rows = owed.query(params![from])?;
            while let Some(row) = rows.next()? {
                let Sum { count, msat } = sum(row, 2)?;
                days.entry((row.get(0)?, row.get(1)?)).or_default().unredeemed.add(count, msat);
            }
            Ok(days)
        })
    }

    /// Read beside the writer.
    pub(super) fn sold(path: &std::path::Path) -> Result<Vec<SoldOffer>, OpenError> {
        read_only(path, |connection| {
            connection
                .prepare("SELECT service, is_pass, address, until FROM offers ORDER BY 1, 2, 3")?
                .query_map([], |row| {
                    let (service, is_pass) = (row.get(0)?, row.get(1)?);
                    Ok(SoldOffer { service, is_pass, address: row.get(2)?, until: row.get(3)? })
                })?
                .collect()
        })
    }

    /// Read beside the writer.
    pub(super) fn unredeemed(path: &std::path::Path) -> Result<Vec<(String, Sum)>, OpenError> {
        read_only(path, |connection| {
            connection
                .prepare(&fill(&format!(
                    "SELECT service, count(*), sum(paid_msat) FROM challenges
                     WHERE {UNREDEEMED} GROUP BY 1"
                )))?
                .query_map([], |row| {
                    Ok((row.get(0)?, Sum { count: row.get(1)?, msat: row.get(2)? }))
                })?
                .collect()
        })
    }

    fn mark(&self, name: &str) -> rusqlite::Result<u64> {
        Ok(unsigned(marks::get(self.connection(), name)?.unwrap_or(0)))
    }

    fn set_mark(&self, name: &str, value: u64) -> rusqlite::Result<()> {
        marks::set(self.connection(), name, signed(value))
    }
}
