//! Promise 2: a reload frees no parked ticket, whatever it changes of how the backend is asked.

use std::thread::sleep;
use std::time::Duration;

use crate::support::upstream::Upstream;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, Ticket, World, wait_until};

const LOOKUP: &str = r#"timeout = "1s"
[service.lookup]
path = "/look?id={key}"
key = { header = "X-Reference" }
final_after = "2s""#;

/// A world with a ticket of which nobody knows whether its message was sent.
fn parked() -> (World, Ticket) {
    let world = World::with(Options { service: LOOKUP.into(), ..Options::default() });
    world.upstream.behave(Behaviour::CloseAfterReading);
    let ticket = world.payer().buys(SMS);
    world.payer().redeems(&ticket, SMS).is(504, "outcome-unknown");
    (world, ticket)
}

fn looks(upstream: &Upstream) -> usize {
    upstream.requests().into_iter().filter(|asked| asked.line.contains("/look")).count()
}

fn state(world: &World, ticket: &Ticket) -> String {
    world.row_of(&ticket.payment_hash())["state"].as_str().unwrap().to_owned()
}

/// Longer than it takes until "not found" is final, with the pauses between two questions.
fn long_enough() {
    sleep(Duration::from_secs(7));
}

/// The backend of today never heard of it.
#[test]
fn a_parked_ticket_is_asked_about_where_it_was_tried() {
    let (world, found) = parked();
    let lost = world.payer().buys(SMS);
    world.payer().redeems(&lost, SMS).is(504, "outcome-unknown");
    let other = Upstream::start();
    other.behave(Behaviour::status(404, "no"));
    world.upstream.behave(Behaviour::status(404, "no"));
    let (old, new) =
        (format!("{}/send", world.upstream.address), format!("{}/send", other.address));
    world.write_config("farebox.toml", &[(&old, &new)]);
    world.reloads();
    let before = looks(&world.upstream);
    long_enough();
    assert!(looks(&world.upstream) > before, "it is still asked");
    assert_eq!(looks(&other), 0, "nobody asks where it wasn't tried");
    // Nobody knows what the change means.
    assert_eq!([state(&world, &found), state(&world, &lost)], ["parked", "parked"]);
    world.upstream.behave(Behaviour::okay());
    wait_until("what was found to be settled", || state(&world, &found) == "delivered");
    // Back at the first place its word counts again.
    world.upstream.behave(Behaviour::status(404, "no"));
    world.write_config("farebox.toml", &[(&new, &old)]);
    world.reloads();
    wait_until("an end", || state(&world, &lost) != "parked");
}

#[test]
fn a_look_up_that_is_taken_out_frees_nothing_any_more() {
    let (world, ticket) = parked();
    world.upstream.behave(Behaviour::status(404, "no"));
    world.write_config("farebox.toml", &[(LOOKUP, "")]);
    world.reloads();
    let before = looks(&world.upstream);
    long_enough();
    assert_eq!(state(&world, &ticket), "parked");
    assert!(looks(&world.upstream) <= before + 1, "one may have been under way");
}

#[test]
fn a_longer_time_counts_for_a_renamed_service_too() {
    let (world, ticket) = parked();
    world.upstream.behave(Behaviour::status(404, "no"));
    let names = "name = \"texts\"\nformerly = [\"send-sms\"]";
    let changes =
        [("name = \"send-sms\"", names), ("final_after = \"2s\"", "final_after = \"1h\"")];
    world.write_config("farebox.toml", &changes);
    world.reloads();
    long_enough();
    assert_eq!(state(&world, &ticket), "parked");
}

/// Else reloads in a row would put the last word off for ever.
#[test]
fn reloads_do_not_begin_the_time_again_after_which_not_found_is_final() {
    let (world, ticket) = parked();
    world.upstream.behave(Behaviour::status(404, "no"));
    let mut sat = 100;
    wait_until("the ticket to be free, between reloads", || {
        let (old, new) = (format!("price_sat = {sat}"), format!("price_sat = {}", sat + 1));
        world.write_config("farebox.toml", &[(&old, &new)]);
        world.reloads();
        sat += 1;
        state(&world, &ticket) == "free"
    });
}
