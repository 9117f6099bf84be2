//! Promise 2: what nobody knows is asked again only where the upstream throws repeats away by a key
//! of ours, and settled only by what the upstream knows of that key.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::upstream::Request;
use crate::support::world::Options;
use crate::support::{Behaviour, Payer, SMS, Ticket, World, wait_until};

/// What nobody knows is asked again, always with the same key.
fn is_sent_again_with_one_key_per_ticket(service: &str, key: impl Fn(&Request) -> String) {
    let mut world = World::with(Options { service: service.into(), ..Options::default() });
    let payer = world.payer();
    world.upstream.behave(Behaviour::CloseAfterReading);
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    assert_eq!(world.upstream.count(), 4, "a first try and three more");
    world.crash_and_restart();
    world.upstream.behave(Behaviour::okay());
    // Parked, and safe to try again.
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    let keys: BTreeSet<String> = world.upstream.requests().iter().map(&key).collect();
    assert_eq!((world.upstream.count(), keys.len()), (5, 1));
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    assert!(!keys.contains(&key(&world.upstream.last())));
}

#[test]
fn a_repeatable_request_is_sent_again_with_one_key_in_a_header() {
    let service = "idempotency = { header = \"Idempotency-Key\" }";
    let key = |request: &Request| request.header("idempotency-key").unwrap().to_owned();
    is_sent_again_with_one_key_per_ticket(service, key);
}

#[test]
fn a_repeatable_request_is_sent_again_with_one_key_in_its_body() {
    let service = "idempotency = { member = \"id\" }";
    let key = |request: &Request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        body["id"].as_str().unwrap().to_owned()
    };
    is_sent_again_with_one_key_per_ticket(service, key);
}

/// The upstream can be asked by the name that we gave a request: "not found" is final after this
/// time.
const LOOKUP: &str = r#"timeout = "1s"
[service.lookup]
path = "/look?id={key}"
key = { header = "X-Reference" }
final_after = "2s""#;

fn references(world: &World) -> Vec<String> {
    let posts = world.upstream.posts();
    posts.iter().map(|post| post.header("x-reference").unwrap().to_owned()).collect()
}

/// A ticket of which the backend took the request, and said nothing.
#[track_caller]
fn parked(world: &World, payer: &Payer) -> Ticket {
    world.upstream.behave(Behaviour::CloseAfterReading);
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    assert_eq!(world.upstream.posts().len(), 1, "a name alone makes no repeat safe");
    ticket
}

#[test]
fn a_look_up_that_finds_the_message_settles_what_is_parked() {
    let mut world = World::with(Options { service: LOOKUP.into(), ..Options::default() });
    let payer = world.payer();
    let ticket = parked(&world, &payer);
    world.crash_and_restart();
    world.upstream.behave(Behaviour::okay());
    wait_until("the ticket to be settled", || {
        payer.redeems(&ticket, SMS).code() == "delivered-answer-not-kept"
    });
    assert_eq!(world.upstream.posts().len(), 1);
}

#[test]
fn a_look_up_that_finds_nothing_frees_the_ticket_once_that_is_final() {
    let mut world = World::with(Options { service: LOOKUP.into(), ..Options::default() });
    let payer = world.payer();
    let ticket = parked(&world, &payer);
    let reference = references(&world).remove(0);
    world.crash_and_restart();
    let parked = Instant::now();
    world.upstream.behave(Behaviour::status(404, "Okay"));
    let look_up = format!("GET /look?id={reference}&");
    wait_until("a look-up", || {
        world.upstream.requests().iter().any(|request| request.line.starts_with(&look_up))
    });
    // Not found is not final yet.
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    wait_until("the ticket to be free", || {
        payer.redeems(&ticket, SMS).code() == "upstream-refused"
    });
    assert!(parked.elapsed() > Duration::from_secs(2));
    world.upstream.behave(Behaviour::okay());
    payer.redeems_in_the_end(&ticket, SMS);
    assert_eq!(references(&world).last(), Some(&reference));
    assert!(world.upstream.posts().len() <= 3);
}
