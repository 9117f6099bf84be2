//! The accounts' tables and statements.

use rusqlite::{OptionalExtension as _, params};

use super::OpenError;
use super::store::{Store, read_only, signed};
use crate::ledger::accounts::{
    Challenge, ChallengeState, DAY, Days, Entry, Found, Minted, News, Receipt, Sum,
};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// What layout 2 adds to layout 1.
pub(super) const TABLES: &str = "
    CREATE TABLE challenges (
        hash        BLOB PRIMARY KEY,  -- payment hash, 32 bytes
        service     TEXT NOT NULL,
        price_msat  INTEGER NOT NULL,
        minted      INTEGER NOT NULL,  -- Unix seconds, as the further times; 0 until it is counted
        expires     INTEGER NOT NULL,
        valid_until INTEGER NOT NULL,
        state       INTEGER NOT NULL,  -- 1 open, 2 paid, 3 closed
        paid_msat   INTEGER NOT NULL,
        paid_at     INTEGER NOT NULL,
        served      INTEGER NOT NULL   -- 1 once its ticket was delivered
    ) WITHOUT ROWID;
    CREATE INDEX challenges_open ON challenges (expires) WHERE state = 1;
    CREATE INDEX challenges_closed ON challenges (expires) WHERE state = 3;
    CREATE INDEX challenges_paid ON challenges (valid_until) WHERE state = 2;
    CREATE INDEX challenges_unredeemed ON challenges (service) WHERE state = 2 AND served = 0;
    CREATE TABLE days (
        day             INTEGER NOT NULL,  -- Unix seconds / 86400
        service         TEXT NOT NULL,
        minted          INTEGER NOT NULL DEFAULT 0,
        minted_msat     INTEGER NOT NULL DEFAULT 0,
        paid            INTEGER NOT NULL DEFAULT 0,
        paid_msat       INTEGER NOT NULL DEFAULT 0,
        redeemed        INTEGER NOT NULL DEFAULT 0,  -- of tickets whose rows are gone
        redeemed_msat   INTEGER NOT NULL DEFAULT 0,
        unredeemed      INTEGER NOT NULL DEFAULT 0,  -- of challenges whose rows are gone
        unredeemed_msat INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (day, service)
    ) WITHOUT ROWID;
";

/// Paid and not delivered: neither noted as served nor, where a crash came before the note,
/// delivered by its row.
const UNREDEEMED: &str = "state = 2 AND served = 0
    AND NOT EXISTS (SELECT 1 FROM tickets WHERE tickets.hash = challenges.hash AND tickets.state \
    = 3)";

