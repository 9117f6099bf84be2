//! Promises 1 and 2: one payment, any requests for a time, or a number of them.

use crate::support::world::Options;
use crate::support::{Behaviour, Payer, World, wait_for, wait_until};

const SERVICES: &str = r#"
[[service]]
name = "once"
method = "GET"
path = "/once"
ticket = "pass"
pass_time = "1h"
pass_uses = 1
price_sat = 50
upstream = "http://UPSTREAM/data"

[[service]]
name = "by-time"
method = "GET"
path = "/by-time"
ticket = "pass"
pass_time = "1h"
price_sat = 50
upstream = "http://UPSTREAM/data"

[[service]]
name = "short"
method = "GET"
path = "/short"
ticket = "pass"
pass_time = "1s"
price_sat = 50
upstream = "http://UPSTREAM/data"

[[service]]
name = "counted"
method = "POST"
path = "/counted"
ticket = "pass"
pass_time = "1h"
pass_uses = 5
price_sat = 50
upstream = "http://UPSTREAM/data"
[service.input]
type = "object"
required = ["q"]
additionalProperties = false
properties = { q = { type = "string" } }
"#;

/// The request of the counted service.
const Q: &str = r#"{"q":"x"}"#;

fn world() -> World {
    World::with(Options {
        more: SERVICES.into(),
        lnd: "invoice_expiry = \"10s\"".into(),
        ..Options::default()
    })
}

fn payer_by_time(world: &World) -> Payer {
    world.payer_at("GET", "/by-time")
}

#[test]
fn a_pass_opens_its_service_any_number_of_times_and_no_other_service() {
    let world = world();
    let payer = payer_by_time(&world);
    let challenge = payer.asks("");
    let pass = payer.pays(&challenge);
    let said = challenge.response.json();
    assert!(said["passUntil"].as_u64().unwrap() > said["expiresAt"].as_u64().unwrap());
    for n in 1..=20 {
        payer.redeems(&pass, "").is_delivered("Okay");
        assert_eq!(world.upstream.count(), n);
    }
    let elsewhere = world.payer_at("POST", "/counted").redeems(&pass, Q);
    elsewhere.asks_to_pay("ticket-for-another-service");
    let elsewhere = world.payer_at("GET", "/short").redeems(&pass, "");
    elsewhere.asks_to_pay("ticket-for-another-service");
}

#[test]
fn a_pass_writes_nothing_and_survives_a_crash() {
    let mut world = world();
    let payer = payer_by_time(&world);
    let pass = payer.buys("");
    payer.redeems(&pass, "").is_delivered("Okay");
    world.crash_and_restart();
    payer.redeems_in_the_end(&pass, "");
    assert_eq!(world.tickets().len(), 0, "it writes nothing");
}

#[test]
fn what_fails_upstream_costs_a_pass_nothing() {
    let world = world();
    let payer = payer_by_time(&world);
    let pass = payer.buys("");
    world.upstream.behave(Behaviour::status(404, "no such thing"));
    assert_eq!(payer.redeems(&pass, "").json()["upstreamStatus"], 404);
    world.upstream.behave(Behaviour::CloseAfterReading);
    payer.redeems(&pass, "").has_status(504).charges_nothing();
}

#[test]
fn a_pass_ends_with_its_time() {
    let world = world();
    let payer = world.payer_at("GET", "/short");
    let pass = payer.buys("");
    payer.redeems(&pass, "").is_delivered("Okay");
    wait_until("its end", || payer.redeems(&pass, "").status == 402);
    payer.redeems(&pass, "").asks_to_pay("ticket-expired");
}

#[test]
fn a_pass_that_is_used_is_no_unpaid_challenge_any_more() {
    let world = World::with(Options {
        more: SERVICES.into(),
        limits: "unpaid_per_client = 1".into(),
        ..Options::default()
    });
    let payer = payer_by_time(&world);
    let pass = payer.buys("");
    payer.tries_to_buy("").has_status(429);
    payer.redeems(&pass, "").is_delivered("Okay");
    payer.asks("");
}

#[test]
fn every_use_of_a_counted_pass_is_validated() {
    let world = world();
    let payer = world.payer_at("POST", "/counted");
    let challenge = payer.asks(Q);
    let pass = payer.pays(&challenge);
    assert_eq!(challenge.response.json()["passUses"], 5);
    payer.redeems(&pass, "{}").has_status(400);
    payer.redeems(&pass, Q).is_delivered("Okay");
}

/// A refusal gives its use back, one of which nobody knows keeps it.
#[test]
fn a_counted_pass_has_its_uses_and_not_one_more() {
    let mut world = world();
    let payer = world.payer_at("POST", "/counted");
    let pass = payer.buys(Q);
    payer.redeems(&pass, Q).is_delivered("Okay");
    world.crash_and_restart();
    world.upstream.behave(Behaviour::status(400, "no"));
    wait_until("a refusal", || payer.redeems(&pass, Q).code() == "upstream-refused");
    world.upstream.behave(Behaviour::CloseAfterReading);
    payer.redeems(&pass, Q).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    let before = world.upstream.count();
    let together = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| together.lock().unwrap().push(payer.redeems(&pass, Q).status));
        }
    });
    let served = together.into_inner().unwrap().iter().filter(|status| **status == 200).count();
    assert!(served <= 3, "{served}");
    wait_until("the last use, which was given back", || {
        payer.redeems(&pass, Q);
        world.upstream.count() - before == 3
    });
    // One may come back: nobody is asked to pay for another pass as long as that isn't known.
    let is_left = || payer.redeems(&pass, Q).code() == "outcome-unknown";
    wait_until("no use to be left but the parked one", is_left);
    world.crash_and_restart();
    wait_until("the same after a restart", is_left);
    let parked = world.tickets_that_are("parked");
    world.operator_orders(parked[0]["ticket"].as_str().unwrap(), "delivered");
    wait_until("no use to be left", || payer.redeems(&pass, Q).code() == "ticket-spent");
    assert_eq!(world.upstream.count() - before, 3, "one before, one parked, three now");
}

#[test]
fn a_revoked_pass_is_worthless() {
    let world = world();
    let payer = payer_by_time(&world);
    let pass = payer.buys("");
    payer.redeems(&pass, "").is_delivered("Okay");
    world.operator_orders(&pass.payment_hash(), "revoke");
    payer.redeems(&pass, "").asks_to_pay("ticket-revoked");
}

/// Promise 4: a use that is under way may be given back, and one that was is there again.
#[test]
fn a_pass_whose_last_use_may_come_back_is_not_spent() {
    let world = world();
    let payer = world.payer_at("GET", "/once");
    let pass = payer.buys("");
    world.upstream.behave(Behaviour::status(400, "no"));
    payer.redeems(&pass, "").is(502, "upstream-refused");
    payer.redeems(&pass, "").is(429, "retry-later");
    world.upstream.behave(Behaviour::Stall);
    let before = world.upstream.count();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            wait_for("its turn", || {
                Some(payer.redeems(&pass, "")).filter(|answer| answer.status != 429)
            })
        });
        wait_until("the upstream to be asked", || world.upstream.count() > before);
        payer.redeems(&pass, "").is(409, "in-flight");
        world.upstream.release();
        first.join().unwrap().is_delivered("Okay");
    });
    payer.redeems(&pass, "").asks_to_pay("ticket-spent");
}
