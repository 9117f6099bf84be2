//! The accounts in PostgreSQL. Each step is one statement, since the connections are shared and so
//! have no transactions of several.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::rows::signed;
use super::{PostgresLedger, down};
use crate::ledger::accounts::{
    Accounts, Challenge, ChallengeState, Days, Entry, Found, Minted, News, Receipt, Sum,
};
use crate::ledger::store::{LedgerError, Reply};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Writes challenges down and counts them: those that weren't counted, if there are rows ($7). What
/// isn't to be counted yet is minted at 0.
const NOTE: &str = "
    WITH new AS (
        SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[])
            AS n (hash, service, price_msat, minted, expires, valid_until)),
    inserted AS (
        INSERT INTO farebox.challenges (hash, service, price_msat, minted, expires, valid_until,
            state, paid_msat, paid_at, served)
        SELECT hash, service, price_msat, minted, expires, valid_until, 1, 0, 0, false FROM new
            WHERE $7
        ON CONFLICT (hash) DO UPDATE SET minted = excluded.minted WHERE challenges.minted = 0 AND
            excluded.minted > 0
        RETURNING service, price_msat, minted),
    counted AS (
        SELECT service, price_msat, minted FROM inserted
        UNION ALL
        SELECT service, price_msat, minted FROM new WHERE NOT $7)
    INSERT INTO farebox.days (day, service, minted, minted_msat)
    SELECT minted / 86400, service, count(*), sum(price_msat)::bigint FROM counted WHERE minted > 0
        GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (day, service) DO UPDATE SET
        minted = days.minted + excluded.minted, minted_msat = days.minted_msat + \
        excluded.minted_msat";

const SERVED: &str = "UPDATE farebox.challenges SET served = true WHERE hash = ANY($1::bytea[])";

/// Marks payments and counts those that are news, with the stream's new index.
const PAID: &str = "
    WITH new AS (SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS n (hash, msat,
        at)),
    marked AS (
        UPDATE farebox.challenges AS c SET state = 2, paid_msat = new.msat, paid_at = new.at
        FROM new WHERE c.hash = new.hash AND c.state <> 2
        RETURNING c.hash, c.service, c.paid_msat, c.paid_at),
    added AS (
        INSERT INTO farebox.days (day, service, paid, paid_msat)
        SELECT paid_at / 86400, service, count(*), sum(paid_msat)::bigint FROM marked GROUP BY 1, 2
            ORDER BY 1, 2
        ON CONFLICT (day, service) DO UPDATE SET paid = days.paid + excluded.paid, paid_msat =
            days.paid_msat + excluded.paid_msat),
    index AS (
        INSERT INTO farebox.marks VALUES ($4, $5)
        ON CONFLICT (name) DO UPDATE SET value = greatest(marks.value, excluded.value))
    SELECT hash, service FROM marked";

/// The same for one that was looked up: the index is set back if it had passed a payment that is
/// news.
const FOUND: &str = "
    WITH marked AS (
        UPDATE farebox.challenges SET state = 2, paid_msat = $2, paid_at = $3 WHERE hash = $1 AND
            state <> 2
        RETURNING service, paid_msat, paid_at, minted),
    added AS (
        INSERT INTO farebox.days (day, service, paid, paid_msat) SELECT paid_at / 86400, service, 1,
            paid_msat FROM marked
        ON CONFLICT (day, service) DO UPDATE SET paid = days.paid + excluded.paid, paid_msat =
            days.paid_msat + excluded.paid_msat),
    index AS (
        UPDATE farebox.marks SET value = $5 WHERE name = $4 AND value >= $5
            AND EXISTS (SELECT FROM marked WHERE minted > 0)
        RETURNING value)
    SELECT service, EXISTS (SELECT FROM index) FROM marked";

const CLOSE: &str =
    "UPDATE farebox.challenges SET state = 3 WHERE hash = ANY($1::bytea[]) AND state = 1";

const OPEN: &str = "SELECT hash, state, expires FROM farebox.challenges WHERE state = 1 AND \
                    expires < $1 ORDER BY expires LIMIT $2";

/// Paid and not delivered: neither noted as served nor, where a crash came before the note,
/// delivered by its row.
const OWED: &str = "
    FROM farebox.challenges AS c WHERE c.state = 2 AND NOT c.served
        AND NOT EXISTS (SELECT FROM farebox.tickets AS t WHERE t.hash = c.hash AND t.state = 3)";

/// One small step of forgetting challenges that weren't paid, an hour after they ran out. What is
/// open stays until it was looked up.
pub(super) const PRUNE_CLOSED: &str = "
    DELETE FROM farebox.challenges WHERE hash IN (
        SELECT hash FROM farebox.challenges WHERE state = 3 AND expires < farebox.now_ms() / 1000 \
        - 3600 LIMIT 200)";

