//! Promise 5: what can't be delivered is not sold.

use crate::support::world::{Options, PATH};
use crate::support::{Response, SMS, World, http, wait_until};

const JSON: &str = "application/json";

fn send(world: &World, content_type: &str, body: &str) -> Response {
    let headers = [("Content-Type", content_type)];
    http::send(world.address, "POST", PATH, &headers, body.as_bytes())
}

/// No invoice was made, and nothing sent.
#[track_caller]
fn nothing_was_sold(world: &World) {
    assert_eq!(world.metric("farebox_challenges_total{service=\"send-sms\"}"), 0.0);
    assert_eq!(world.upstream.count(), 0);
}

#[track_caller]
fn is_refused_for_good(answer: &Response, status: u16) {
    answer.has_status(status).bears_no_challenge().advises("never");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
}

#[test]
fn a_body_that_the_service_would_refuse_gets_no_invoice() {
    let world = World::new();
    let sms = |number: &str| format!(r#"{{"phone_number":"{number}","message":"x"}}"#);
    let long = |length: usize| {
        let message = "x".repeat(length);
        format!(r#"{{"phone_number":"+1234567890","message":"{message}"}}"#)
    };
    for (status, body) in [
        (400, long(121).as_str()),
        (413, &long(70_000)),
        (400, &sms("1234567890")),
        (400, &sms("+0234567890")),
        (400, &sms("+1234567890,+1234567891")),
        (400, r#"{"phone_number":"+1234567890","message":""}"#),
        (400, r#"{"phone_number":"+1234567890"}"#),
        (400, r#"{"phone_number":"+1234567890","message":"x","to":"+1"}"#),
        (400, r#"{"phone_number":"+1234567890","phone_number":"+1234567891","message":"x"}"#),
        (400, r#"{"phone_number":"+1234567890","phone\u005fnumber":"+1234567891","message":"x"}"#),
        (400, "{"),
        (400, ""),
        (400, "[]"),
    ] {
        let answer = send(&world, JSON, body).in_case(format!("{body:.100}"));
        is_refused_for_good(&answer, status);
    }
    nothing_was_sold(&world);
}

#[test]
fn a_body_of_another_type_or_coding_gets_no_invoice() {
    let world = World::new();
    let types =
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"];
    for content_type in types {
        is_refused_for_good(&send(&world, content_type, SMS).in_case(content_type), 415);
    }
    world.payer().sends(&[("Content-Encoding", "gzip")], SMS).has_status(415);
    nothing_was_sold(&world);
}

/// curl waits for that with bodies over 1 MiB.
#[test]
fn a_body_that_will_be_refused_is_not_invited() {
    let world = World::new();
    for (path, status) in [(PATH, 413), ("/free", 413), ("/nothing", 404)] {
        let mut client = http::Connection::open(world.address);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: gate.test\r\nContent-Type: application/json\r\n\
             Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n"
        );
        client.write(head.as_bytes());
        client.read_interim().expect("an answer").in_case(path).has_status(status);
    }
    nothing_was_sold(&world);
}

/// Many backends' texts end there: less than what was paid for would be sent.
#[test]
fn a_text_with_the_character_nul_gets_no_invoice() {
    let world = World::new();
    let body = r#"{"phone_number":"+1234567890","message":"Hello\u0000, world"}"#;
    let answer = world.payer().tries_to_buy(body);
    assert!(answer.text().contains("U+0000"), "{}", answer.text());
    answer.is(400, "invalid-input");
    nothing_was_sold(&world);
}

#[test]
fn another_query_method_or_path_gets_no_invoice() {
    let world = World::new();
    let query = format!("{PATH}?to=%2B1999");
    world.payer_at("POST", &query).tries_to_buy(SMS).is(400, "unexpected-query");
    world.payer_at("PUT", PATH).tries_to_buy(SMS).has_status(405);
    http::send(world.address, "HEAD", "/status", &[], b"").has_status(405);
    for path in [
        "/api/l402/send-sms/",
        "/api/l402/%73end-sms",
        "/api//l402/send-sms",
        "/api/l402/x/../send-sms",
        "/API/l402/send-sms",
    ] {
        world.payer_at("POST", path).tries_to_buy(SMS).in_case(path).has_status(404);
    }
    nothing_was_sold(&world);
}

/// The key against repeats is a member of the body: so the body has to be an object.
#[test]
fn a_body_that_can_not_bear_the_key_against_repeats_gets_no_invoice() {
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
    let payer = world.payer_at("POST", "/any");
    for bad in ["[1]", "1", "null", "\"a\""] {
        payer.tries_to_buy(bad).in_case(bad).is(400, "invalid-input");
    }
    payer.redeems(&payer.buys("{}"), "{}").is_delivered("Okay");
}

/// Holds for a buyer that was put off, too.
#[test]
fn what_goes_down_while_a_buyer_is_put_off_is_not_sold() {
    let limits = "unpaid_per_client = 10\nunpaid_total = 10".into();
    let world = World::with(Options { limits, ..Options::default() });
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    for _ in 0..8 {
        payer.asks(SMS);
    }
    std::thread::scope(|scope| {
        let put_off = scope.spawn(|| payer.tries_to_buy(SMS));
        wait_until("the buyer to have a place", || {
            world.metric("farebox_unpaid_challenges") == 10.0
        });
        world.upstream.stop();
        // Which shows that it is down.
        payer.redeems(&ticket, SMS).is(503, "upstream-unreachable");
        put_off.join().unwrap().is(503, "upstream-down");
    });
}
