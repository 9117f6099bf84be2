//! Promises 1 and 2: who only looks whether a service lives is shown a challenge that all such
//! share; whoever pays it has one request served, and nobody else has.

use crate::support::World;
use crate::support::http::{self, Response};
use crate::support::payer::Challenge;
use crate::support::world::{Options, PATH, Play, SMS};

const OTHER: &str = r#"{"phone_number":"+1234567891","message":"another"}"#;

fn options() -> Options {
    Options { service: "probe = true".into(), ..Options::default() }
}

/// A gate that hears of payments.
fn watching() -> (Play, World) {
    let play = Play::new();
    let mut watched = play.watched();
    watched.service.push_str("\nprobe = true");
    let world = World::with(watched);
    world.wait_until_payments_are_detected();
    (play, world)
}

fn look(world: &World, method: &str) -> Response {
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", "192.0.2.9")];
    http::send(world.address, method, PATH, &headers, b"")
}

#[test]
fn all_who_look_are_shown_one_challenge() {
    let world = World::with(options());
    let first = Challenge::from(look(&world, "GET"));
    for method in ["GET", "POST", "GET"] {
        let again = look(&world, method);
        again.asks_to_pay("payment-required").is_again(&first);
    }
    let head = look(&world, "HEAD");
    assert_eq!((head.status, head.text().as_str()), (402, ""));
    assert!(head.header("www-authenticate").unwrap().contains(&first.invoice));
    assert_eq!(world.metric("farebox_unpaid_challenges"), 1.0);
    let mine = world.payer().asks(SMS);
    mine.is_not(&first);
    // What asks for something that isn't sold is no probe.
    world.payer().tries_to_buy("{}").is(400, "invalid-input");
    let browser = [("Accept", "text/html")];
    assert_eq!(http::send(world.address, "GET", PATH, &browser, b"").status, 303);
    assert_eq!(http::send(world.address, "PUT", PATH, &[], b"").status, 405);
}

#[test]
fn without_it_nobody_is_shown_anything() {
    let world = World::new();
    look(&world, "GET").is(405, "method-not-allowed").bears_no_challenge();
    look(&world, "POST").is(400, "invalid-input").bears_no_challenge();
}

#[test]
fn whoever_pays_it_has_one_request_served_and_no_more() {
    let mut world = World::with(options());
    let payer = world.payer();
    let ticket = payer.pays(&Challenge::from(look(&world, "GET")));
    // Asking for nothing is not what was bought, nor what the service refuses.
    payer.redeems(&ticket, "").is(400, "invalid-input");
    payer.redeems(&ticket, r#"{"message":"x"}"#).is(400, "invalid-input");
    assert_eq!(world.upstream.count(), 0);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    payer.redeems(&ticket, SMS).is_replayed("Okay");
    payer.redeems(&ticket, OTHER).asks_to_pay("ticket-used");
    world.crash_and_restart();
    payer.redeems(&ticket, OTHER).asks_to_pay("ticket-used");
    payer.redeems(&ticket, SMS).is_replayed("Okay");
    assert_eq!(world.upstream.posts().len(), 1);
}

#[test]
fn two_requests_at_once_are_served_as_one() {
    let world = World::with(options());
    let payer = world.payer();
    let ticket = payer.pays(&Challenge::from(look(&world, "GET")));
    let mut answers: Vec<_> =
        (0..8).map(|n| payer.starts_to_redeem(&ticket, [SMS, OTHER][n % 2])).collect();
    let statuses: Vec<u16> =
        answers.iter_mut().map(|answer| answer.read().unwrap().status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&402), "{statuses:?}");
    assert_eq!(world.upstream.posts().len(), 1, "{statuses:?}");
}

/// Others hold the same macaroon: only the preimage shows who has paid.
#[test]
fn nobody_else_is_handed_its_preimage_or_served_by_its_macaroon() {
    let (_play, world) = watching();
    let payer = world.payer();
    let challenge = Challenge::from(look(&world, "GET"));
    let ticket = payer.pays(&challenge);
    payer.waits_until(&challenge, "paid");
    let status = payer.asks_for_status(&challenge);
    assert_eq!(status.header("l402-preimage"), None, "{status:?}");
    payer.sends_macaroon_alone(&challenge, SMS).is(422, "preimage-missing");
    let wrong = challenge.with_preimage(&"00".repeat(32));
    payer.redeems(&wrong, SMS).is(422, "preimage-missing");
    assert_eq!(world.upstream.posts().len(), 0);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

/// Nobody is asked to pay another invoice because a preimage is wrong or not there yet.
#[test]
fn a_challenge_that_is_handed_back_is_offered_again() {
    let world = World::with(options());
    let payer = world.payer();
    let challenge = Challenge::from(look(&world, "GET"));
    let again = payer.sends_macaroon_alone(&challenge, SMS);
    again.advises("same-ticket");
    again.asks_to_pay("ticket-not-paid").is_again(&challenge);
    let wrong = challenge.with_preimage(&"00".repeat(32));
    payer.redeems(&wrong, SMS).asks_to_pay("wrong-preimage").is_again(&challenge);
    let ticket = payer.pays(&challenge);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

/// Else whoever sees it later would pay an invoice that is paid.
#[test]
fn what_was_paid_is_shown_no_more() {
    let (_play, world) = watching();
    let first = Challenge::from(look(&world, "GET"));
    let _ = world.payer().pays(&first);
    world.payer().waits_until(&first, "paid");
    let second = Challenge::from(look(&world, "GET"));
    second.is_not(&first);
    let ticket = world.payer().pays(&second);
    world.payer().redeems(&ticket, SMS).is_delivered("Okay");
    Challenge::from(look(&world, "GET")).is_not(&second);
}

#[test]
fn a_schema_that_became_tighter_takes_nothing_from_what_it_bought() {
    let mut world = World::with(options());
    let payer = world.payer();
    let bought = |world: &World| payer.pays(&Challenge::from(look(world, "GET")));
    let used = bought(&world);
    payer.redeems(&used, SMS).is_delivered("Okay");
    let unused = bought(&world);
    world.stop();
    world.write_config("farebox.toml", &[("maxLength = 120", "maxLength = 5")]);
    world.restart();
    payer.redeems(&used, SMS).is_replayed("Okay");
    payer.redeems(&unused, SMS).is(400, "invalid-input");
    let short = r#"{"phone_number":"+1234567890","message":"short"}"#;
    payer.redeems(&unused, short).is_delivered("Okay");
    assert_eq!(world.upstream.posts().len(), 2);
}

/// A client with as many unpaid invoices as it may have keeps no directory from looking.
#[test]
fn who_may_buy_nothing_more_may_look() {
    let limits = "unpaid_per_client = 1".to_owned();
    let world = World::with(Options { limits, ..options() });
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", "192.0.2.9")];
    let buy = || http::send(world.address, "POST", PATH, &headers, SMS.as_bytes());
    assert_eq!((buy().status, buy().status), (402, 429));
    let _ = look(&world, "GET").asks_to_pay("payment-required");
}
