//! What the operator changes must not break a promise to those who have paid before.

use crate::support::world::{Options, PATH};
use crate::support::{Behaviour, Challenge, Response, SMS, World, http, wait_until};

/// A world whose config changes between two runs.
fn change(world: &mut World, changes: &[(&str, &str)]) {
    let path = world.folder.path().join("farebox.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    std::fs::write(path, text).unwrap();
    world.gate.signal("TERM");
    assert!(world.gate.wait().success());
    world.restart();
}

fn send(world: &World, method: &str, path: &str, ticket: &str, body: &str) -> Response {
    let headers = [("Content-Type", "application/json"), ("Authorization", ticket)];
    http::send(world.address, method, path, &headers, body.as_bytes())
}

#[test]
fn a_service_that_was_renamed_and_moved_redeems_what_it_sold() {
    let mut world = World::new();
    let [(_, one), (_, two), (_, three)] = [1, 2, 3].map(|_| world.buy(SMS));
    let moved = [
        ("name = \"send-sms\"", "name = \"texts\""),
        ("path = \"/api/l402/send-sms\"", "path = \"/texts\""),
    ];
    change(&mut world, &moved);
    world.gate.wait_until_it_says("can't be redeemed");
    assert!(world.gate.output().contains("formerly = [\"send-sms\", \"POST /api/l402/send-sms\"]"));
    assert_eq!(send(&world, "POST", "/texts", &one, SMS).status, 402, "a stranger's, so far");
    let formerly = "name = \"texts\"\nformerly = [\"send-sms\", \"POST /api/l402/send-sms\"]";
    change(&mut world, &[("name = \"texts\"", formerly)]);
    assert!(!world.gate.output().contains("can't be redeemed"));
    assert_eq!(send(&world, "POST", "/texts", &one, SMS).status, 200);
    assert_eq!(send(&world, "POST", PATH, &two, SMS).status, 200, "at the old address, too");
    let elsewhere = world.post(&[], SMS);
    assert_eq!((elsewhere.status, elsewhere.code().as_str()), (404, "moved"), "nothing is sold");
    change(&mut world, &[("method = \"POST\"", "method = \"PUT\"")]);
    assert_eq!(send(&world, "PUT", "/texts", &three, SMS).status, 200);
    assert_eq!(world.upstream.count(), 3);
}

#[test]
fn rules_that_became_tighter_judge_sales_only() {
    let mut world = World::new();
    let [(_, one), (_, two), (challenge, _)] = [1, 2, 3].map(|_| world.buy(SMS));
    change(
        &mut world,
        &[("maxLength = 120", "maxLength = 5"), ("[limits]", "[limits]\nbody = \"30B\"")],
    );
    assert_eq!(world.post(&[], SMS).code(), "body-too-large");
    assert_eq!(world.redeem(&one, SMS).status, 200);
    change(&mut world, &[("upstream_headers", "bind = \"exact\"\nupstream_headers")]);
    assert_eq!(world.redeem(&two, SMS).status, 200, "sold as canonical JSON");
    // Whoever hands an unpaid challenge back is offered what was sold.
    let again = world.redeem(&format!("L402 {}:{}", challenge.macaroon, "00".repeat(32)), SMS);
    assert_ne!(again.code(), "body-too-large", "{again:?}");
}

#[test]
fn the_price_counts_as_it_was_minted() {
    let mut world =
        World::with(Options { lnd: "detect_payments = true".into(), ..Options::default() });
    let unpaid = world.ask(SMS);
    let (_, paid) = world.buy(SMS);
    change(&mut world, &[("price_sat = 100", "price_sat = 700")]);
    let again = world.redeem(&format!("L402 {}:", unpaid.macaroon), SMS).json();
    assert_eq!(
        (again["invoice"].as_str(), &again["priceSats"]),
        (Some(&*unpaid.invoice), &100.into())
    );
    assert_eq!(world.ask(SMS).response.json()["priceSats"], 700);
    assert_eq!(world.redeem(&paid, SMS).status, 200);
    let rows = http::get(world.ops, "/tickets?state=delivered").json();
    assert_eq!(rows[0]["priceMsat"], 100_000);
}

#[test]
fn another_kind_of_ticket_takes_none_away() {
    let mut world = World::new();
    let (_, single) = world.buy(SMS);
    let pass = ("ticket = \"single-use\"", "ticket = \"pass\"\npass_time = \"1h\"\npass_uses = 10");
    change(&mut world, &[pass]);
    assert_eq!(world.redeem(&single, SMS).status, 200);
    let again = world.redeem(&single, SMS);
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "its answer was kept");
    world.gate.kill();
    world.restart();
    assert_eq!(world.redeem(&single, SMS).text(), again.text());
    // A holder's narrowed copy says nothing of the whole pass.
    let (_, bought) = world.buy(SMS);
    let narrowed = crate::answers::holder_caveat(&bought, "send-sms_uses=1");
    assert_eq!(world.redeem(&narrowed, SMS).status, 200);
    assert_eq!(world.redeem(&narrowed, SMS).code(), "ticket-spent");
    assert_eq!(world.redeem(&bought, SMS).status, 200);
    // Passes where single requests are sold.
    change(&mut world, &[(pass.1, pass.0)]);
    let refused = world.redeem(&bought, SMS);
    assert_eq!((refused.status, refused.code().as_str()), (422, "pass-not-taken"));
    assert_eq!(refused.header("www-authenticate"), None, "no invoice");
    assert_eq!(world.upstream.count(), 3);
}

