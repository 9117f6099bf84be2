//! The accounts in PostgreSQL.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_postgres::{Error, Row};

use super::PostgresLedger;
use super::account_statements::{
    ALL_SOLD, CLOSE, DAYS, DELIVERED_BY_DAY, FOUND, NOTE, OPEN, OWED_BY_DAY, OWED_BY_SERVICE, PAID,
    SERVED, SOLD,
};
use super::error::down;
use crate::ledger::accounts::{
    Accounts, Challenge, ChallengeState, Days, JournalEntry, Minted, NewlyPaid, Recorded,
    SettledInvoice, SoldOffer, Sum,
};
use crate::ledger::error::{LedgerError, Reply};
use crate::ledger::sql::{settle_index_name, signed, unsigned};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

impl PostgresLedger {
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
        self.rows(&NOTE, &[&hashes, &services, &prices, &minted, &expires, &valid_until, &rows])
            .await
            .map(|_| ())
    }
}

impl Accounts for PostgresLedger {
    fn note(&self, entries: Vec<JournalEntry>, challenges: bool) -> Reply<'_, ()> {
        Box::pin(async move {
            let (mut minted, mut found, mut served) = (Vec::new(), Vec::new(), Vec::new());
            for entry in &entries {
                match entry {
                    JournalEntry::Minted(challenge) => minted.push(challenge),
                    JournalEntry::Found(challenge) => found.push(challenge),
                    JournalEntry::Served(hash) => served.push(hash.as_bytes().as_slice()),
                }
            }
            let sold = SoldOffer::of(minted.iter().chain(&found).copied());
            if !sold.is_empty() {
                let services: Vec<&str> = sold.iter().map(|one| one.service.as_str()).collect();
                let passes: Vec<bool> = sold.iter().map(|one| one.is_pass).collect();
                let addresses: Vec<&str> = sold.iter().map(|one| one.address.as_str()).collect();
                let until: Vec<i64> = sold.iter().map(|one| signed(one.until)).collect();
                self.rows(SOLD, &[&services, &passes, &addresses, &until]).await?;
            }
            // An error has all of it said again, which is no harm: with rows, each counts once.
            self.write_challenges(&found, true, false).await?;
            self.write_challenges(&minted, challenges, true).await?;
            // After those that may be served already.
            if !served.is_empty() {
                self.rows(SERVED, &[&served]).await?;
            }
            Ok(())
        })
    }

    fn sold(&self) -> Reply<'_, Vec<SoldOffer>> {
        Box::pin(async move {
            let read = |row: &Row| SoldOffer {
                service: row.get(0),
                is_pass: row.get(1),
                address: row.get(2),
                until: unsigned(row.get(3)),
            };
            Ok(self.rows(ALL_SOLD, &[]).await?.iter().map(read).collect())
        })
    }

    fn paid(&self, node: Arc<str>, settled: Vec<SettledInvoice>) -> Reply<'_, Vec<NewlyPaid>> {
        Box::pin(async move {
            let Some(last) = settled.last() else { return Ok(Vec::new()) };
            let hashes: Vec<&[u8]> =
                settled.iter().map(|one| one.hash.as_bytes().as_slice()).collect();
            let amounts: Vec<i64> = settled.iter().map(|one| signed(one.msat)).collect();
            let times: Vec<i64> = settled.iter().map(|one| signed(one.at.seconds())).collect();
            let (name, index) = (settle_index_name(&node), signed(last.settle_index));
            let rows = self.rows(&PAID, &[&hashes, &amounts, &times, &name, &index]).await?;
            rows.iter()
                .map(|row| Ok(NewlyPaid { hash: hash(row)?, service: row.get(1) }))
                .collect::<Result<_, _>>()
                .map_err(down)
        })
    }

    fn found(&self, node: Arc<str>, settled: SettledInvoice) -> Reply<'_, Recorded> {
        Box::pin(async move {
            let hash = settled.hash.as_bytes().as_slice();
            let (msat, at, index) =
                (signed(settled.msat), signed(settled.at.seconds()), signed(settled.settle_index));
            let rows =
                self.rows(&FOUND, &[&hash, &msat, &at, &settle_index_name(&node), &index]).await?;
            let Some(row) = rows.first() else { return Ok(Recorded::Known) };
            let news = NewlyPaid { hash: settled.hash, service: row.get(0) };
            Ok(if row.get(1) { Recorded::PastTheIndex(news) } else { Recorded::New(news) })
        })
    }

    fn close(&self, hashes: Vec<PaymentHash>) -> Reply<'_, ()> {
        Box::pin(async move {
            let hashes: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
            self.rows(&CLOSE, &[&hashes]).await.map(|_| ())
        })
    }

    fn settle_index(&self, node: Arc<str>) -> Reply<'_, u64> {
        Box::pin(async move {
            let sql = "SELECT value FROM farebox.marks WHERE name = $1";
            let rows = self.rows(sql, &[&settle_index_name(&node)]).await?;
            Ok(rows.first().map_or(0, |row| unsigned(row.get(0))))
        })
    }

    fn open_challenges(
        &self,
        ran_out_before: Option<u64>,
        limit: u32,
    ) -> Reply<'_, Vec<Challenge>> {
        Box::pin(async move {
            let before = ran_out_before.map_or(i64::MAX, signed);
            let rows = self.rows(&OPEN, &[&before, &i64::from(limit)]).await?;
            let read = rows.iter().filter_map(|row| challenge(row).transpose());
            read.collect::<Result<_, _>>().map_err(down)
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
            for row in self.rows(DAYS, &[&from]).await? {
                let day = days.entry((unsigned(row.get(0)), row.get(1))).or_default();
                (day.minted, day.paid, day.redeemed, day.unredeemed) =
                    (sum(&row, 2), sum(&row, 4), sum(&row, 6), sum(&row, 8));
            }
            for row in self.rows(&DELIVERED_BY_DAY, &[&from]).await? {
                let Sum { count, msat } = sum(&row, 2);
                days.entry((unsigned(row.get(0)), row.get(1)))
                    .or_default()
                    .redeemed
                    .add(count, msat);
            }
            for row in self.rows(&OWED_BY_DAY, &[&from]).await? {
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
            Ok(self
                .rows(&OWED_BY_SERVICE, &[])
                .await?
                .iter()
                .map(|row| (row.get(0), sum(row, 1)))
                .collect())
        })
    }
}

fn sum(row: &Row, at: usize) -> Sum {
    Sum { count: unsigned(row.get(at)), msat: unsigned(row.get(at + 1)) }
}

/// `None` if this version knows no such state.
fn challenge(row: &Row) -> Result<Option<Challenge>, Error> {
    let (hash, expires) = (hash(row)?, UnixTime::from_seconds(unsigned(row.try_get(2)?)));
    Ok(ChallengeState::of_number(row.try_get(1)?).map(|state| Challenge { hash, state, expires }))
}

fn hash(row: &Row) -> Result<PaymentHash, Error> {
    Ok(PaymentHash::from_bytes(row.try_get::<_, &[u8]>(0)?.try_into().unwrap_or([0; 32])))
}
