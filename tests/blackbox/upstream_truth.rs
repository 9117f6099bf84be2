//! What an upstream's answer means, and that a paid ticket is never lost by its fault.

use crate::support::world::Options;
use crate::support::{Behaviour, Challenge, SMS, World, http, wait_until};

#[test]
fn a_success_is_delivered_whatever_its_status() {
    let world = World::new();
    for status in [200, 201, 202, 299] {
        world.upstream.behave(Behaviour::status(status, "fine"));
        let (_, ticket) = world.buy(SMS);
        for replayed in [None, Some("true")] {
            let answer = world.redeem(&ticket, SMS);
            assert_eq!(
                (answer.status, answer.text().as_str(), answer.header("idempotent-replayed")),
                (status, "fine", replayed)
            );
        }
    }
    assert_eq!(world.upstream.count(), 4);
}

#[test]
fn a_refusal_frees_the_ticket_and_passes_its_words_on_without_secrets() {
    let world = World::new();
    for status in [400, 401, 402, 403, 404, 422, 429] {
        let words = format!(
            "number +1234567890 refused\r\n: Hello, this is a test SMS! token \
             backend-token-hunter2 {status}"
        );
        world.upstream.behave(Behaviour::status(status, &words));
        let (_, ticket) = world.buy(SMS);
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream-refused"), "{status}");
        let body = answer.json();
        assert_eq!(body["upstreamStatus"], status);
        assert_eq!(body["upstreamSays"], format!("number […] refused  : […] token […] {status}"));
        assert_eq!(
            (body["charged"].as_bool(), body["retry"].as_str()),
            (Some(false), Some("same-ticket"))
        );
        world.upstream.behave(Behaviour::okay());
        wait_until("the same ticket to work", || world.redeem(&ticket, SMS).status == 200);
    }
}

#[test]
fn what_nobody_knows_is_parked_and_never_sent_again() {
    let world =
        World::with(Options { service: "timeout = \"700ms\"".into(), ..Options::default() });
    let mut asked = 0;
    for behaviour in [
        Behaviour::status(500, "oops"),
        Behaviour::status(503, "oops"),
        Behaviour::status(302, ""),
        Behaviour::status(408, ""),
        Behaviour::status(409, ""),
        Behaviour::status(425, ""),
        Behaviour::CloseAfterReading,
        Behaviour::Stall,
    ] {
        world.upstream.behave(behaviour);
        let (_, ticket) = world.buy(SMS);
        asked += 1;
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (504, "outcome-unknown"));
        assert!(answer.json()["charged"].is_null(), "nobody knows");
        world.upstream.behave(Behaviour::okay());
        assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
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
    world.upstream.behave(Behaviour::CutShort);
    let (_, ticket) = world.buy(SMS);
    for _ in 0..2 {
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (200, "delivered-answer-not-kept"));
        assert_eq!(answer.json()["charged"], true);
    }
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn while_the_upstream_is_down_nothing_is_sold_and_a_paid_ticket_waits() {
    let world = World::new();
    let (_, ticket) = world.buy(SMS);
    world.upstream.stop();
    let answer = world.redeem(&ticket, SMS);
    assert_eq!((answer.status, answer.code().as_str()), (503, "upstream-unreachable"));
    assert_eq!(answer.json()["retry"], "same-ticket");
    let sale = world.post(&[], SMS);
    assert_eq!(
        (sale.status, sale.code().as_str(), sale.header("www-authenticate")),
        (503, "upstream-down", None)
    );
    assert_eq!(world.ready()["status"], "degraded");
    assert_eq!(crate::support::http::get(world.ops, "/readyz").status, 200);
    world.upstream.start_again();
    wait_until("the sale to open again", || world.post(&[], SMS).status == 402);
    wait_until("the ticket to be redeemed", || world.redeem(&ticket, SMS).status == 200);
    assert_eq!(world.upstream.count(), 1);
}

/// A connection that was idle for a while may be closed by the upstream just as we write, and then
/// nobody knows.
#[test]
fn tickets_do_not_use_connections_that_were_idle_for_long() {
    let world = World::new();
    let (_, first) = world.buy(SMS);
    let (_, second) = world.buy(SMS);
    assert_eq!(world.redeem(&first, SMS).status, 200);
    world.upstream.spoil_open_connections();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(world.redeem(&second, SMS).status, 200);
}

