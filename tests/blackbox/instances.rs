//! Promise 2: several instances on one database send each ticket once.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::postgres::Postgres;
use crate::support::world::Options;
use crate::support::{SMS, World, wait_until};

#[test]
fn two_instances_send_each_ticket_once_though_both_get_it_at_once() {
    let postgres = Postgres::start();
    let limits = "unpaid_per_client = 5000".to_owned();
    let options = Options { limits, ..Options::postgres(&postgres.url()) };
    let one = World::with(options.clone());
    let two = World::before(one.upstream.clone(), options);
    let (at_one, at_two) = (one.payer(), two.payer());
    const TICKETS: usize = 2000;
    let body = |n: usize| format!(r#"{{"message":"number {n}","phone_number":"+1234567890"}}"#);
    let tickets: Vec<_> = (0..TICKETS).map(|n| at_one.buys(&body(n))).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let n @ 0..TICKETS = next.fetch_add(1, Ordering::SeqCst) {
                    let body = body(n);
                    let statuses = std::thread::scope(|both| {
                        let first = both.spawn(|| at_one.redeems(&tickets[n], &body).status);
                        let second = both.spawn(|| at_two.redeems(&tickets[n], &body).status);
                        [first.join().unwrap(), second.join().unwrap()]
                    });
                    assert_eq!(statuses, [200, 200], "one waits for the other's answer");
                }
            });
        }
    });
    let mut seen: Vec<Vec<u8>> =
        one.upstream.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(seen.len(), TICKETS);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), TICKETS);
}

/// An instance stands still from this place until its lease has run out, and is then let go on.
/// Meanwhile `then` is what another instance answers.
fn frozen_past_its_lease_it_sends_nothing(place: &str, then: u16) {
    let postgres = Postgres::start();
    let options = Options {
        service: "timeout = \"500ms\"".into(),
        tickets: "wait = \"100ms\"".into(),
        ..Options::postgres(&postgres.url())
    };
    let mut frozen = World::with(options.clone());
    let other = World::before(frozen.upstream.clone(), options);
    let (at_frozen, at_other) = (frozen.payer(), other.payer());
    let ticket = at_frozen.buys(SMS);
    frozen.gate.kill();
    frozen.restart_with(&[("FAREBOX_STOP_AT", place)]);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| at_frozen.tries_to_redeem(&ticket, SMS));
        wait_until("the instance to stand still", || frozen.gate.is_stopped());
        if place == "after-claim" {
            // The lease holds.
            at_other.redeems(&ticket, SMS).is(409, "in-flight");
            let hash = ticket.payment_hash();
            wait_until("the lease to run out", || other.row_of(&hash)["state"] == "parked");
        }
        at_other.redeems(&ticket, SMS).has_status(then);
        frozen.gate.signal("CONT");
        let late = late.join().unwrap();
        assert!(
            late.as_ref().is_none_or(|answer| answer.status != 200 || answer.was_replayed()),
            "{late:?}"
        );
    });
    // It knows for certain that it sent nothing, and its claim is still the ticket's latest: so the
    // ticket is free, and sent once in all.
    at_other.redeems_in_the_end(&ticket, SMS);
    assert_eq!(frozen.upstream.count(), 1);
}

#[test]
fn an_instance_that_was_frozen_after_its_claim_sends_nothing() {
    frozen_past_its_lease_it_sends_nothing("after-claim", 504);
}

#[test]
fn an_instance_that_was_frozen_before_its_claim_sends_nothing() {
    frozen_past_its_lease_it_sends_nothing("before-claim", 200);
}

#[test]
fn a_revocation_counts_on_all_instances_at_once() {
    let postgres = Postgres::start();
    let one = World::with(Options::postgres(&postgres.url()));
    let two = World::before(one.upstream.clone(), Options::postgres(&postgres.url()));
    let (at_one, at_two) = (one.payer(), two.payer());
    let (unused, delivered) = (at_one.buys(SMS), at_one.buys(SMS));
    at_two.redeems(&delivered, SMS).is_delivered("Okay");
    for ticket in [&unused, &delivered] {
        one.operator_orders(&ticket.payment_hash(), "revoke");
    }
    at_two.redeems(&unused, SMS).asks_to_pay("ticket-revoked");
    // This one's answer is in the memory of the other instance, which hears of it within a second.
    wait_until("the other instance to know", || {
        at_two.redeems(&delivered, SMS).code() == "ticket-revoked"
    });
    assert_eq!(one.upstream.count(), 1);
}
