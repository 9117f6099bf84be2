//! One suite for every ledger: what the state machine and the accounts say, each store does. The
//! first subject is the state machine itself, in memory, so that the properties are its own too.

mod accounts;
mod events;
pub(super) mod messages;
mod model;
/// The black-box tests' server.
#[path = "../../../tests/blackbox/support/postgres.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
pub(super) mod postgres_server;
mod refused;
#[path = "../../../tests/blackbox/support/signal.rs"]
#[allow(dead_code, unreachable_pub)]
mod signal;
mod tickets;
#[path = "../../../tests/blackbox/support/wait.rs"]
#[allow(dead_code, unreachable_pub)]
mod wait;
mod world;

use std::time::Duration;

use self::model::Model;
pub(super) use self::signal::send_signal;
pub(super) use self::wait::{install_if_missing, wait_for, wait_until};
use super::accounts::{
    Challenge, Days, JournalEntry, NewlyPaid, Recorded, SettledInvoice, SoldOffer, Sum,
};
use super::clock::Moment;
use super::postgres::conformance::PostgresSubject;
use super::sqlite::conformance::SqliteSubject;
use super::state::{Attempt, ClaimId, Marks, Resolution, Row, State};
use super::store::{Claimed, Settled, Settlement, Waiting};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// How long the subjects give an answer back.
pub(super) const REPLAY: Duration = Duration::from_secs(86_400);

/// When the tests begin.
pub(super) const START: UnixTime = UnixTime::from_seconds(1_700_000_000);

/// A moment on which both clocks agree.
pub(super) fn at(time: UnixTime) -> Moment {
    Moment { wall: time, ledger: time }
}

/// What keeps tickets, with a clock of the test's.
pub(super) trait Subject {
    /// The time that it acts by from now on.
    fn set_now(&mut self, now: Moment);
    /// What it knows of itself.
    fn marks(&mut self) -> Marks;
    fn claim(&mut self, attempt: &Attempt) -> Claimed;
    fn settle(&mut self, settlement: &Settlement) -> Settled;
    fn resolve(&mut self, hash: PaymentHash, claim: ClaimId, resolution: Resolution) -> Settled;
    fn withdraw(&mut self, hash: PaymentHash, claim: ClaimId);
    fn revoke(&mut self, hash: PaymentHash, valid_until: u64);
    /// Whoever holds a ticket is thought dead.
    fn park_orphans(&mut self);
    /// Forgets until there is nothing to forget.
    fn prune(&mut self);
    fn row(&mut self, hash: PaymentHash) -> Option<Row>;
    fn list(&mut self, state: Option<State>) -> Vec<(PaymentHash, Row)>;
    fn waiting(&mut self) -> Vec<Waiting>;
    fn revoked(&mut self) -> Vec<PaymentHash>;
    fn sealed(&mut self, hash: PaymentHash) -> Option<Vec<u8>>;
    /// Copies it.
    fn back_up(&mut self);
    /// Puts the copy back, and begins a new life; gives how many tickets that has parked.
    fn put_back(&mut self) -> u64;
    fn release_restored(&mut self, minted_before: UnixTime) -> u64;
    /// As new.
    fn clear(&mut self);
}

/// What keeps accounts too.
pub(super) trait AccountsSubject: Subject {
    fn note(&mut self, entries: &[JournalEntry], challenges: bool);
    fn paid(&mut self, node: &str, settled: &[SettledInvoice]) -> Vec<NewlyPaid>;
    fn found(&mut self, node: &str, settled: SettledInvoice) -> Recorded;
    fn close(&mut self, hashes: &[PaymentHash]);
    fn sold(&mut self) -> Vec<SoldOffer>;
    fn settle_index(&mut self, node: &str) -> u64;
    fn open_challenges(&mut self, ran_out_before: Option<u64>) -> Vec<Challenge>;
    fn challenge(&mut self, hash: PaymentHash) -> Option<Challenge>;
    fn days(&mut self, first_day: u64) -> Days;
    fn unredeemed(&mut self) -> Vec<(String, Sum)>;
    fn note_secret(&mut self, secret: crate::keys::Fingerprint, needed_until: UnixTime);
    fn secrets_in_use(&mut self, now: UnixTime) -> Vec<[u8; 16]>;
}

fn hash(n: u8) -> PaymentHash {
    PaymentHash::from_bytes([n; 32])
}

/// Each test of the suite, for each subject that it is for.
macro_rules! suite {
    ($subject:ident: $($test:path as $name:ident,)*) => {
        $(#[test]
        fn $name() {
            $test(&mut $subject::new());
        })*
    };
}

mod on_the_state_machine {
    use super::*;