/// One small step of forgetting paid ones whose time ended $1 seconds ago. What was never delivered
/// is kept as a sum.
pub(super) const PRUNE_PAID: &str = "
    WITH old AS (
        SELECT hash FROM farebox.challenges WHERE state = 2 AND valid_until < farebox.now_ms() /
            1000 - $1
        LIMIT 200 FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM farebox.challenges WHERE hash IN (SELECT hash FROM old) RETURNING hash,
        service, paid_at, paid_msat, served),
    lost AS (
        SELECT paid_at / 86400 AS day, service, count(*) AS n, sum(paid_msat)::bigint AS msat FROM
            gone
        WHERE NOT served AND NOT EXISTS (SELECT FROM farebox.tickets AS t WHERE t.hash = gone.hash
            AND t.state = 3)
        GROUP BY 1, 2 ORDER BY 1, 2),
    folded AS (
        INSERT INTO farebox.days (day, service, unredeemed, unredeemed_msat) SELECT day, service, n,
            msat FROM lost
        ON CONFLICT (day, service) DO UPDATE SET
            unredeemed = days.unredeemed + excluded.unredeemed, unredeemed_msat =
                days.unredeemed_msat + excluded.unredeemed_msat)
    SELECT hash FROM gone";

impl PostgresLedger {
    async fn rows(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, LedgerError> {
        self.link()?.client.query(sql, values).await.map_err(down)
    }

    async fn write_challenges(
        &self,
        challenges: &[&Minted],
        rows: bool,
        count: bool,
    ) -> Result<(), LedgerError> {
        // A statement may touch a row once only.
        let mut seen = BTreeSet::new();
        let challenges: Vec<&Minted> =
            challenges.iter().copied().filter(|one| !rows || seen.insert(one.hash)).collect();
        if challenges.is_empty() {
            return Ok(());
        }
        let hashes: Vec<&[u8]> =
            challenges.iter().map(|one| one.hash.as_bytes().as_slice()).collect();
        let services: Vec<&str> = challenges.iter().map(|one| &*one.service).collect();
        let numbers = |number: fn(&Minted) -> u64| {
            challenges.iter().map(|one| signed(number(one))).collect::<Vec<i64>>()
        };
        let prices = numbers(|one| one.price_msat);
        let minted = if count { numbers(|one| one.at.seconds()) } else { numbers(|_| 0) };
        let (expires, valid_until) = (numbers(|one| one.expires), numbers(|one| one.valid_until));
        self.rows(NOTE, &[&hashes, &services, &prices, &minted, &expires, &valid_until, &rows])
            .await
            .map(|_| ())
    }
}

impl Accounts for PostgresLedger {
    fn note(&self, entries: Vec<Entry>, challenges: bool) -> Reply<'_, ()> {
        Box::pin(async move {
            let (mut minted, mut found, mut served) = (Vec::new(), Vec::new(), Vec::new());
            for entry in &entries {
                match entry {
                    Entry::Minted(challenge) => minted.push(challenge),
                    Entry::Found(challenge) => found.push(challenge),
                    Entry::Served(hash) => served.push(hash.as_bytes().as_slice()),
                }
            }
            // What may be repeated without harm comes first: an error has all of it said again.
            self.write_challenges(&found, true, false).await?;
            if !served.is_empty() {
                self.rows(SERVED, &[&served]).await?;
            }
            self.write_challenges(&minted, challenges, true).await
        })
    }

