//! Promises 1, 2 and 3: what is refused for good where no text messages are sold.

use serde_json::Value;

use crate::support::upstream::Request;
use crate::support::world::Options;
use crate::support::{Behaviour, World};

/// Where the backend's key has to be another one, or it would answer as to a repeat.
#[test]
fn the_other_order_has_a_name_of_its_own() {
    let more = r#"
[[service]]
name = "named"
method = "POST"
path = "/named"
ticket = "single-use"
price_sat = 5
upstream = "http://UPSTREAM/x"
idempotency = { header = "Idempotency-Key" }
refused = { status = [404] }

[service.input]
type = "object"
required = ["n"]
properties = { n = { type = "integer" } }
"#;
    let world = World::with(Options { more: more.to_owned(), ..Options::default() });
    let payer = world.payer_at("POST", "/named");
    let ticket = payer.buys(r#"{"n":1}"#);
    world.upstream.behave(Behaviour::status(404, "no such thing"));
    payer.redeems(&ticket, r#"{"n":1}"#).is(422, "order-refused");
    world.upstream.behave(Behaviour::status(503, "not now"));
    payer.redeems(&ticket, r#"{"n":2}"#).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    payer.redeems(&ticket, r#"{"n":2}"#).has_status(200);
    let key = |request: &Request| request.header("idempotency-key").unwrap().to_owned();
    let keys: Vec<String> = world.upstream.requests().iter().map(key).collect();
    assert!(keys.len() >= 3, "{keys:?}");
    assert_ne!(keys[0], keys[1]);
    assert!(keys[1..].iter().all(|key| *key == keys[1]), "{keys:?}");
    let shown = world.row_of(&ticket.payment_hash());
    assert_eq!(shown["idempotencyKey"], Value::from(keys[1].clone()));
}

/// A ticket that was shown to all who asked for nothing is for the first order, and then for one
/// other.
#[test]
fn a_probed_ticket_may_change_too() {
    let more = r#"
[[service]]
name = "probed"
method = "POST"
path = "/probed"
ticket = "single-use"
price_sat = 5
upstream = "http://UPSTREAM/x"
probe = true
refused = { status = [404] }

[service.input]
type = "object"
required = ["n"]
properties = { n = { type = "integer" } }
"#;
    let world = World::with(Options { more: more.to_owned(), ..Options::default() });
    let payer = world.payer_at("POST", "/probed");
    let ticket = payer.buys("");
    world.upstream.behave(Behaviour::status(404, "no such thing"));
    payer.redeems(&ticket, r#"{"n":1}"#).is(422, "order-refused");
    world.upstream.behave(Behaviour::okay());
    payer.redeems(&ticket, r#"{"n":1}"#).is(422, "order-refused");
    payer.redeems(&ticket, r#"{"n":2}"#).has_status(200);
    assert!(payer.redeems(&ticket, r#"{"n":2}"#).was_replayed());
    payer.redeems(&ticket, r#"{"n":3}"#).asks_to_pay("ticket-used");
    payer.redeems(&ticket, r#"{"n":1}"#).asks_to_pay("ticket-used");
    assert_eq!(world.upstream.count(), 2);
}
