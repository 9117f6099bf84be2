//! Promise 2: a real SMS backend that knows nothing of payments: Kannel, behind a service whose
//! input is the query.

use serde_json::json;

use crate::delivery_reports::delivery;
use crate::support::kannel::Kannel;
use crate::support::presets::TO;
use crate::support::world::{Options, Play};
use crate::support::{Payer, World, wait_until};

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

const TEXT: &str = "?to=%2B1234567890&text=Hello+there";

fn payer(world: &World) -> Payer {
    world.wait_until_upstream_is("kannel", "ok");
    world.payer_at("GET", "/sms")
}

#[test]
fn a_query_that_kannel_would_read_as_more_is_refused() {
    let kannel = Kannel::start();
    let world = world(&kannel, "foobar-of-kannel");
    let payer = payer(&world);
    for bad in [
        "?to=%2B1234567890+%2B1999999999&text=x",
        "?to=%2B1234567890&text=x&coding=2",
        "?to=111&text=x",
    ] {
        payer.tries_to_buy(bad).in_case(bad).has_status(400);
    }
}

#[test]
fn one_payment_sends_one_message() {
    let kannel = Kannel::start();
    let world = world(&kannel, "foobar-of-kannel");
    let payer = payer(&world);
    let ticket = payer.buys(TEXT);
    assert_eq!(kannel.sent().len(), 0, "the first request sends nothing");
    let answer = payer.redeems(&ticket, TEXT);
    assert_eq!((answer.status, answer.text().as_str()), (202, "0: Accepted for delivery"));
    wait_until("the message at the centre", || kannel.sent().len() == 1);
    assert!(kannel.sent()[0].contains("+1234567890 text Hello there"), "{:?}", kannel.sent());
    assert!(payer.redeems(&ticket, TEXT).was_replayed());
    assert_eq!(kannel.sent().len(), 1);
}

/// Frozen until the gate gives up: nobody knows. Let go, it sends the message after all; a retry
/// would have sent two.
#[test]
fn a_backend_that_was_frozen_is_not_asked_again() {
    let kannel = Kannel::start();
    let world = world(&kannel, "foobar-of-kannel");
    let payer = payer(&world);
    let ticket = payer.buys(TEXT);
    kannel.signal_bearerbox("STOP");
    payer.redeems(&ticket, TEXT).is(504, "outcome-unknown");
    assert_eq!(kannel.sent().len(), 0);
    kannel.signal_bearerbox("CONT");
    wait_until("the late message at the centre", || kannel.sent().len() == 1);
    payer.redeems(&ticket, TEXT).is(504, "outcome-unknown");
    let settled = world.operator_orders(&ticket.payment_hash(), "delivered");
    assert_eq!(settled.json()["state"], "delivered");
    payer.redeems(&ticket, TEXT).is(200, "delivered-answer-not-kept");
    assert_eq!(kannel.sent().len(), 1);
}

/// Certainly not sent, and the same ticket works later.
#[test]
fn a_backend_that_was_gone_is_asked_once_it_is_back() {
    let mut kannel = Kannel::start();
    let world = world(&kannel, "foobar-of-kannel");
    let payer = payer(&world);
    let ticket = payer.buys(TEXT);
    kannel.kill_smsbox();
    payer.redeems(&ticket, TEXT).is(503, "upstream-unreachable");
    kannel.start_smsbox();
    wait_until("the same ticket to work", || payer.redeems(&ticket, TEXT).status == 202);
    wait_until("its message at the centre", || kannel.sent().len() == 1);
    assert_eq!(kannel.sent().len(), 1);
}

#[test]
fn a_wrong_password_is_the_operator_s_and_its_words_hide_it() {
    let kannel = Kannel::start();
    let world = world(&kannel, "wrong-secret-word");
    let payer = payer(&world);
    let answer = payer.redeems(&payer.buys(TEXT), TEXT);
    answer.is(502, "upstream-refused");
    assert_eq!(answer.json()["upstreamStatus"], 403);
    assert!(
        !answer.text().contains("wrong-secret-word")
            && !world.gate.output().contains("wrong-secret-word")
    );
    assert_eq!(kannel.sent().len(), 0);
}

/// A real gateway: its reports come by themselves, and its lists refuse for good.
#[test]
fn kannel_reports_and_refuses() {
    let kannel = Kannel::start();
    let play = Play::new();
    let more = format!(
        r#"
[[service]]
name = "kannel"
method = "POST"
path = "/sms"
ticket = "single-use"
price_sat = 7
upstream = "http://{}"
sms = {{ to = "number", text = "words", max_segments = 2 }}
backend = {{ preset = "kannel", username = "tester", password = {{ env = "SECRET" }} }}
"#,
        kannel.sendsms
    );
    let mut options = Options { more, ..play.watched() };
    options.environment.push(("SECRET", "foobar-of-kannel".to_owned()));
    let world = World::with(options);
    let with = format!("backend = {{ reports = \"http://{}\", preset", world.ops);
    world.write_config("farebox.toml", &[("backend = { preset", &with)]);
    world.reloads();
    world.wait_until_payments_are_detected();
    world.wait_until_upstream_is("kannel", "ok");
    let payer = world.payer_at("POST", "/sms");
    for text in ["hello".to_owned(), "x".repeat(200)] {
        let order = json!({ "number": TO, "words": text }).to_string();
        let ticket = play.pays(&payer.asks(&order));
        payer.redeems(&ticket, &order).has_status(200);
        wait_until("Kannel's reports", || delivery(&payer, &ticket) == "delivered");
    }
    let denied = json!({ "number": "+493012345678", "words": "hello" }).to_string();
    let ticket = play.pays(&payer.asks(&denied));
    payer.redeems(&ticket, &denied).is(422, "order-refused");
    payer.tries_to_buy(&denied).is(400, "invalid-input");
    let order = json!({ "number": "+447700900123", "words": "hello" }).to_string();
    payer.redeems(&ticket, &order).has_status(200);
    wait_until("its message", || kannel.sent().len() == 4);
    wait_until("its report", || delivery(&payer, &ticket) == "delivered");
}
