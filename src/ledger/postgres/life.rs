//! Which ledger it is, and which life it has.

use tokio_postgres::{Client, Row as SqlRow};

use super::error::PostgresError;
use super::statements::WHICH;
use crate::era::Era;
use crate::ledger::clock::JUMP_MAX;
use crate::ledger::id::LedgerId;
use crate::ledger::sold_on;
use crate::ledger::sql::{millis, signed, unsigned};
use crate::time::UnixTime;

/// Names of the marks that say which table of which server it was, as `WHICH` tells them.
const WHICH_MARKS: [&str; 3] = ["oid", "timeline", "system"];

/// The marks of a new ledger.
pub(super) async fn begin(client: &impl Queries) -> Result<(), PostgresError> {
    let id = LedgerId::random().map_err(no_randomness)?;
    for (name, value) in [("watermark", 0), ("released", 0), ("id", id.number())] {
        client.set(name, value).await?;
    }
    client.set("clock", signed(UnixTime::now().millis())).await?;
    client.set("jump-left", millis(JUMP_MAX)).await?;
    begin_life(client).await
}

/// A new era, of the table that is there now.
pub(super) async fn begin_life(client: &impl Queries) -> Result<(), PostgresError> {
    let mut era = [0; 8];
    getrandom::fill(&mut era).map_err(no_randomness)?;
    client.set("era", Era::from_bytes(era).number()).await?;
    for (name, value) in WHICH_MARKS.iter().zip(which(client).await?) {
        client.set(name, value).await?;
    }
    Ok(())
}

/// What of PostgreSQL's client and its transactions is needed here.
pub(super) trait Queries {
    /// Rows of a statement without parameters.
    async fn ask(&self, sql: &str) -> Result<Vec<SqlRow>, PostgresError>;

    /// Writes a mark.
    async fn set(&self, name: &str, value: i64) -> Result<(), PostgresError>;
}

const SET_MARK: &str = "
    INSERT INTO farebox.marks VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl Queries for Client {
    async fn ask(&self, sql: &str) -> Result<Vec<SqlRow>, PostgresError> {
        Ok(self.query(sql, &[]).await?)
    }

    async fn set(&self, name: &str, value: i64) -> Result<(), PostgresError> {
        self.execute(SET_MARK, &[&name, &value]).await?;
        Ok(())
    }
}

impl Queries for tokio_postgres::Transaction<'_> {
    async fn ask(&self, sql: &str) -> Result<Vec<SqlRow>, PostgresError> {
        Ok(self.query(sql, &[]).await?)
    }

    async fn set(&self, name: &str, value: i64) -> Result<(), PostgresError> {
        self.execute(SET_MARK, &[&name, &value]).await?;
        Ok(())
    }
}

async fn which(client: &impl Queries) -> Result<[i64; 3], PostgresError> {
    let rows = client.ask(WHICH).await?;
    let row = rows.first().ok_or_else(|| unusable("PostgreSQL doesn't say which server it is"))?;
    Ok([row.get(0), row.get(1), row.get(2)])
}

/// Which ledger it is.
pub(super) async fn id(client: &impl Queries) -> Result<LedgerId, PostgresError> {
    let rows = client.ask("SELECT value FROM farebox.marks WHERE name = 'id'").await?;
    let row = rows.first().ok_or_else(|| unusable("the ledger has no id"))?;
    Ok(LedgerId::from_number(row.get(0)))
}

/// What the ledger's clock showed last.
pub(super) async fn clock(client: &impl Queries) -> Result<UnixTime, PostgresError> {
    let rows = client.ask("SELECT farebox.clock_ms()").await?;
    let shows = rows.first().and_then(|row| row.get::<_, Option<i64>>(0)).unwrap_or(0);
    Ok(UnixTime::from_millis(unsigned(shows)))
}

/// Whether this is the ledger that it was when its life began, and the one that the master secret
/// names, if it names any.
pub(super) async fn check(client: &impl Queries, named: &[LedgerId]) -> Result<(), PostgresError> {
    let id = id(client).await?;
    if !named.is_empty() && !named.contains(&id) {
        return Err(unusable(
            "the master secret was made for another ledger than this one (its remark `# ledger \
             ..` names it); put that ledger back, or take the secret that belongs to this one",
        ));
    }
    let names = "SELECT name, value FROM farebox.marks WHERE name IN ('oid', 'timeline', 'system')";
    let rows = client.ask(names).await?;
    let now = which(client).await?;
    let is_same = WHICH_MARKS.iter().zip(now).all(|(name, value)| {
        rows.iter().any(|row| row.get::<_, &str>(0) == *name && row.get::<_, i64>(1) == value)
    });
    if is_same {
        return Ok(());
    }
    Err(unusable(
        "the database was put back from a copy or to an earlier time, or another server took over; \
         tickets may have been spent since. Run `farebox ledger --config FILE restored`, which \
         parks what nobody knows of",
    ))
}

/// `Err` where something was sold on another network than this one.
pub(super) async fn check_network(client: &impl Queries, now: &str) -> Result<(), PostgresError> {
    let sold_on = "SELECT name FROM farebox.marks WHERE name LIKE 'network:%'
        AND (EXISTS (SELECT 1 FROM farebox.tickets) OR EXISTS (SELECT 1 FROM farebox.days))";
    let rows = client.ask(sold_on).await?;
    let other = rows.iter().map(|row| sold_on::of_mark(row.get(0))).find(|found| *found != now);
    other
        .map_or(Ok(()), |found| Err(unusable(&sold_on::refusal(found, now, sold_on::SCHEMA_ASIDE))))
}

/// Writes down on which network is sold from here on, after the same look.
pub(super) async fn sell_on(client: &impl Queries, now: &str) -> Result<(), PostgresError> {
    check_network(client, now).await?;
    let mark = sold_on::mark(now);
    let others = "DELETE FROM farebox.marks WHERE name LIKE 'network:%' AND name <>";
    client.ask(&format!("{others} '{mark}'")).await?;
    client.set(&mark, 1).await
}

pub(super) fn unusable(why: &str) -> PostgresError {
    PostgresError::Unusable(why.to_owned())
}

fn no_randomness(error: getrandom::Error) -> PostgresError {
    PostgresError::Unusable(format!("there is no randomness: {error}"))
}
