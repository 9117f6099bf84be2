//! Passes: one payment, any requests for a time, or a number of them.

use crate::support::world::Options;
use crate::support::{Behaviour, Challenge, Response, World, http, wait_for, wait_until};

const SERVICES: &str = r#"
[[service]]
name = "once"
method = "GET"
path = "/once"
ticket = "pass"
pass_time = "1h"
pass_uses = 1
price_sat = 50
upstream = "http://UPSTREAM/data"

[[service]]
name = "by-time"
method = "GET"
path = "/by-time"
ticket = "pass"
pass_time = "1h"
price_sat = 50
upstream = "http://UPSTREAM/data"

[[service]]
name = "short"
method = "GET"
path = "/short"
ticket = "pass"
pass_time = "1s"
price_sat = 50
upstream = "http://UPSTREAM/data"

[[service]]
name = "counted"
method = "POST"
path = "/counted"
ticket = "pass"
pass_time = "1h"
pass_uses = 5
price_sat = 50
upstream = "http://UPSTREAM/data"
[service.input]
type = "object"
required = ["q"]
additionalProperties = false
properties = { q = { type = "string" } }
"#;

fn world() -> World {
    World::with(Options {
        more: SERVICES.into(),
        lnd: "invoice_expiry = \"10s\"".into(),
        ..Options::default()
    })
}

fn call(world: &World, path: &str, ticket: Option<&str>) -> Response {
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(ticket.map(|ticket| ("Authorization", ticket)));
    if path == "/counted" {
        http::send(world.address, "POST", path, &headers, br#"{"q":"x"}"#)
    } else {
        http::send(world.address, "GET", path, &headers[1..], b"")
    }
}

fn buy(world: &World, path: &str) -> (Challenge, String) {
    let challenge = Challenge::from(call(world, path, None));
    let ticket = format!("L402 {}:{}", challenge.macaroon, world.pay(&challenge));
    (challenge, ticket)
}

#[test]
fn a_pass_opens_its_service_for_its_time_and_no_other() {
    let mut world = world();
    let (challenge, pass) = buy(&world, "/by-time");
    assert!(
        challenge.response.json()["passUntil"].as_u64().unwrap()
            > challenge.response.json()["expiresAt"].as_u64().unwrap()
    );
    for n in 1..=20 {
        assert_eq!(call(&world, "/by-time", Some(&pass)).text(), "Okay");
        assert_eq!(world.upstream.count(), n);
    }
    assert_eq!(call(&world, "/counted", Some(&pass)).code(), "ticket-for-another-service");
    assert_eq!(call(&world, "/short", Some(&pass)).code(), "ticket-for-another-service");
    world.crash_and_restart();
    wait_until("the pass to be taken again", || {
        call(&world, "/by-time", Some(&pass)).status == 200
    });
    assert_eq!(
        crate::support::http::get(world.ops, "/tickets").json().as_array().unwrap().len(),
        0,
        "it writes nothing"
    );
    world.upstream.behave(Behaviour::status(404, "no such thing"));
    assert_eq!(call(&world, "/by-time", Some(&pass)).json()["upstreamStatus"], 404);
    world.upstream.behave(Behaviour::CloseAfterReading);
    let lost = call(&world, "/by-time", Some(&pass));
    assert_eq!((lost.status, lost.json()["charged"].as_bool()), (504, Some(false)));
    let (_, short) = buy(&world, "/short");
    world.upstream.behave(Behaviour::okay());
    assert_eq!(call(&world, "/short", Some(&short)).status, 200);
    wait_until("its end", || call(&world, "/short", Some(&short)).status == 402);
    assert_eq!(call(&world, "/short", Some(&short)).code(), "ticket-expired");
}

#[test]
fn a_pass_that_is_used_is_no_unpaid_challenge_any_more() {
    let world = World::with(Options {
        more: SERVICES.into(),
        limits: "unpaid_per_client = 1".into(),
        ..Options::default()
    });
    let (_, ticket) = buy(&world, "/by-time");
    assert_eq!(call(&world, "/by-time", None).status, 429);
    assert_eq!(call(&world, "/by-time", Some(&ticket)).status, 200);
    assert_eq!(call(&world, "/by-time", None).status, 402);
}

#[test]
fn a_counted_pass_has_its_uses_and_not_one_more() {
    let mut world = world();
    let (challenge, pass) = buy(&world, "/counted");
    assert_eq!(challenge.response.json()["passUses"], 5);
    let bad = http::send(
        world.address,
        "POST",
        "/counted",
        &[("Content-Type", "application/json"), ("Authorization", &pass)],
        b"{}",
    );
    assert_eq!(bad.status, 400, "every use is validated");
    assert_eq!(call(&world, "/counted", Some(&pass)).status, 200);
    world.crash_and_restart();
    // A refusal gives its use back, nobody knows keeps it.
    world.upstream.behave(Behaviour::status(400, "no"));
    wait_until("a refusal", || call(&world, "/counted", Some(&pass)).code() == "upstream-refused");
    world.upstream.behave(Behaviour::CloseAfterReading);
    assert_eq!(call(&world, "/counted", Some(&pass)).code(), "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    let before = world.upstream.count();
    let together = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| {
                together.lock().unwrap().push(call(&world, "/counted", Some(&pass)).status)
            });
        }
    });
    let served = together.into_inner().unwrap().iter().filter(|status| **status == 200).count();
    assert!(served <= 3, "{served}");
    wait_until("the last use, which was given back", || {
        call(&world, "/counted", Some(&pass));
        world.upstream.count() - before == 3
    });
    // One may come back: nobody is asked to pay for another pass as long as that isn't known.
    let is_left = || call(&world, "/counted", Some(&pass)).code() == "outcome-unknown";
    wait_until("no use to be left but the parked one", is_left);
    world.crash_and_restart();
    let is_left = || call(&world, "/counted", Some(&pass)).code() == "outcome-unknown";
    wait_until("the same after a restart", is_left);
    let parked = http::get(world.ops, "/tickets?state=parked").json();
    let ticket = parked[0]["ticket"].as_str().unwrap().to_owned();
    http::send(world.ops, "POST", &format!("/tickets/{ticket}/delivered"), &[], b"");
    wait_until("no use to be left", || {
        call(&world, "/counted", Some(&pass)).code() == "ticket-spent"
    });
    assert_eq!(world.upstream.count() - before, 3, "one before, one parked, three now");
}