/// How long a challenge that wasn't paid is remembered after its invoice ran out, in seconds.
const CLOSED_FOR: u64 = 3600;

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

    pub(super) fn note(&self, entries: &[Entry], challenges: bool) -> rusqlite::Result<()> {
        let mut minted = std::collections::BTreeMap::<(u64, &str), Sum>::new();
        for entry in entries {
            match entry {
                Entry::Minted(challenge) => {
                    // Said before, and that went unconfirmed: not counted again.
                    if !challenges || self.insert_challenge(challenge, challenge.at.seconds())? {
                        minted
                            .entry((challenge.at.seconds() / DAY, &challenge.service))
                            .or_default()
                            .add(1, challenge.price_msat);
                    }
                }
                Entry::Found(challenge) => {
                    self.insert_challenge(challenge, 0)?;
                }
                Entry::Served(hash) => {
                    self.connection()
                        .prepare_cached("UPDATE challenges SET served = 1 WHERE hash = ?1")?
                        .execute(params![hash.as_bytes()])?;
                }
            }
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
                "INSERT INTO challenges (hash, service, price_msat, minted, expires, valid_until, \
                 state, paid_msat, paid_at, served)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, 0, 0, 0)
                 ON CONFLICT DO UPDATE SET minted = excluded.minted WHERE minted = 0 AND \
                 excluded.minted > 0",
            )?
            .execute(params![
                challenge.hash.as_bytes(),
                challenge.service,
                signed(challenge.price_msat),
                signed(minted),
                signed(challenge.expires),
                signed(challenge.valid_until),
            ])?;
        Ok(inserted == 1)
    }

    pub(super) fn paid(&self, node: &str, receipts: &[Receipt]) -> rusqlite::Result<Vec<News>> {
        let mut news = Vec::new();
        for receipt in receipts {
            news.extend(self.mark_paid(receipt)?.map(|(news, _)| news));
        }
        if let Some(last) = receipts.last() {
            self.set_mark(&index_of(node), last.settle_index)?;
        }
        Ok(news)
    }

    pub(super) fn found(&self, node: &str, receipt: &Receipt) -> rusqlite::Result<Found> {
        let Some((news, was_counted)) = self.mark_paid(receipt)? else { return Ok(Found::Known) };
        let name = index_of(node);
        // One that only turned up again may be older than the accounts: it says nothing of the
        // index.
        if !was_counted || self.mark(&name)? < receipt.settle_index {
            return Ok(Found::New(news));
        }
        self.set_mark(&name, receipt.settle_index)?;
        Ok(Found::PastTheIndex(news))
    }

    /// The second part says whether the challenge was counted. A payment counts once, whoever tells
    /// of it and however often.
    fn mark_paid(&self, receipt: &Receipt) -> rusqlite::Result<Option<(News, bool)>> {
        let found: Option<(String, u64)> = self
            .connection()
            .prepare_cached(
                "UPDATE challenges SET state = 2, paid_msat = ?2, paid_at = ?3 WHERE hash = ?1 \
                 AND state <> 2 RETURNING service, minted",
            )?
            .query_row(
                params![
                    receipt.hash.as_bytes(),
                    signed(receipt.msat),
                    signed(receipt.at.seconds())
                ],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        if let Some((service, _)) = &found {
            self.add_to_day(
                Column::Paid,
                receipt.at.seconds() / DAY,
                service,
                Sum { count: 1, msat: receipt.msat },
            )?;
        }
        Ok(found.map(|(service, minted)| (News { hash: receipt.hash, service }, minted > 0)))
    }

    pub(super) fn close_challenges(&self, hashes: &[PaymentHash]) -> rusqlite::Result<()> {
        for hash in hashes {
            self.connection()
                .prepare_cached("UPDATE challenges SET state = 3 WHERE hash = ?1 AND state = 1")?
                .execute(params![hash.as_bytes()])?;
        }
        Ok(())
    }

    pub(super) fn settle_index(&self, node: &str) -> rusqlite::Result<u64> {
        self.mark(&index_of(node))
    }

    pub(super) fn open_challenges(
        &self,
        ran_out_before: Option<u64>,
        limit: u32,
    ) -> rusqlite::Result<Vec<Challenge>> {
        let before = ran_out_before.map_or(i64::MAX, signed);
        self.connection()
            .prepare_cached(
                "SELECT hash, expires FROM challenges WHERE state = 1 AND expires < \
                             ?1 ORDER BY expires LIMIT ?2",
            )?
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
            .prepare_cached(
                "DELETE FROM challenges WHERE hash IN (SELECT hash FROM challenges \
                             WHERE state = 3 AND expires < ?1 LIMIT ?2)",
            )?
            .execute(params![signed(now.seconds().saturating_sub(CLOSED_FOR)), limit])?;
        let old = "state = 2 AND valid_until < ?1 ORDER BY valid_until LIMIT ?2";
        let lost: Vec<(u64, String, u64)> = self
            .connection()
            .prepare_cached(&format!(
                "SELECT paid_at, service, paid_msat FROM challenges
                 WHERE hash IN (SELECT hash FROM challenges WHERE {old}) AND {UNREDEEMED}"
            ))?
            .query_map(params![signed(paid_cutoff), limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (paid_at, service, msat) in lost {
            self.add_to_day(Column::Unredeemed, paid_at / DAY, &service, Sum { count: 1, msat })?;
        }
        let paid = self
            .connection()
            .prepare_cached(&format!(
                "DELETE FROM challenges WHERE hash IN (SELECT hash FROM challenges WHERE {old})"
            ))?
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
                "SELECT day, service, minted, minted_msat, paid, paid_msat, redeemed, \
                 redeemed_msat, unredeemed, unredeemed_msat
                 FROM days WHERE day >= ?1",
            )?;
            let mut rows = kept.query(params![from])?;
            while let Some(row) = rows.next()? {
                let day = days.entry((row.get(0)?, row.get(1)?)).or_default();
                (day.minted, day.paid) = (sum(row, 2)?, sum(row, 4)?);
                (day.redeemed, day.unredeemed) = (sum(row, 6)?, sum(row, 8)?);
            }
            let mut delivered = connection.prepare(
                "SELECT changed / 86400000, service, count(*), sum(price_msat) FROM tickets
                 WHERE state = 3 AND changed >= ?1 * 86400000 GROUP BY 1, 2",
            )?;
            let mut rows = delivered.query(params![from])?;
            while let Some(row) = rows.next()? {
                let Sum { count, msat } = sum(row, 2)?;
                days.entry((row.get(0)?, row.get(1)?)).or_default().redeemed.add(count, msat);
            }
            let mut owed = connection.prepare(&format!(
                "SELECT paid_at / 86400, service, count(*), sum(paid_msat) FROM challenges
                 WHERE {UNREDEEMED} AND paid_at >= ?1 * 86400 GROUP BY 1, 2"
            ))?;
            let mut rows = owed.query(params![from])?;
            while let Some(row) = rows.next()? {
                let Sum { count, msat } = sum(row, 2)?;
                days.entry((row.get(0)?, row.get(1)?)).or_default().unredeemed.add(count, msat);
            }
            Ok(days)
        })
    }

    /// Read beside the writer.
    pub(super) fn unredeemed(path: &std::path::Path) -> Result<Vec<(String, Sum)>, OpenError> {
        read_only(path, |connection| {
            connection
                .prepare(&format!(
                    "SELECT service, count(*), sum(paid_msat) FROM challenges WHERE \
                                   {UNREDEEMED} GROUP BY 1"
                ))?
                .query_map([], |row| {
                    Ok((row.get(0)?, Sum { count: row.get(1)?, msat: row.get(2)? }))
                })?
                .collect()
        })
    }

    fn mark(&self, name: &str) -> rusqlite::Result<u64> {
        let value = self
            .connection()
            .prepare_cached("SELECT value FROM marks WHERE name = ?1")?
            .query_row(params![name], |row| row.get(0))
            .optional()?;
        Ok(value.unwrap_or(0))
    }

    fn set_mark(&self, name: &str, value: u64) -> rusqlite::Result<()> {
        self.connection()
            .prepare_cached(
                "INSERT INTO marks VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = \
                             excluded.value",
            )?
            .execute(params![name, signed(value)])
            .map(|_| ())
    }
}

fn index_of(node: &str) -> String {
    format!("settle-index {node}")
}