    fn paid(&self, node: Arc<str>, receipts: Vec<Receipt>) -> Reply<'_, Vec<News>> {
        Box::pin(async move {
            let Some(last) = receipts.last() else { return Ok(Vec::new()) };
            let hashes: Vec<&[u8]> =
                receipts.iter().map(|receipt| receipt.hash.as_bytes().as_slice()).collect();
            let amounts: Vec<i64> = receipts.iter().map(|receipt| signed(receipt.msat)).collect();
            let times: Vec<i64> =
                receipts.iter().map(|receipt| signed(receipt.at.seconds())).collect();
            let rows = self
                .rows(
                    PAID,
                    &[&hashes, &amounts, &times, &index_of(&node), &signed(last.settle_index)],
                )
                .await?;
            rows.iter()
                .map(|row| Ok(News { hash: hash(row)?, service: row.get(1) }))
                .collect::<Result<_, _>>()
                .map_err(down)
        })
    }

    fn found(&self, node: Arc<str>, receipt: Receipt) -> Reply<'_, Found> {
        Box::pin(async move {
            let hash = receipt.hash.as_bytes().as_slice();
            let (msat, at, index) =
                (signed(receipt.msat), signed(receipt.at.seconds()), signed(receipt.settle_index));
            let rows = self.rows(FOUND, &[&hash, &msat, &at, &index_of(&node), &index]).await?;
            let Some(row) = rows.first() else { return Ok(Found::Known) };
            let news = News { hash: receipt.hash, service: row.get(0) };
            Ok(if row.get(1) { Found::PastTheIndex(news) } else { Found::New(news) })
        })
    }

    fn close(&self, hashes: Vec<PaymentHash>) -> Reply<'_, ()> {
        Box::pin(async move {
            let hashes: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
            self.rows(CLOSE, &[&hashes]).await.map(|_| ())
        })
    }

    fn settle_index(&self, node: Arc<str>) -> Reply<'_, u64> {
        Box::pin(async move {
            let rows = self
                .rows("SELECT value FROM farebox.marks WHERE name = $1", &[&index_of(&node)])
                .await?;
            Ok(rows.first().map_or(0, |row| unsigned(row.get(0))))
        })
    }

    fn open_challenges(
        &self,
        ran_out_before: Option<u64>,
        limit: u32,
    ) -> Reply<'_, Vec<Challenge>> {
        Box::pin(async move {
            let rows = self
                .rows(OPEN, &[&ran_out_before.map_or(i64::MAX, signed), &i64::from(limit)])
                .await?;
            Ok(rows
                .iter()
                .map(challenge)
                .collect::<Result<Vec<_>, _>>()
                .map_err(down)?
                .into_iter()
                .flatten()
                .collect())
        })
    }

    fn challenge(&self, hash: PaymentHash) -> Reply<'_, Option<Challenge>> {
        Box::pin(async move {
            let sql = "SELECT hash, state, expires FROM farebox.challenges WHERE hash = $1";
            let rows = self.rows(sql, &[&hash.as_bytes().as_slice()]).await?;
            Ok(rows.first().map(challenge).transpose().map_err(down)?.flatten())
        })
    }

    fn days(&self, first_day: u64) -> Reply<'_, Days> {
        Box::pin(async move {
            let from = signed(first_day);
            let mut days = Days::new();
            let kept = "SELECT day, service, minted, minted_msat, paid, paid_msat, redeemed, \
                        redeemed_msat, unredeemed, unredeemed_msat
                FROM farebox.days WHERE day >= $1";
            for row in self.rows(kept, &[&from]).await? {
                let day = days.entry((unsigned(row.get(0)), row.get(1))).or_default();
                (day.minted, day.paid, day.redeemed, day.unredeemed) =
                    (sum(&row, 2), sum(&row, 4), sum(&row, 6), sum(&row, 8));
            }
            let delivered = "SELECT changed / 86400000, service, count(*), \
                             sum(price_msat)::bigint FROM farebox.tickets
                WHERE state = 3 AND changed >= $1::bigint * 86400000 GROUP BY 1, 2";
            for row in self.rows(delivered, &[&from]).await? {
                let Sum { count, msat } = sum(&row, 2);
                days.entry((unsigned(row.get(0)), row.get(1)))
                    .or_default()
                    .redeemed
                    .add(count, msat);
            }
            let owed = format!(
                "SELECT c.paid_at / 86400, c.service, count(*), sum(c.paid_msat)::bigint {OWED} \
                 AND c.paid_at >= $1::bigint * 86400 GROUP BY 1, 2"
            );
            for row in self.rows(&owed, &[&from]).await? {
                let Sum { count, msat } = sum(&row, 2);
                days.entry((unsigned(row.get(0)), row.get(1)))
                    .or_default()
                    .unredeemed
                    .add(count, msat);
            }
            Ok(days)
        })
    }

    fn unredeemed(&self) -> Reply<'_, Vec<(String, Sum)>> {
        Box::pin(async move {
            let owed =
                format!("SELECT c.service, count(*), sum(c.paid_msat)::bigint {OWED} GROUP BY 1");
            Ok(self.rows(&owed, &[]).await?.iter().map(|row| (row.get(0), sum(row, 1))).collect())
        })
    }
}

fn index_of(node: &str) -> String {
    format!("settle-index {node}")
}

fn sum(row: &Row, at: usize) -> Sum {
    Sum { count: unsigned(row.get(at)), msat: unsigned(row.get(at + 1)) }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// `None` if this version knows no such state.
fn challenge(row: &Row) -> Result<Option<Challenge>, Error> {
    let (hash, expires) = (hash(row)?, UnixTime::from_seconds(unsigned(row.try_get(2)?)));
    Ok(ChallengeState::of_number(row.try_get(1)?).map(|state| Challenge { hash, state, expires }))
}

fn hash(row: &Row) -> Result<PaymentHash, Error> {
    Ok(PaymentHash::from_bytes(row.try_get::<_, &[u8]>(0)?.try_into().unwrap_or([0; 32])))
}