#[test]
fn a_revoked_pass_is_worthless() {
    let world = world();
    let (challenge, pass) = buy(&world, "/by-time");
    assert_eq!(call(&world, "/by-time", Some(&pass)).status, 200);
    let hash = challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
    http::send(world.ops, "POST", &format!("/tickets/{hash}/revoke"), &[], b"");
    assert_eq!(call(&world, "/by-time", Some(&pass)).code(), "ticket-revoked");
}

/// Nobody is asked to pay twice: a use that is under way may be given back, and one that was is
/// there again.
#[test]
fn a_pass_whose_last_use_may_come_back_is_not_spent() {
    let world = world();
    let (_, pass) = buy(&world, "/once");
    world.upstream.behave(Behaviour::status(400, "no"));
    assert_eq!(call(&world, "/once", Some(&pass)).code(), "upstream-refused");
    assert_eq!(call(&world, "/once", Some(&pass)).code(), "retry-later");
    world.upstream.behave(Behaviour::Stall);
    let before = world.upstream.count();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            crate::support::wait_for("its turn", || {
                Some(call(&world, "/once", Some(&pass))).filter(|answer| answer.status != 429)
            })
        });
        wait_until("the upstream to be asked", || world.upstream.count() > before);
        let second = call(&world, "/once", Some(&pass));
        assert_eq!((second.status, second.code().as_str()), (409, "in-flight"));
        world.upstream.release();
        assert_eq!(first.join().unwrap().text(), "Okay");
    });
    assert_eq!(call(&world, "/once", Some(&pass)).code(), "ticket-spent");
}

