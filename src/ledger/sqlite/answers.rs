//! The stored answers, beside their tickets.

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, params};

use super::store::Store;
use crate::ledger::clock::Moment;
use crate::ledger::sql::signed;
use crate::ledger::stored_answer::StoredAnswer;
use crate::payment_hash::PaymentHash;

impl Store {
    pub(super) fn id(&self, hash: &PaymentHash) -> rusqlite::Result<Option<i64>> {
        let mut select =
            self.connection().prepare_cached("SELECT id FROM tickets WHERE hash = ?1")?;
        select.query_row(params![hash.as_bytes()], |row| row.get(0)).optional()
    }

    pub(super) fn keep_answer(
        &self,
        ticket: i64,
        answer: &StoredAnswer,
        now: Moment,
    ) -> rusqlite::Result<()> {
        let headers = serde_json::to_string(&answer.headers).unwrap_or_else(|_| "[]".to_owned());
        self.connection()
            .prepare_cached("INSERT OR REPLACE INTO answers VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                ticket,
                answer.status,
                headers,
                answer.body.as_deref(),
                signed(now.ledger.millis())
            ])?;
        Ok(())
    }

    pub(super) fn stored_answer(
        &self,
        hash: &PaymentHash,
    ) -> rusqlite::Result<Option<StoredAnswer>> {
        self.connection()
            .prepare_cached(
                "SELECT status, headers, body FROM answers
                 WHERE ticket = (SELECT id FROM tickets WHERE hash = ?1)",
            )?
            .query_row(params![hash.as_bytes()], |row| {
                let headers: String = row.get(1)?;
                let body: Option<Vec<u8>> = row.get(2)?;
                Ok(StoredAnswer {
                    status: row.get(0)?,
                    headers: serde_json::from_str(&headers).unwrap_or_default(),
                    body: body.map(Bytes::from),
                })
            })
            .optional()
    }
}
