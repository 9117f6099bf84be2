//! A real SMS backend that knows nothing of payments: Kannel, behind a service whose input is the
//! query.

use crate::support::kannel::Kannel;
use crate::support::world::Options;
use crate::support::{Challenge, Response, World, http, wait_until};

fn world(kannel: &Kannel, password: &str) -> World {
    let service = format!(
        r#"
[[service]]
name = "kannel"
method = "GET"
path = "/sms"
ticket = "single-use"
price_sat = 10
upstream = "http://{}/cgi-bin/sendsms?username=tester"
upstream_query = {{ password = "{password}" }}
timeout = "2s"
delivered = {{ status = [202], body = "^0:" }}

[service.input]
type = "object"
required = ["to", "text"]
additionalProperties = false
[service.input.properties]
to = {{ type = "string", format = "e164" }}
text = {{ type = "string", minLength = 1, maxLength = 160 }}
"#,
        kannel.sendsms
    );
    World::with(Options { more: service, ..Options::default() })
}

const TARGET: &str = "/sms?to=%2B1234567890&text=Hello+there";

fn get(world: &World, headers: &[(&str, &str)]) -> Response {
    http::send(world.address, "GET", TARGET, headers, b"")
}

fn buy(world: &World) -> (String, String) {
    let challenge = Challenge::from(get(world, &[]));
    let hash = challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
    (hash, format!("L402 {}:{}", challenge.macaroon, world.pay(&challenge)))
}

#[test]
fn one_payment_sends_one_message_whatever_becomes_of_the_backend() {
    let mut kannel = Kannel::start();
    let world = world(&kannel, "foobar-of-kannel");
    wait_until("the backend to be known as up", || {
        world.ready()["upstreams"]["kannel"]["status"] == "ok"
    });
    for bad in [
        "/sms?to=%2B1234567890+%2B1999999999&text=x",
        "/sms?to=%2B1234567890&text=x&coding=2",
        "/sms?to=111&text=x",
    ] {
        assert_eq!(http::send(world.address, "GET", bad, &[], b"").status, 400);
    }

    let (_, first) = buy(&world);
    assert_eq!(kannel.sent().len(), 0, "the first request sends nothing");
    let answer = get(&world, &[("Authorization", &first)]);
    assert_eq!((answer.status, answer.text().as_str()), (202, "0: Accepted for delivery"));
    wait_until("the message at the centre", || kannel.sent().len() == 1);
    assert!(kannel.sent()[0].contains("+1234567890 text Hello there"), "{:?}", kannel.sent());
    assert_eq!(
        get(&world, &[("Authorization", &first)]).header("idempotent-replayed"),
        Some("true")
    );

    // Frozen until the gate gives up: nobody knows. Let go, it sends the message after all; a retry
    // would have sent two.
    let (hash, second) = buy(&world);
    kannel.signal_bearerbox("STOP");
    assert_eq!(get(&world, &[("Authorization", &second)]).code(), "outcome-unknown");
    assert_eq!(kannel.sent().len(), 1);
    kannel.signal_bearerbox("CONT");
    wait_until("the late message at the centre", || kannel.sent().len() == 2);
    assert_eq!(get(&world, &[("Authorization", &second)]).code(), "outcome-unknown");
    let path = format!("/tickets/{hash}/delivered");
    assert_eq!(http::send(world.ops, "POST", &path, &[], b"").json()["state"], "delivered");
    assert_eq!(get(&world, &[("Authorization", &second)]).code(), "delivered-answer-not-kept");

    // Gone: certainly not sent, and the same ticket works later.
    let (_, third) = buy(&world);
    kannel.kill_smsbox();
    let down = get(&world, &[("Authorization", &third)]);
    assert_eq!((down.status, down.code().as_str()), (503, "upstream-unreachable"));
    kannel.start_smsbox();
    wait_until("the same ticket to work", || {
        get(&world, &[("Authorization", &third)]).status == 202
    });
    wait_until("its message at the centre", || kannel.sent().len() == 3);
    assert_eq!(kannel.sent().len(), 3);
}

#[test]
fn a_wrong_password_is_the_operator_s_and_its_words_hide_it() {
    let kannel = Kannel::start();
    let world = world(&kannel, "wrong-secret-word");
    let (_, ticket) = buy(&world);
    let answer = get(&world, &[("Authorization", &ticket)]);
    assert_eq!((answer.status, answer.json()["upstreamStatus"].as_u64()), (502, Some(403)));
    assert!(
        !answer.text().contains("wrong-secret-word")
            && !world.gate.output().contains("wrong-secret-word")
    );
    assert_eq!(kannel.sent().len(), 0);
}