#[test]
fn reuse_never_uses_no_connection_twice() {
    let world = World::with(Options { service: "reuse = \"never\"".into(), ..Options::default() });
    for _ in 0..5 {
        let (_, ticket) = world.buy(SMS);
        world.upstream.spoil_open_connections();
        assert_eq!(world.redeem(&ticket, SMS).status, 200);
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
        world.upstream.behave(behaviour);
        let (_, ticket) = world.buy(SMS);
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    }
    world.upstream.behave(json(201, plain, r#"{"status":"OK"}"#));
    let (_, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 201);
}

/// Where the upstream throws repeats away by a key of ours, what nobody knows is asked again,
/// always with the same key.
#[test]
fn a_repeatable_request_is_sent_again_with_one_key_per_ticket() {
    for (service, in_body) in [
        ("idempotency = { header = \"Idempotency-Key\" }", false),
        ("idempotency = { member = \"id\" }", true),
    ] {
        let mut world = World::with(Options { service: service.into(), ..Options::default() });
        let key = |request: &crate::support::upstream::Request| {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            let text =
                if in_body { body["id"].as_str() } else { request.header("idempotency-key") };
            text.unwrap().to_owned()
        };
        world.upstream.behave(Behaviour::CloseAfterReading);
        let (_, ticket) = world.buy(SMS);
        assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
        assert_eq!(world.upstream.count(), 4, "a first try and three more");
        world.crash_and_restart();
        world.upstream.behave(Behaviour::okay());
        assert_eq!(world.redeem(&ticket, SMS).text(), "Okay", "parked, and safe to try again");
        let keys: std::collections::BTreeSet<String> =
            world.upstream.requests().iter().map(key).collect();
        assert_eq!((world.upstream.count(), keys.len()), (5, 1));
        let (_, second) = world.buy(SMS);
        assert_eq!(world.redeem(&second, SMS).status, 200);
        assert!(!keys.contains(&key(&world.upstream.last())));
    }
}

/// The upstream can be asked by the name that we gave a request: a find settles it, "not found"
/// frees it after the time that is final.
#[test]
fn a_look_up_at_the_upstream_settles_what_is_parked() {
    let service = r#"timeout = "1s"
[service.lookup]
path = "/look?id={key}"
key = { header = "X-Reference" }
final_after = "2s""#;
    let mut world = World::with(Options { service: service.into(), ..Options::default() });
    for (answer, in_the_end, more) in [(200, "delivered-answer-not-kept", 0), (404, "", 1)] {
        world.upstream.behave(Behaviour::CloseAfterReading);
        let (_, ticket) = world.buy(SMS);
        let messages = |world: &World| {
            world
                .upstream
                .requests()
                .into_iter()
                .filter(|r| r.line.starts_with("POST"))
                .collect::<Vec<_>>()
        };
        let before = messages(&world).len();
        assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
        assert_eq!(messages(&world).len(), before + 1, "a name alone makes no repeat safe");
        let reference = messages(&world).last().unwrap().header("x-reference").unwrap().to_owned();
        world.crash_and_restart();
        let parked = std::time::Instant::now();
        world.upstream.behave(Behaviour::status(answer, "Okay"));
        if answer == 404 {
            wait_until("a look-up", || {
                world
                    .upstream
                    .requests()
                    .iter()
                    .any(|r| r.line.starts_with(&format!("GET /look?id={reference}&")))
            });
            assert_eq!(
                world.redeem(&ticket, SMS).code(),
                "outcome-unknown",
                "not found is not final yet"
            );
            wait_until("the ticket to be free", || {
                world.redeem(&ticket, SMS).code() == "upstream-refused"
            });
            assert!(parked.elapsed() > std::time::Duration::from_secs(2));
            world.upstream.behave(Behaviour::okay());
            wait_until("the ticket to work", || world.redeem(&ticket, SMS).text() == "Okay");
        } else {
            wait_until("the ticket to be settled", || {
                world.redeem(&ticket, SMS).code() == in_the_end
            });
        }
        let last = messages(&world).last().unwrap().header("x-reference").unwrap().to_owned();
        assert_eq!(last, reference);
        assert!(messages(&world).len() <= before + 1 + 2 * more);
    }
}

#[test]
fn a_service_whose_input_is_the_query_is_sold_as_exactly() {
    let world = World::with(Options { more: QUERY_SERVICE.into(), ..Options::default() });
    world.upstream.behave(Behaviour::okay());
    let get = |query: &str, headers: &[(&str, &str)]| {
        http::send(world.address, "GET", &format!("/sendsms{query}"), headers, b"")
    };
    for bad in [
        "",
        "?to=%2B1234567890",
        "?to=%2B1234567890+%2B1999999999&text=x",
        "?to=%2B1234567890&to=%2B1999999999&text=x",
        "?to=%2B1234567890&text=x&password=mine",
        "?to=+1234567890&text=x",
    ] {
        let refused = get(bad, &[]);
        assert_eq!((refused.status, refused.header("www-authenticate")), (400, None), "{bad}");
    }
    let challenge = Challenge::from(get("?to=%2B1234567890&text=a+b", &[]));
    let next = challenge.response.json()["next"].as_str().unwrap().to_owned();
    assert!(next.contains("'http://gate.test:8402/sendsms?text=a+b&to=%2B1234567890'"), "{next}");
    let ticket = format!("L402 {}:{}", challenge.macaroon, world.pay(&challenge));
    let authorization = [("Authorization", ticket.as_str())];
    assert_eq!(
        get("?to=%2B1234567891&text=a+b", &authorization).code(),
        "ticket-for-another-request"
    );
    assert_eq!(
        get("?text=a%20b&to=%2b1234567890", &authorization).text(),
        "Okay",
        "another way to write the same"
    );
    assert_eq!(
        get("?to=%2B1234567890&text=a+b", &authorization).header("idempotent-replayed"),
        Some("true")
    );
    let seen: Vec<_> = world.upstream.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(
        seen,
        ["GET /cgi-bin/sendsms?username=gate&charset=UTF-8\
             &password=Bearer+backend-token-hunter2&text=a+b&to=%2B1234567890 HTTP/1.1"]
    );
}

const QUERY_SERVICE: &str = r#"
[[service]]
name = "sms-by-query"
method = "GET"
path = "/sendsms"
ticket = "single-use"
price_sat = 10
upstream = "http://UPSTREAM/cgi-bin/sendsms?username=gate&charset=UTF-8"
upstream_query = { password = { env = "SMS_BACKEND_TOKEN" } }

[service.input]
type = "object"
required = ["to", "text"]
additionalProperties = false

[service.input.properties.to]
type = "string"
format = "e164"

[service.input.properties.text]
type = "string"
minLength = 1
maxLength = 160
"#;
