//! Promise 7: what may be had without paying has a limit, per client and in all.

use std::time::{Duration, Instant};

use crate::support::world::Options;
use crate::support::{Challenge, Response, SMS, World};

/// Three invoices per client, five in all, may be unpaid.
fn limited() -> World {
    let limits = "unpaid_per_client = 3\nunpaid_total = 5".into();
    World::with(Options { limits, ..Options::default() })
}

/// What a client behind our proxy gets.
fn ask(world: &World, client: &str) -> Response {
    world.payer().sends(&[("X-Forwarded-For", client)], SMS)
}

#[test]
fn a_client_that_asks_again_and_again_is_put_off_and_then_refused() {
    let world = limited();
    for _ in 0..3 {
        ask(&world, "192.0.2.1").asks_to_pay("payment-required");
    }
    let asked = Instant::now();
    let refused = ask(&world, "192.0.2.1");
    refused.is(429, "too-many-unpaid");
    assert!(asked.elapsed() > Duration::from_millis(900), "it is put off");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=600).contains(&wait));
    // What the client itself wrote is not believed.
    ask(&world, "6.6.6.6, 192.0.2.1").is(429, "too-many-unpaid");
}

#[test]
fn all_clients_together_have_a_limit_and_redeeming_makes_room() {
    let world = limited();
    let payer = world.payer();
    let mut challenges: Vec<Challenge> =
        (0..3).map(|_| ask(&world, "192.0.2.1").asks_to_pay("payment-required")).collect();
    ask(&world, "2001:db8::1").asks_to_pay("payment-required");
    ask(&world, "2001:db8::2").asks_to_pay("payment-required");
    // The limit in all.
    ask(&world, "192.0.2.9").has_status(429);
    let ticket = payer.pays(&challenges.remove(0));
    // Redeeming is not limited, and makes room.
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    ask(&world, "192.0.2.1").asks_to_pay("payment-required");
}
