//! Promises 2 and 3: what an upstream's answer means, and that a paid ticket is never lost by its
//! fault.

use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, http};

#[test]
fn a_success_is_delivered_whatever_its_status() {
    let world = World::new();
    let payer = world.payer();
    for status in [200, 201, 202, 299] {
        world.upstream.behave(Behaviour::status(status, "fine"));
        let ticket = payer.buys(SMS);
        for replayed in [false, true] {
            let answer = payer.redeems(&ticket, SMS);
            assert_eq!(
                (answer.status, answer.text().as_str(), answer.was_replayed()),
                (status, "fine", replayed)
            );
        }
    }
    assert_eq!(world.upstream.count(), 4);
}

#[test]
fn a_refusal_frees_the_ticket_and_passes_its_words_on_without_secrets() {
    let world = World::new();
    let payer = world.payer();
    for status in [400, 401, 402, 403, 404, 422, 429] {
        let words = format!(
            "number +1234567890 refused\r\n: Hello, this is a test SMS! token \
             backend-token-hunter2 {status}"
        );
        world.upstream.behave(Behaviour::status(status, &words));
        let ticket = payer.buys(SMS);
        let answer = payer.redeems(&ticket, SMS).in_case(status);
        answer.is(502, "upstream-refused").charges_nothing().advises("same-ticket");
        let body = answer.json();
        assert_eq!(body["upstreamStatus"], status);
        assert_eq!(body["upstreamSays"], format!("number […] refused  : […] token […] {status}"));
        world.upstream.behave(Behaviour::okay());
        payer.redeems_in_the_end(&ticket, SMS);
    }
}

#[test]
fn what_nobody_knows_is_parked_and_never_sent_again() {
    let world =
        World::with(Options { service: "timeout = \"700ms\"".into(), ..Options::default() });
    let payer = world.payer();
    let mut asked = 0;
    for behaviour in [
        Behaviour::status(500, "oops"),
        Behaviour::status(503, "oops"),
        Behaviour::status(408, ""),
        Behaviour::status(409, ""),
        Behaviour::status(425, ""),
        Behaviour::CloseAfterReading,
        Behaviour::Stall,
        Behaviour::status(302, ""),
    ] {
        world.upstream.behave(behaviour);
        world.opens_sales();
        let ticket = payer.buys(SMS);
        asked += 1;
        let answer = payer.redeems(&ticket, SMS);
        answer.is(504, "outcome-unknown");
        assert!(answer.json()["charged"].is_null(), "nobody knows");
        world.upstream.behave(Behaviour::okay());
        payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
        assert_eq!(world.upstream.count(), asked);
    }
    assert_eq!(
        world.metric("farebox_redemptions_total{outcome=\"unknown\",service=\"send-sms\"}"),
        asked as f64
    );
}

#[test]
fn a_success_that_breaks_off_is_delivered_and_never_sent_again() {
    let world = World::new();
    let payer = world.payer();
    world.upstream.behave(Behaviour::CutShort);
    let ticket = payer.buys(SMS);
    for _ in 0..2 {
        payer.redeems(&ticket, SMS).is(200, "delivered-answer-not-kept").has_charged();
    }
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn while_the_upstream_is_down_nothing_is_sold_and_a_paid_ticket_waits() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    world.upstream.stop();
    payer.redeems(&ticket, SMS).is(503, "upstream-unreachable").advises("same-ticket");
    payer.tries_to_buy(SMS).is(503, "upstream-down");
    assert_eq!(world.ready()["status"], "degraded");
    assert_eq!(http::get(world.ops, "/readyz").status, 200);
    world.upstream.start_again();
    world.wait_until_it_sells();
    payer.redeems_in_the_end(&ticket, SMS);
    assert_eq!(world.upstream.count(), 1);
}

/// A connection that was idle for a while may be closed by the upstream just as we write, and then
/// nobody knows.
#[test]
fn tickets_do_not_use_connections_that_were_idle_for_long() {
    let world = World::new();
    let payer = world.payer();
    let (first, second) = (payer.buys(SMS), payer.buys(SMS));
    payer.redeems(&first, SMS).is_delivered("Okay");
    world.upstream.spoil_open_connections();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    payer.redeems(&second, SMS).is_delivered("Okay");
}

#[test]
fn reuse_never_uses_no_connection_twice() {
    let world = World::with(Options { service: "reuse = \"never\"".into(), ..Options::default() });
    let payer = world.payer();
    for _ in 0..5 {
        let ticket = payer.buys(SMS);
        world.upstream.spoil_open_connections();
        payer.redeems(&ticket, SMS).is_delivered("Okay");
    }
}

/// playSMS and Vonage say 200 to everything; Kannel says 202 to what it only queued.
#[test]
fn a_service_may_say_what_its_upstream_s_answers_mean() {
    let service = r#"
delivered = { status = ["2xx"], json = { "/status" = "OK" } }
not_sent = { status = [200], json = { "/status" = "ERR" }, header = { X-Final = "^yes$" } }
"#;
    let world = World::with(Options { service: service.into(), ..Options::default() });
    let payer = world.payer();
    let json = |status, headers, body: &str| Behaviour::Answer {
        status,
        headers,
        body: body.as_bytes().to_vec(),
    };
    let plain = "Content-Type: application/json\r\n";
    let last = "Content-Type: application/json\r\nX-Final: yes\r\n";
    for (behaviour, status, code) in [
        (json(200, last, r#"{"status":"ERR","words":"no such number"}"#), 502, "upstream-refused"),
        (json(200, plain, r#"{"status":"ERR"}"#), 504, "outcome-unknown"),
        (json(202, plain, r#"{"status":"queued"}"#), 504, "outcome-unknown"),
        (json(200, plain, "nonsense"), 504, "outcome-unknown"),
        (Behaviour::CutShort, 504, "outcome-unknown"),
        (Behaviour::status(404, "by its status"), 502, "upstream-refused"),
    ] {
        world.opens_sales();
        world.upstream.behave(behaviour);
        payer.redeems(&payer.buys(SMS), SMS).is(status, code);
    }
    world.upstream.behave(json(201, plain, r#"{"status":"OK"}"#));
    payer.redeems(&payer.buys(SMS), SMS).has_status(201);
}