#[test]
fn a_key_against_repeats_counts_at_its_own_place_only() {
    let mut world = World::new();
    world.upstream.behave(Behaviour::CloseAfterReading);
    let (_, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    // The first try bore no key: that there is a place for it now says nothing of it.
    let key = "idempotency = { header = \"Idempotency-Key\" }\nupstream_headers";
    change(&mut world, &[("upstream_headers", key)]);
    assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
    assert_eq!(world.upstream.count(), 1);
    world.upstream.behave(Behaviour::status(500, "hm"));
    let (_, other) = world.buy(SMS);
    assert_eq!(world.redeem(&other, SMS).code(), "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    let tries = world.upstream.count();
    change(&mut world, &[("/send?account=7", "/send?account=8")]);
    assert_eq!(world.redeem(&other, SMS).code(), "outcome-unknown", "another place");
    assert_eq!(world.upstream.count(), tries);
    change(&mut world, &[("/send?account=8", "/send?account=7")]);
    assert_eq!(world.redeem(&other, SMS).status, 200, "back at the first");
    let (_, late) = world.buy(SMS);
    world.upstream.behave(Behaviour::CloseAfterReading);
    assert_eq!(world.redeem(&late, SMS).code(), "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    let tries = world.upstream.count();
    let forgets = "header = \"Idempotency-Key\", remembered = \"1s\"";
    change(&mut world, &[("header = \"Idempotency-Key\"", forgets)]);
    let tried = http::get(world.ops, "/tickets?state=parked").json();
    assert!(tried.as_array().unwrap().len() >= 2);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(world.redeem(&late, SMS).code(), "outcome-unknown", "forgotten by now");
    assert_eq!(world.upstream.count(), tries);
}

/// An operator who puts the backend elsewhere, where the look-up knows nothing.
#[test]
fn not_found_counts_at_the_place_of_the_last_try_only() {
    let lookup = r#"timeout = "1s"
[service.lookup]
path = "/look/{key}"
key = { header = "X-Reference" }
final_after = "0s""#;
    let mut world = World::with(Options { service: lookup.into(), ..Options::default() });
    world.upstream.behave(Behaviour::CloseAfterReading);
    let (challenge, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
    world.upstream.behave(Behaviour::status(404, "no"));
    change(&mut world, &[("/send?account=7", "/send?account=8")]);
    let asked = |world: &World| {
        let lines = world.upstream.requests().into_iter().map(|request| request.line);
        lines.filter(|line| line.starts_with("GET /look/")).collect::<Vec<_>>()
    };
    wait_until("two look-ups, the second after its pause", || asked(&world).len() >= 2);
    assert!(asked(&world)[0].contains("?account=8 "), "with the operator's query");
    let hash = challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
    let row = || http::get(world.ops, &format!("/tickets/{hash}")).json()["state"].clone();
    assert_eq!(row(), "parked");
}

#[test]
fn what_cannot_be_delivered_is_not_sold() {
    let service = r#"
[[service]]
name = "any"
method = "POST"
path = "/any"
ticket = "single-use"
price_sat = 10
upstream = "http://UPSTREAM/send"
idempotency = { member = "id" }
"#;
    let world = World::with(Options { more: service.into(), ..Options::default() });
    let post = |body: &str| {
        let headers = [("Content-Type", "application/json")];
        http::send(world.address, "POST", "/any", &headers, body.as_bytes())
    };
    for bad in ["[1]", "1", "null", "\"a\""] {
        assert_eq!(post(bad).code(), "invalid-input", "{bad}");
    }
    let challenge = Challenge::from(post("{}"));
    let ticket = format!("L402 {}:{}", challenge.macaroon, world.pay(&challenge));
    assert_eq!(send(&world, "POST", "/any", &ticket, "{}").status, 200);
}

/// What went to the backend, what the operator is shown, and what the payer is told, match.
#[test]
fn a_parked_ticket_can_be_matched_to_its_message() {
    let world = World::with(Options { lnd: "detect_payments = true".into(), ..Options::default() });
    world.upstream.behave(Behaviour::CloseAfterReading);
    let (challenge, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
    let reference = world.upstream.last().header("farebox-reference").unwrap().to_owned();
    world.gate.wait_until_it_says(&format!("reference=\"{reference}\""));
    let hash = challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
    let path = world.folder.path().join("farebox.toml");
    let config = std::fs::read_to_string(path).unwrap();
    let (before, after) = config.split_once("[ops]\naddress = \"127.0.0.1:0\"").unwrap();
    let config = format!("{before}[ops]\naddress = \"{}\"{after}", world.ops);
    // Without any secret of a backend.
    let config = config.replace("SMS_BACKEND_TOKEN", "NOT_SET_HERE");
    std::fs::write(world.folder.path().join("ops.toml"), config).unwrap();
    let show = ["tickets", "--config", "ops.toml", "show", &hash];
    let (status, said) = crate::support::process::Process::run(&show, world.folder.path());
    assert!(status.success(), "{said}");
    for what in [reference.as_str(), "+1234567890", "Hello, this is a test SMS!", "parked", "Z\n"] {
        assert!(said.contains(what), "{what} in {said}");
    }
    let over_http = http::get(world.ops, &format!("/tickets/{hash}")).text();
    assert!(over_http.contains(&reference) && !over_http.contains("+1234567890"));
    let status =
        http::send(world.address, "GET", "/l402/status", &[("Authorization", &ticket)], b"");
    assert_eq!(status.json()["reference"], reference.as_str());
    let resolve = format!("/tickets/{hash}/delivered");
    http::send(world.ops, "POST", &resolve, &[], b"");
    world.gate.wait_until_it_says("operator: resolved a parked ticket");
    let (_, said) = crate::support::process::Process::run(&show, world.folder.path());
    assert!(!said.contains("+1234567890"), "{said}");
}
