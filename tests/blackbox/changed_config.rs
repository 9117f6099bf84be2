//! Promise 8: what the operator changes breaks no promise to a payer that has paid before.

use crate::support::world::{Options, PATH};
use crate::support::{Behaviour, SMS, World, wait_until};

/// How the operator brings a change into force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Restart,
    Reload,
}

impl Change {
    fn to(self, world: &mut World, changes: &[(&str, &str)]) {
        world.write_config("farebox.toml", changes);
        match self {
            Self::Restart => {
                world.stop();
                world.restart();
            }
            Self::Reload => world.reloads(),
        }
    }
}

/// Has each test run once by restarts and once by reloads: the promises are the same.
macro_rules! by_restart_and_by_reload {
    ($($test:ident)*) => {
        mod by_restart { $(#[test] fn $test() { super::$test(super::Change::Restart); })* }
        mod by_reload { $(#[test] fn $test() { super::$test(super::Change::Reload); })* }
    };
}

by_restart_and_by_reload! {
    a_service_that_was_renamed_and_moved_redeems_what_it_sold
    rules_that_became_tighter_judge_sales_only
    rules_that_became_tighter_do_not_judge_a_challenge_that_is_handed_back
    the_price_counts_as_it_was_minted
    a_single_use_ticket_is_redeemed_where_passes_are_sold_now
    a_pass_is_neither_taken_nor_sold_again_where_single_requests_are_sold_now
    a_key_against_repeats_says_nothing_of_a_try_before_there_was_one
    a_key_against_repeats_counts_at_its_own_place_only
    a_key_against_repeats_counts_as_long_as_the_upstream_remembers_it
}

fn a_service_that_was_renamed_and_moved_redeems_what_it_sold(change: Change) {
    let mut world = World::new();
    let payer = world.payer();
    let [one, two, three] = [1, 2, 3].map(|_| payer.buys(SMS));
    let moved = [
        ("name = \"send-sms\"", "name = \"texts\""),
        ("path = \"/api/l402/send-sms\"", "path = \"/texts\""),
    ];
    change.to(&mut world, &moved);
    world.gate.wait_until_it_says("can't be redeemed");
    assert!(world.gate.output().contains("formerly = [\"send-sms\", \"POST /api/l402/send-sms\"]"));
    // A stranger's, so far.
    world.payer_at("POST", "/texts").redeems(&one, SMS).has_status(402);
    let formerly = "name = \"texts\"\nformerly = [\"send-sms\", \"POST /api/l402/send-sms\"]";
    change.to(&mut world, &[("name = \"texts\"", formerly)]);
    if change == Change::Restart {
        assert!(!world.gate.output().contains("can't be redeemed"));
    }
    world.payer_at("POST", "/texts").redeems(&one, SMS).is_delivered("Okay");
    // At the old address, too, where nothing is sold.
    world.payer_at("POST", PATH).redeems(&two, SMS).is_delivered("Okay");
    payer.tries_to_buy(SMS).is(404, "moved");
    change.to(&mut world, &[("method = \"POST\"", "method = \"PUT\"")]);
    world.payer_at("PUT", "/texts").redeems(&three, SMS).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 3);
}

const TIGHTER: [(&str, &str); 2] =
    [("maxLength = 120", "maxLength = 5"), ("[limits]", "[limits]\nbody = \"30B\"")];

fn rules_that_became_tighter_judge_sales_only(change: Change) {
    let mut world = World::new();
    let payer = world.payer();
    let [one, two] = [1, 2].map(|_| payer.buys(SMS));
    change.to(&mut world, &TIGHTER);
    payer.tries_to_buy(SMS).is(413, "body-too-large");
    payer.redeems(&one, SMS).is_delivered("Okay");
    change.to(&mut world, &[("upstream_headers", "bind = \"exact\"\nupstream_headers")]);
    // Sold as canonical JSON.
    payer.redeems(&two, SMS).is_delivered("Okay");
}

/// A client that hands an unpaid challenge back is offered what was sold.
fn rules_that_became_tighter_do_not_judge_a_challenge_that_is_handed_back(change: Change) {
    let mut world = World::new();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    payer.pays(&challenge);
    change.to(&mut world, &TIGHTER);
    change.to(&mut world, &[("upstream_headers", "bind = \"exact\"\nupstream_headers")]);
    let again = payer.redeems(&challenge.with_preimage(&"00".repeat(32)), SMS);
    assert_ne!(again.code(), "body-too-large", "{again:?}");
}

fn the_price_counts_as_it_was_minted(change: Change) {
    let mut world =
        World::with(Options { lnd: "detect_payments = true".into(), ..Options::default() });
    let payer = world.payer();
    let unpaid = payer.asks(SMS);
    let paid = payer.buys(SMS);
    change.to(&mut world, &[("price_sat = 100", "price_sat = 700")]);
    let again = payer.sends_macaroon_alone(&unpaid, SMS).asks_to_pay("ticket-not-paid");
    assert_eq!(again.invoice, unpaid.invoice);
    assert_eq!(again.response.json()["priceSats"], 100);
    assert_eq!(payer.asks(SMS).response.json()["priceSats"], 700);
    payer.redeems(&paid, SMS).is_delivered("Okay");
    assert_eq!(world.tickets_that_are("delivered")[0]["priceMsat"], 100_000);
}

const SINGLE_USE: &str = "ticket = \"single-use\"";
const PASS: &str = "ticket = \"pass\"\npass_time = \"1h\"\npass_uses = 10";

fn a_single_use_ticket_is_redeemed_where_passes_are_sold_now(change: Change) {
    let mut world = World::new();
    let payer = world.payer();
    let single = payer.buys(SMS);
    change.to(&mut world, &[(SINGLE_USE, PASS)]);
    payer.redeems(&single, SMS).is_delivered("Okay");
    // Its answer was kept.
    payer.redeems(&single, SMS).is_replayed("Okay");
    world.crash_and_restart();
    payer.redeems(&single, SMS).is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
}

fn a_pass_is_neither_taken_nor_sold_again_where_single_requests_are_sold_now(change: Change) {
    let mut world = World::new();
    let payer = world.payer();
    change.to(&mut world, &[(SINGLE_USE, PASS)]);
    // A holder's narrowed copy says nothing of the whole pass.
    let pass = payer.buys(SMS);
    let narrowed = pass.with_caveat("send-sms_uses=1");
    payer.redeems(&narrowed, SMS).is_delivered("Okay");
    payer.redeems(&narrowed, SMS).asks_to_pay("ticket-spent");
    payer.redeems(&pass, SMS).is_delivered("Okay");
    change.to(&mut world, &[(PASS, SINGLE_USE)]);
    // No invoice.
    payer.redeems(&pass, SMS).is(422, "pass-not-taken");
    assert_eq!(world.upstream.count(), 2);
}

const KEY: &str = "idempotency = { header = \"Idempotency-Key\" }\nupstream_headers";

/// The first try bore no key: that there is a place for it now says nothing of it.
fn a_key_against_repeats_says_nothing_of_a_try_before_there_was_one(change: Change) {
    let mut world = World::new();
    let payer = world.payer();
    world.upstream.behave(Behaviour::CloseAfterReading);
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    change.to(&mut world, &[("upstream_headers", KEY)]);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    assert_eq!(world.upstream.count(), 1);
}

fn a_key_against_repeats_counts_at_its_own_place_only(change: Change) {
    let mut world = World::new();
    let payer = world.payer();
    change.to(&mut world, &[("upstream_headers", KEY)]);
    world.upstream.behave(Behaviour::status(500, "hm"));
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    let tries = world.upstream.count();
    change.to(&mut world, &[("/send?account=7", "/send?account=8")]);
    // Another place.
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    assert_eq!(world.upstream.count(), tries);
    change.to(&mut world, &[("/send?account=8", "/send?account=7")]);
    // Back at the first.
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

fn a_key_against_repeats_counts_as_long_as_the_upstream_remembers_it(change: Change) {
    let mut world = World::new();
    let payer = world.payer();
    change.to(&mut world, &[("upstream_headers", KEY)]);
    let ticket = payer.buys(SMS);
    world.upstream.behave(Behaviour::CloseAfterReading);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    let tries = world.upstream.count();
    let forgets = "header = \"Idempotency-Key\", remembered = \"1s\"";
    change.to(&mut world, &[("header = \"Idempotency-Key\"", forgets)]);
    assert_eq!(world.tickets_that_are("parked").len(), 1);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    // Forgotten by now.
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    assert_eq!(world.upstream.count(), tries);
}

/// An operator that puts the backend elsewhere, where the look-up knows nothing.
#[test]
fn not_found_counts_at_the_place_of_the_last_try_only() {
    let lookup = r#"timeout = "1s"
[service.lookup]
path = "/look/{key}"
key = { header = "X-Reference" }
final_after = "0s""#;
    let mut world = World::with(Options { service: lookup.into(), ..Options::default() });
    let payer = world.payer();
    world.upstream.behave(Behaviour::CloseAfterReading);
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::status(404, "no"));
    Change::Restart.to(&mut world, &[("/send?account=7", "/send?account=8")]);
    let asked = |world: &World| {
        let lines = world.upstream.requests().into_iter().map(|request| request.line);
        lines.filter(|line| line.starts_with("GET /look/")).collect::<Vec<_>>()
    };
    wait_until("two look-ups, the second after its pause", || asked(&world).len() >= 2);
    assert!(asked(&world)[0].contains("?account=8 "), "with the operator's query");
    assert_eq!(world.row_of(&ticket.payment_hash())["state"], "parked");
}
