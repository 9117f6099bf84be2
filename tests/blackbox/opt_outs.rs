//! Promises 5, 6 and 7: who wants no more messages gets none, and nothing is sold to them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::delivery_reports::{FORM, JSON, inbound_path, options, order};
use crate::support::http;
use crate::support::presets::TO;
use crate::support::world::Play;
use crate::support::{World, wait_until};

/// What each preset's backend hands on: media type and body, in which `WORD` stands for the text.
const FROM_PHONES: [(&str, &str, &str); 6] = [
    ("twilio", FORM, "From=%2B491701234567&To=%2B1500&Body=WORD"),
    ("vonage", JSON, r#"{"msisdn":"491701234567","text":"WORD"}"#),
    ("plivo", FORM, "From=491701234567&Text=WORD"),
    ("jasmin", FORM, "from=%2B491701234567&content=WORD"),
    (
        "android-sms-gateway",
        JSON,
        r#"{"event":"sms:received","payload":{"sender":"+491701234567","message":"WORD"}}"#,
    ),
    (
        "httpsms",
        JSON,
        r#"{"type":"message.phone.received",
                "data":{"contact":"+491701234567","content":"WORD"}}"#,
    ),
];

/// Opted out by the phone's own word, and in again.
#[test]
fn who_wants_no_more_messages_gets_none() {
    let play = Play::new();
    let mut world = World::with(options(&play));
    for (preset, media, body) in FROM_PHONES {
        let path = inbound_path(&world, preset);
        let says = |world: &World, word: &str| {
            let body = body.replace("WORD", word);
            let media = [("Content-Type", media)];
            let heard = http::send(world.address, "POST", &path, &media, body.as_bytes());
            assert!(matches!(heard.status, 200 | 204), "{preset} {heard:?}");
        };
        let sells = |world: &World| {
            let path = format!("/l402/quote/{preset}");
            let json = [("Content-Type", JSON)];
            http::send(world.address, "POST", &path, &json, order(TO).as_bytes()).status
        };
        says(&world, "please don't stop");
        assert_eq!(sells(&world), 200, "{preset}");
        says(&world, "Stop");
        assert_eq!(sells(&world), 400, "{preset}");
        let payer = world.payer_at("POST", &format!("/{preset}"));
        payer.tries_to_buy(&order(TO)).in_case(preset).is(400, "invalid-input");
        payer.tries_to_buy(&order("+447700900123")).in_case(preset).has_status(402);
        if preset == "twilio" {
            world.crash_and_restart();
            assert_eq!(sells(&world), 400, "{preset}");
        }
        says(&world, "START");
        assert_eq!(sells(&world), 200, "{preset}");
    }
    // What was sent by us and comes back as news is nobody's wish.
    let path = inbound_path(&world, "httpsms");
    let body =
        r#"{"type":"message.phone.sent","data":{"contact":"+491701234567","content":"STOP"}}"#;
    http::send(world.address, "POST", &path, &[("Content-Type", JSON)], body.as_bytes());
    let quoted = http::send(
        world.address,
        "POST",
        "/l402/quote/httpsms",
        &[("Content-Type", JSON)],
        order(TO).as_bytes(),
    );
    quoted.has_status(200);
    assert!(!world.gate.output().contains("491701234567"));
}