#[test]
fn the_answer_to_a_pass_comes_as_the_upstream_gives_it_without_what_is_not_the_payer_s() {
    let world = World::with(Options {
        limits: "stored_answer = \"16KiB\"".into(),
        more: SERVICES.into(),
        ..Options::default()
    });
    let (_, pass) = buy(&world, "/by-time");
    let headers = "Content-Type: text/plain\r\nX-Own: 1\r\nSet-Cookie: \
                   account=1\r\nWWW-Authenticate: L402 macaroon=\"a\", invoice=\"b\"\r\n\
                   Cache-Control: public\r\nAlt-Svc: h3\r\nConnection: x-hop\r\nX-Hop: 1\r\n";
    let long = vec![b'x'; 300_000];
    world.upstream.behave(Behaviour::Answer { status: 201, headers, body: long.clone() });
    let answer = call(&world, "/by-time", Some(&pass));
    assert_eq!(
        (answer.status, answer.body == long),
        (201, true),
        "longer than what is kept of an answer"
    );
    assert_eq!(
        (answer.header("x-own"), answer.header("cache-control")),
        (Some("1"), Some("no-store"))
    );
    for name in ["set-cookie", "www-authenticate", "alt-svc", "x-hop"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    world.upstream.behave(Behaviour::CutShort);
    let cut = raw(&world, "/by-time", &pass);
    assert!(
        cut.starts_with("HTTP/1.1 200 OK\r\n") && cut.ends_with("\r\n\r\nOkay"),
        "what breaks off breaks off for the payer: {cut}"
    );
    assert!(cut.to_ascii_lowercase().contains("content-length: 400\r\n"), "{cut}");
}

/// All that comes on a connection, to its end.
/// The scripted upstream hangs up after each raw answer, which a free request may meet on a
/// connection that was used before: then it is asked again.
fn raw(world: &World, path: &str, ticket: &str) -> String {
    wait_for("an answer of the upstream's", || {
        Some(raw_once(world, path, ticket)).filter(|answer| !answer.starts_with("HTTP/1.1 504"))
    })
}

fn raw_once(world: &World, path: &str, ticket: &str) -> String {
    let mut stream = std::net::TcpStream::connect(world.address).unwrap();
    let request = http::request("GET", path, &[("Authorization", ticket)], b"");
    std::io::Write::write_all(&mut stream, &request).unwrap();
    let mut all = Vec::new();
    // It may be reset at the end.
    let _ = std::io::Read::read_to_end(&mut stream, &mut all);
    String::from_utf8(all).unwrap()
}

/// How long an answer is, is said by us: an upstream's word on it may contradict itself.
#[test]
fn the_framing_of_what_is_passed_on_is_ours() {
    let odd = "[service.delivered]\nstatus = [304, 200]\n";
    let by_time =
        SERVICES.split("[[service]]").find(|service| service.contains("/by-time")).unwrap();
    let world =
        World::with(Options { more: format!("[[service]]{by_time}{odd}"), ..Options::default() });
    let (_, pass) = buy(&world, "/by-time");
    for path in ["/by-time", "/status"] {
        world.upstream.behave(Behaviour::Raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\nTrailer: \
             Set-Cookie\r\n\r\n4\r\nOkay\r\n0\r\nSet-Cookie: a=b\r\n\r\n",
        ));
        let coded = call(&world, path, Some(&pass));
        assert_eq!(
            (coded.status, coded.text().as_str(), coded.header("set-cookie")),
            (200, "Okay", None),
            "{path}"
        );
        assert!(!raw(&world, path, &pass).contains("a=b"), "{path}");
        world.upstream.behave(Behaviour::Raw("HTTP/1.0 200 OK\r\n\r\nOkay"));
        let old = raw(&world, path, &pass);
        assert!(
            old.starts_with("HTTP/1.1 200 OK\r\n") && old.ends_with("4\r\nOkay\r\n0\r\n\r\n"),
            "{path}: {old}"
        );
    }
    for length in ["4, 4", "4\r\nContent-Length: 4"] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nOkay");
        world.upstream.behave(Behaviour::Raw(answer.leak()));
        let one = raw(&world, "/status", &pass).to_ascii_lowercase();
        assert!(
            one.contains("\r\ncontent-length: 4\r\n") && one.matches("content-length").count() == 1,
            "{one}"
        );
    }
    world.upstream.behave(Behaviour::Raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nOkay\r\n0\r\n\r\n",
    ));
    assert_eq!(
        call(&world, "/status", None).status,
        504,
        "what is left would be coded by gzip, and nobody told"
    );
    world
        .upstream
        .behave(Behaviour::Raw("HTTP/1.1 304 Left As It Was\r\nContent-Length: 400\r\n\r\n"));
    let rewritten = raw(&world, "/by-time", &pass).to_ascii_lowercase();
    assert!(
        rewritten.starts_with("http/1.1 200 ok\r\n") && rewritten.contains("content-length: 0\r\n"),
        "{rewritten}"
    );
}
