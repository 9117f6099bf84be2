//! Promises 2, 3 and 9: backends as they are. What they answer counts, however they write it, and
//! only as the answer to what was asked.

use std::io::Write;
use std::time::Duration;

use crate::support::config::PASS;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, http};

fn bytes(answer: impl AsRef<[u8]>) -> Behaviour {
    Behaviour::Bytes(answer.as_ref().to_vec())
}

#[test]
fn header_lines_that_are_not_to_the_letter_are_read() {
    let world = World::new();
    let payer = world.payer();
    for lines in [
        "X-Foo : a\r\n",
        "X-Folded: a\r\n  b\r\n",
        "X-Bad\u{1}Name: a\r\n",
        "no colon at all\r\n",
        ": no name\r\n",
    ] {
        world
            .upstream
            .behave(bytes(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 4\r\n\r\nOkay")));
        let ticket = payer.buys(SMS);
        let lines = lines.get(..20.min(lines.len())).unwrap_or_default();
        payer.redeems(&ticket, SMS).in_case(lines).is_delivered("Okay");
    }
}

#[test]
fn what_can_not_be_read_is_judged_by_its_status_line() {
    let world = World::new();
    let payer = world.payer();
    let fields: String = (0..150).map(|n| format!("X-Field-{n}: {n}\r\n")).collect();
    for rest in [
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\nOkay",
        "Content-Length: four\r\n\r\nOkay",
        "X-Nul: a\0b\r\nContent-Length: 4\r\n\r\nOkay",
        &format!("{fields}\r\nOkay"),
        "X-Half: a",
    ] {
        let case = rest.get(..30.min(rest.len())).unwrap_or_default();
        let asked = world.upstream.count();
        world.upstream.behave(Behaviour::Raw(format!("HTTP/1.1 200 OK\r\n{rest}").leak()));
        let ticket = payer.buys(SMS);
        payer.redeems(&ticket, SMS).in_case(case).is(200, "delivered-answer-not-kept");
        payer.redeems(&ticket, SMS).in_case(case).is(200, "delivered-answer-not-kept");
        assert_eq!(world.upstream.count(), asked + 1, "{case}");

        world.upstream.behave(Behaviour::Raw(format!("HTTP/1.1 422 No\r\n{rest}").leak()));
        let ticket = payer.buys(SMS);
        let refused = payer.redeems(&ticket, SMS).in_case(case);
        assert_eq!(refused.is(502, "upstream-refused").json()["upstreamStatus"], 422, "{case}");
        world.upstream.behave(Behaviour::okay());
        payer.redeems_in_the_end(&ticket, SMS);
    }
    world.upstream.behave(Behaviour::Raw("HTTP/1.1 200"));
    payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::Raw("220 smtp.example.com ESMTP\r\n"));
    payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
}

#[test]
fn a_head_without_an_end_is_judged_by_its_status_line_too() {
    let options = Options { service: "timeout = \"700ms\"".into(), ..Options::default() };
    let world = World::with(options);
    let payer = world.payer();
    world.upstream.behave(bytes("HTTP/1.1 202 Accepted\r\nX-More: to come"));
    payer.redeems(&payer.buys(SMS), SMS).is(202, "delivered-answer-not-kept");
}

fn packed(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

fn coded(coding: &str, body: &[u8]) -> Behaviour {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: \
         {coding}\r\nContent-Length: {length}\r\n\r\n"
    );
    bytes([head.as_bytes(), body].concat())
}

#[test]
fn a_predicate_sees_through_an_encoding_and_a_byte_order_mark() {
    let service = "delivered = { json = { \"/ok\" = true } }\nnot_sent = { json = { \"/ok\" = \
                   false } }\n";
    let world = World::with(Options { service: service.into(), ..Options::default() });
    let payer = world.payer();
    let (yes, no) = ("{\"ok\":true}", "{\"ok\":false}");
    for (behaviour, kept) in [
        (coded("gzip", &packed(yes)), yes.to_owned()),
        (coded("identity", format!("\u{feff}{yes}").as_bytes()), format!("\u{feff}{yes}")),
        (coded("gzip", &packed(&format!("\u{feff}{yes}"))), format!("\u{feff}{yes}")),
    ] {
        world.upstream.behave(behaviour);
        let ticket = payer.buys(SMS);
        let answer = payer.redeems(&ticket, SMS);
        assert_eq!(
            answer.is_delivered(&kept).header("content-encoding"),
            None.or(answer.header("content-encoding").filter(|coding| *coding == "identity"))
        );
        payer.redeems(&ticket, SMS).is_replayed(&kept);
    }
    for behaviour in
        [coded("gzip", &packed(no)), coded("identity", format!("\u{feff}{no}").as_bytes())]
    {
        world.upstream.behave(behaviour);
        payer.redeems(&payer.buys(SMS), SMS).is(502, "upstream-refused");
    }
    // What can't be unpacked here says nothing, and what it says decides.
    world.upstream.behave(coded("br", b"\x0b\x05\x80{}\x03"));
    payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
}

const VONAGE: &str = "delivered = { json = { \"/ok\" = true } }\nnot_sent = { json = { \"/ok\" = \
                      false } }\ntimeout = \"700ms\"";

/// A backend that says in its body what it did hasn't said it.
#[test]
fn of_a_head_that_is_cut_nobody_knows_where_the_body_says_what_it_means() {
    let world = World::with(Options { service: VONAGE.into(), ..Options::default() });
    let payer = world.payer();
    let cut = "HTTP/1.1 200 OK\r\nContent-Ty";
    for behaviour in [Behaviour::Raw(cut), bytes(cut), Behaviour::CutShort] {
        world.upstream.behave(behaviour);
        payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
    }
    // It might have said that it was taken before.
    world.opens_sales();
    world
        .upstream
        .behave(bytes("HTTP/1.1 422 No\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nxx"));
    payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
}

#[test]
fn an_answer_too_many_is_no_other_pass_s() {
    let world = World::with(Options { more: PASS.into(), ..Options::default() });
    let payer = world.payer_at("GET", "/by-time");
    let passes = [payer.buys(""), payer.buys("")];
    world.upstream.behave(Behaviour::Twice(Duration::from_millis(2)));
    for turn in 0..40 {
        let answer = payer.redeems(&passes[turn % 2], "");
        assert_ne!(answer.text(), "unasked", "turn {turn}");
    }
}

#[test]
fn an_answer_too_many_is_nobody_s() {
    let world = World::new();
    let payer = world.payer();
    for pause_ms in [0, 0, 1, 2, 2, 2, 3, 5, 8] {
        world.upstream.behave(Behaviour::Twice(Duration::from_millis(pause_ms)));
        let tickets = [payer.buys(SMS), payer.buys(SMS), payer.buys(SMS)];
        for ticket in &tickets {
            let answer = payer.redeems(ticket, SMS);
            assert_ne!(answer.text(), "unasked", "after {pause_ms} ms");
            answer.is_delivered("Okay");
        }
    }
}

#[test]
fn header_names_go_out_as_they_are_usually_written() {
    let world = World::new();
    world.payer().redeems(&world.payer().buys(SMS), SMS).is_delivered("Okay");
    http::send(world.address, "POST", "/free", &[("content-type", "text/plain")], b"hello");
    for request in world.upstream.posts() {
        for (name, _) in &request.headers {
            let words = name.split('-').all(|word| word.starts_with(|c: char| !c.is_lowercase()));
            assert!(words, "{name}");
        }
        assert!(request.headers.iter().any(|(name, _)| name == "Content-Length"));
    }
}

#[test]
fn what_a_backend_asks_to_wait_is_told_to_the_payer() {
    let world = World::new();
    let payer = world.payer();
    let headers = "Retry-After: 7\r\n";
    world.upstream.behave(Behaviour::Answer { status: 422, headers, body: Vec::new() });
    let answer = payer.redeems(&payer.buys(SMS), SMS);
    assert_eq!(answer.is(502, "upstream-refused").header("retry-after"), Some("7"));
}

#[test]
fn no_inner_address_goes_out() {
    let world = World::new();
    let payer = world.payer();
    let inner = world.upstream.address;
    for (place, outer) in [
        (format!("http://{inner}/send?account=7&id=4"), "/api/l402/send-sms?id=4"),
        (format!("http://{inner}/messages/4"), "/messages/4"),
        ("http://10.0.0.7:8080/messages/4".to_owned(), "/messages/4"),
        ("http://backend:8080/messages/4#a".to_owned(), "/messages/4#a"),
        ("//localhost/messages/4".to_owned(), "/messages/4"),
        ("https://[fd00::1]/messages/4".to_owned(), "/messages/4"),
        ("https://example.com/messages/4".to_owned(), "https://example.com/messages/4"),
        ("/messages/4".to_owned(), "/messages/4"),
        ("4".to_owned(), "4"),
    ] {
        for name in ["Location", "Content-Location"] {
            let headers = format!("{name}: {place}\r\n").leak();
            world.upstream.behave(Behaviour::Answer { status: 201, headers, body: b"a".to_vec() });
            let ticket = payer.buys(SMS);
            for _ in 0..2 {
                let answer = payer.redeems(&ticket, SMS);
                assert_eq!(answer.header(name), Some(outer), "{place}");
            }
            let free = http::get(world.address, "/status");
            let outer =
                outer.replace("?id=4", "?account=7&id=4").replace("/api/l402/send-sms", "/send");
            assert_eq!(free.header(name), Some(outer.as_str()), "{place}, free");
        }
    }
}

#[test]
fn a_free_backend_s_challenge_passes_without_ours_in_it() {
    let world = World::new();
    for (said, passed) in [
        ("Basic realm=\"a\"", Some("Basic realm=\"a\"")),
        ("Basic realm=\"a\", L402 macaroon=\"m\", invoice=\"i\"", Some("Basic realm=\"a\"")),
        (
            "Basic realm=\"a\\\"\", L402 macaroon=\"m\", invoice=\"i\"",
            Some("Basic realm=\"a\\\"\""),
        ),
        ("L402 macaroon=\"m\", invoice=\"i\", Basic realm=\"a\"", Some("Basic realm=\"a\"")),
        ("Basic realm=\"a, L402 macaroon=\"m\", invoice=\"i\"", None),
        ("Basic realm=\"a\"; lsat macaroon=\"m\", invoice=\"i\"", None),
        ("L402 macaroon=\"m\", invoice=\"i\"", None),
    ] {
        let headers = format!("WWW-Authenticate: {said}\r\n").leak();
        world.upstream.behave(Behaviour::Answer { status: 401, headers, body: Vec::new() });
        let answer = http::get(world.address, "/status");
        assert_eq!(answer.header("www-authenticate"), passed, "{said}");
    }
}

/// As in a browser that keeps what it gets: two lines of HTTP/2 are one of HTTP/1.1.
#[test]
fn cookies_are_one_line() {
    let world = World::new();
    let cookies = [("Cookie", "a=1"), ("Cookie", "b=2")];
    http::send(world.address, "GET", "/status", &cookies, b"");
    let asked = world.upstream.last();
    let lines: Vec<_> = asked.headers.iter().filter(|(name, _)| name == "Cookie").collect();
    assert_eq!(lines, [&("Cookie".to_owned(), "a=1; b=2".to_owned())]);
}