/// Whoever writes STOP opts out by no number but its own.
#[test]
fn a_number_is_known_by_its_country_code() {
    let play = Play::new();
    let world = World::with(options(&play));
    // As it is dialled from abroad; and one that nobody can call from there is nobody's.
    let path = inbound_path(&world, "plivo");
    let media = [("Content-Type", FORM)];
    let sells = || {
        let json = [("Content-Type", JSON)];
        http::send(world.address, "POST", "/l402/quote/plivo", &json, order(TO).as_bytes()).status
    };
    // In their countries' own form these are others' numbers, and none of +49 170 1234567.
    for (from, status) in [
        ("01701234567", 200),
        ("", 200),
        ("%2B491701234567;ext=1", 200),
        ("1701234567", 200),
        ("00491701234567", 400),
    ] {
        let body = format!("From={from}&Text=STOP");
        http::send(world.address, "POST", &path, &media, body.as_bytes()).has_status(204);
        assert_eq!(sells(), status, "{from}");
    }
    // Twilio writes a plus: without one it is a number in its country's own form.
    let to_twilio = inbound_path(&world, "twilio");
    let body = b"From=491701234567&Body=STOP";
    http::send(world.address, "POST", &to_twilio, &media, body).has_status(204);
    assert_eq!(world.payer_at("POST", "/twilio").tries_to_buy(&order(TO)).status, 402);
    for from in ["%2B49+(0)170+1234567", "%2B4901701234567", "49-170-1234567"] {
        for (word, status) in [("START", 200), ("STOP", 400)] {
            let body = format!("From={from}&Text={word}");
            http::send(world.address, "POST", &path, &media, body.as_bytes()).has_status(204);
            assert_eq!(sells(), status, "{from} {word}");
        }
    }
}

#[test]
fn the_operator_may_refuse_and_allow_a_number() {
    let play = Play::new();
    let world = World::with(options(&play));
    world.write_ops_config();
    let numbers = |command: &str| {
        let (status, said) = world.farebox(&format!("numbers --config ops.toml {command}"));
        (status.success(), said)
    };
    let quoted = || {
        let json = [("Content-Type", JSON)];
        let asked = order("+12025550123");
        http::send(world.address, "POST", "/l402/quote/twilio", &json, asked.as_bytes()).status
    };
    assert_eq!(quoted(), 200);
    assert!(numbers("refuse twilio +12025550123").0);
    assert_eq!(quoted(), 400);
    // Its phone has no say in that.
    let path = inbound_path(&world, "twilio");
    let start = b"From=%2B12025550123&Body=START";
    http::send(world.address, "POST", &path, &[("Content-Type", FORM)], start).has_status(204);
    assert_eq!(quoted(), 400);
    assert!(numbers("allow twilio +12025550123").1.contains("are sold by twilio again"));
    assert!(numbers("allow twilio +12025550123").1.contains("was not refused"));
    assert_eq!(quoted(), 200);
    let (done, said) = numbers("refuse nobody +12025550123");
    assert!(
        !done && said.contains("there is no service `nobody`, but there is send-sms"),
        "{said}"
    );
    assert!(!numbers("refuse twilio 12025550123").0);
    let log = world.gate.output();
    assert!(!log.contains("491701234567") && !log.contains("2025550123"));
}

/// Promise 5: an invoice that isn't paid yet isn't offered again for a number that gets nothing.
#[test]
fn what_was_offered_before_is_not_offered_again() {
    let play = Play::new();
    let world = World::with(options(&play));
    world.wait_until_payments_are_detected();
    let payer = world.payer_at("POST", "/twilio");
    let challenge = payer.asks(&order(TO));
    payer.sends_macaroon_alone(&challenge, &order(TO)).has_status(402);
    let path = inbound_path(&world, "twilio");
    let stop = b"From=%2B491701234567&Body=STOP";
    http::send(world.address, "POST", &path, &[("Content-Type", FORM)], stop).has_status(204);
    payer.sends_macaroon_alone(&challenge, &order(TO)).is(400, "invalid-input");
}

/// Promise 7: what strangers send to the second listener keeps no place of the operator's.
#[test]
fn a_body_that_never_comes_takes_no_place_of_the_operator_s() {
    let play = Play::new();
    let world = World::with(options(&play));
    let known = inbound_path(&world, "twilio");
    for path in ["/l402/report/twilio/nobody", &known] {
        let mut open = Vec::new();
        for _ in 0..40 {
            let mut socket = TcpStream::connect(world.ops).unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx");
            socket.write_all(head.as_bytes()).unwrap();
            open.push(socket);
        }
        wait_until("a place for the operator", || {
            let Ok(mut socket) = TcpStream::connect(world.ops) else { return false };
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let asked = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let mut answer = String::new();
            socket.write_all(asked).is_ok()
                && socket.read_to_string(&mut answer).is_ok()
                && answer.contains("200 OK")
        });
        drop(open);
    }
}
