//! What is kept of text messages.

use super::SqliteLedger;
use crate::ledger::error::Reply;
use crate::ledger::messages::{
    Allowed, Delivery, Messages, RefusedNumber, Report, Reported, RoomQuery, Standing,
};
use crate::number_hash::NumberHash;
use crate::payment_hash::PaymentHash;

impl Messages for SqliteLedger {
    fn standing(&self, asked: RoomQuery) -> Reply<'_, Standing> {
        Box::pin(self.ask_lightly(move |store, batch| store.standing(&asked, batch.now)))
    }

    fn report(&self, report: Report) -> Reply<'_, Option<Reported>> {
        Box::pin(self.ask_lightly(move |store, batch| store.report(&report, batch.now)))
    }

    fn delivery(&self, ticket: PaymentHash) -> Reply<'_, Option<Delivery>> {
        Box::pin(self.ask_lightly(move |store, batch| store.delivery(&ticket, batch.now)))
    }

    fn refuse_number(&self, refused: RefusedNumber) -> Reply<'_, ()> {
        Box::pin(self.ask(move |store, batch| store.refuse_number(&refused, batch.now)))
    }

    fn allow_numbers(&self, numbers: Vec<NumberHash>, allowed: Allowed) -> Reply<'_, bool> {
        Box::pin(self.ask(move |store, _| store.allow_numbers(&numbers, allowed)))
    }
}