    suite! { Model:
        world::never_two_sends_never_a_lost_ticket_never_a_wrong_answer::<2000> as properties,
        tickets::the_table as the_table,
        tickets::two_clocks as two_clocks,
        tickets::a_clock_that_was_wrong_at_the_first_try as a_clock_that_was_wrong_at_the_first_try,
        tickets::another_place_does_not_know_the_key as another_place_does_not_know_the_key,
        tickets::put_back_from_a_copy as put_back_from_a_copy,
        tickets::parked_before_the_copy as parked_before_the_copy,
        refused::in_place_of_a_refused_request as in_place_of_a_refused_request,
        refused::refused_after_a_try_that_nobody_knows_of as refused_after_a_try,
    }
}

mod on_sqlite {
    use super::*;

    suite! { SqliteSubject:
        world::never_two_sends_never_a_lost_ticket_never_a_wrong_answer::<300> as properties,
        tickets::the_table as the_table,
        tickets::what_is_listed as what_is_listed,
        tickets::two_clocks as two_clocks,
        tickets::a_clock_that_was_wrong_at_the_first_try as a_clock_that_was_wrong_at_the_first_try,
        tickets::another_place_does_not_know_the_key as another_place_does_not_know_the_key,
        tickets::put_back_from_a_copy as put_back_from_a_copy,
        tickets::parked_before_the_copy as parked_before_the_copy,
        refused::in_place_of_a_refused_request as in_place_of_a_refused_request,
        refused::refused_after_a_try_that_nobody_knows_of as refused_after_a_try,
        tickets::the_order_is_kept_while_nobody_knows as the_order_is_kept_while_nobody_knows,
        messages::so_many_to_a_number as so_many_to_a_number,
        messages::so_many_in_a_day as so_many_in_a_day,
        messages::a_clock_that_is_ahead as a_clock_that_is_ahead,
        messages::a_ticket_that_waits_keeps_its_worth as a_ticket_that_waits_keeps_its_worth,
        messages::a_refused_message_is_not_counted as a_refused_message_is_not_counted,
        messages::reports_of_an_earlier_try as reports_of_an_earlier_try,
        messages::refused_numbers as refused_numbers,
        messages::reports as reports,
        messages::never_more_in_any_such_time::<300> as never_more_in_any_such_time,
        accounts::what_was_sold_is_known as what_was_sold_is_known,
        accounts::secrets_of_tickets_that_do_not_end as secrets_of_tickets_that_do_not_end,
        tickets::pruning_leaves_a_watermark as pruning_leaves_a_watermark,
        accounts::a_payment_counts_once as a_payment_counts_once,
        accounts::only_a_look_up_sets_the_index_back as only_a_look_up_sets_the_index_back,
        accounts::what_is_forgotten_is_kept_as_sums as what_is_forgotten_is_kept_as_sums,
        accounts::open_challenges_are_never_forgotten as open_challenges_are_never_forgotten,
        accounts::served_counts_in_the_same_breath as served_counts_in_the_same_breath,
        accounts::without_rows_only_sums as without_rows_only_sums,
        accounts::secrets_are_remembered as secrets_are_remembered,
    }
}

mod on_postgres {
    use super::*;

    /// One server for all, since it takes seconds to start; so one test after the other.
    #[test]
    fn the_whole_suite() {
        let mut subject = PostgresSubject::new();
        let tests: &[fn(&mut PostgresSubject)] = &[
            world::never_two_sends_never_a_lost_ticket_never_a_wrong_answer::<300>,
            tickets::the_table,
            tickets::what_is_listed,
            tickets::two_clocks,
            tickets::a_clock_that_was_wrong_at_the_first_try,
            tickets::another_place_does_not_know_the_key,
            tickets::put_back_from_a_copy,
            tickets::parked_before_the_copy,
            refused::in_place_of_a_refused_request,
            refused::refused_after_a_try_that_nobody_knows_of,
            tickets::the_order_is_kept_while_nobody_knows,
            messages::so_many_to_a_number,
            messages::so_many_in_a_day,
            messages::a_clock_that_is_ahead,
            messages::a_ticket_that_waits_keeps_its_worth,
            messages::a_refused_message_is_not_counted,
            messages::reports_of_an_earlier_try,
            messages::refused_numbers,
            messages::reports,
            messages::never_more_in_any_such_time::<50>,
            accounts::what_was_sold_is_known,
            accounts::secrets_of_tickets_that_do_not_end,
            tickets::pruning_leaves_a_watermark,
            accounts::a_payment_counts_once,
            accounts::only_a_look_up_sets_the_index_back,
            accounts::what_is_forgotten_is_kept_as_sums,
            accounts::open_challenges_are_never_forgotten,
            accounts::served_counts_in_the_same_breath,
            accounts::without_rows_only_sums,
            accounts::secrets_are_remembered,
        ];
        for test in tests {
            subject.clear();
            test(&mut subject);
        }
        for _ in 0..10 {
            subject.clear();
            messages::many_at_once_to_one_number(&mut subject);
        }
        subject.clear();
        subject.takes_back_in_the_order_of_counting();
        subject.clear();
        messages::a_number_is_refused_by_two_at_once(&mut subject);
    }
}
