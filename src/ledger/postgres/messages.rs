//! What is kept of text messages.

use tokio_postgres::types::ToSql;

use super::PostgresLedger;
use super::error::unreadable;
use super::message_statements::{ALLOW_NUMBERS, DELIVERY, REFUSE_NUMBER, REPORT, STANDING};
use super::room::{RoomValues, no_room};
use crate::ledger::error::Reply;
use crate::ledger::messages::{
    Allowed, Delivery, DeliveryState, Messages, RefusedNumber, Report, Reported, RoomQuery,
    Standing,
};
use crate::ledger::sql::{millis, unsigned};
use crate::number_hash::NumberHash;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

impl Messages for PostgresLedger {
    fn standing(&self, asked: RoomQuery) -> Reply<'_, Standing> {
        Box::pin(async move {
            let RoomValues { numbers, most, within, scopes, maxima } = RoomValues::of(&asked);
            let values: [&(dyn ToSql + Sync); 5] = [&numbers, &most, &within, &scopes, &maxima];
            let rows = self.rows(STANDING, &values).await?;
            let row = rows.first().ok_or_else(unreadable)?;
            let until: Option<i64> = row.get(0);
            Ok(Standing {
                refused_until: until.map(|until| UnixTime::from_millis(unsigned(until))),
                no_room: no_room(row.get(1), row.get(2)),
            })
        })
    }

    fn report(&self, report: Report) -> Reply<'_, Option<Reported>> {
        Box::pin(async move {
            let (name, state) = (report.name.as_bytes().as_slice(), report.state.number());
            let rows = self.rows(REPORT, &[&name, &state, &report.services]).await?;
            let Some(row) = rows.first() else { return Ok(None) };
            let ticket = row.get::<_, &[u8]>(0).try_into().map_err(|_| unreadable())?;
            Ok(Some(Reported {
                ticket: PaymentHash::from_bytes(ticket),
                country: row.get(1),
                is_news: row.get(2),
            }))
        })
    }

    fn delivery(&self, ticket: PaymentHash) -> Reply<'_, Option<Delivery>> {
        Box::pin(async move {
            let rows = self.rows(DELIVERY, &[&ticket.as_bytes().as_slice()]).await?;
            Ok(rows.first().map(|row| Delivery {
                state: DeliveryState::of_number(row.get(0)).unwrap_or(DeliveryState::Accepted),
                at: UnixTime::from_millis(unsigned(row.get(1))),
            }))
        })
    }

    fn refuse_number(&self, refused: RefusedNumber) -> Reply<'_, ()> {
        Box::pin(async move {
            let number = refused.number.as_bytes().as_slice();
            let (lasts, by_operator) = (millis(refused.lasts), refused.by.is_operator());
            let key = refused.key.as_bytes().as_slice();
            let values: [&(dyn ToSql + Sync); 4] = [&number, &lasts, &by_operator, &key];
            self.execute(REFUSE_NUMBER, &values).await.map(|_| ())
        })
    }

    fn allow_numbers(&self, numbers: Vec<NumberHash>, allowed: Allowed) -> Reply<'_, bool> {
        Box::pin(async move {
            let is_operator = allowed == Allowed::ByOperator;
            let numbers: Vec<&[u8]> =
                numbers.iter().map(|number| number.as_bytes().as_slice()).collect();
            Ok(self.execute(ALLOW_NUMBERS, &[&numbers, &is_operator]).await? > 0)
        })
    }
}
