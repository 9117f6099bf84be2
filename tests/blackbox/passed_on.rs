//! Promise 6: an answer to a pass comes as the upstream gives it, without what is not the payer's,
//! and framed by us.

use crate::support::payer::Ticket;
use crate::support::world::Options;
use crate::support::{Behaviour, Payer, World, http, wait_for};

const SERVICE: &str = r#"
[[service]]
name = "by-time"
method = "GET"
path = "/by-time"
ticket = "pass"
pass_time = "1h"
price_sat = 50
upstream = "http://UPSTREAM/data"
[service.delivered]
status = [304, "2xx"]
"#;

fn world() -> (World, Payer, Ticket) {
    let world = World::with(Options {
        limits: "stored_answer = \"16KiB\"".into(),
        more: SERVICE.into(),
        ..Options::default()
    });
    let payer = world.payer_at("GET", "/by-time");
    let pass = payer.buys("");
    (world, payer, pass)
}

/// All that comes on a connection, to its end.
/// The scripted upstream hangs up after each raw answer, which a free request may meet on a
/// connection that was used before: then it is asked again.
fn raw(world: &World, path: &str, pass: &Ticket) -> String {
    wait_for("an answer of the upstream's", || {
        Some(raw_once(world, path, pass)).filter(|answer| !answer.starts_with("HTTP/1.1 504"))
    })
}

fn raw_once(world: &World, path: &str, pass: &Ticket) -> String {
    let mut stream = std::net::TcpStream::connect(world.address).unwrap();
    let request = http::request("GET", path, &[("Authorization", &pass.authorization())], b"");
    std::io::Write::write_all(&mut stream, &request).unwrap();
    let mut all = Vec::new();
    // It may be reset at the end.
    let _ = std::io::Read::read_to_end(&mut stream, &mut all);
    String::from_utf8(all).unwrap()
}

/// Longer than what is kept of an answer.
#[test]
fn an_answer_is_passed_on_whole_without_what_is_not_the_payer_s() {
    let (world, payer, pass) = world();
    let headers = "Content-Type: text/plain\r\nX-Own: 1\r\nSet-Cookie: \
                   account=1\r\nWWW-Authenticate: L402 macaroon=\"a\", invoice=\"b\"\r\n\
                   Cache-Control: public\r\nAlt-Svc: h3\r\nConnection: x-hop\r\nX-Hop: 1\r\n";
    let long = vec![b'x'; 300_000];
    world.upstream.behave(Behaviour::Answer { status: 201, headers, body: long.clone() });
    let answer = payer.redeems(&pass, "");
    assert_eq!((answer.status, answer.body == long), (201, true));
    assert_eq!(answer.header("x-own"), Some("1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    for name in ["set-cookie", "www-authenticate", "alt-svc", "x-hop"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[test]
fn what_breaks_off_breaks_off_for_the_payer() {
    let (world, _, pass) = world();
    world.upstream.behave(Behaviour::CutShort);
    let cut = raw(&world, "/by-time", &pass);
    assert!(cut.starts_with("HTTP/1.1 200 OK\r\n") && cut.ends_with("\r\n\r\nOkay"), "{cut}");
    assert!(cut.to_ascii_lowercase().contains("content-length: 400\r\n"), "{cut}");
}

/// An upstream's word on how long its answer is may contradict itself.
#[test]
fn chunks_count_before_a_length_and_bear_no_trailers() {
    let (world, _, pass) = world();
    for path in ["/by-time", "/status"] {
        world.upstream.behave(Behaviour::Raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\nTrailer: \
             Set-Cookie\r\n\r\n4\r\nOkay\r\n0\r\nSet-Cookie: a=b\r\n\r\n",
        ));
        let coded = world.payer_at("GET", path).redeems(&pass, "").in_case(path);
        assert_eq!(coded.is_delivered("Okay").header("set-cookie"), None, "{path}");
        assert!(!raw(&world, path, &pass).contains("a=b"), "{path}");
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_passed_on_in_chunks() {
    let (world, _, pass) = world();
    for path in ["/by-time", "/status"] {
        world.upstream.behave(Behaviour::Raw("HTTP/1.0 200 OK\r\n\r\nOkay"));
        let old = raw(&world, path, &pass);
        assert!(
            old.starts_with("HTTP/1.1 200 OK\r\n") && old.ends_with("4\r\nOkay\r\n0\r\n\r\n"),
            "{path}: {old}"
        );
    }
}

#[test]
fn a_length_that_is_said_twice_is_passed_on_once() {
    let (world, _, pass) = world();
    for length in ["4, 4", "4\r\nContent-Length: 4"] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nOkay");
        world.upstream.behave(Behaviour::Raw(answer.leak()));
        let one = raw(&world, "/status", &pass).to_ascii_lowercase();
        assert!(
            one.contains("\r\ncontent-length: 4\r\n") && one.matches("content-length").count() == 1,
            "{one}"
        );
    }
}

/// What is left would be coded by gzip, and nobody told.
#[test]
fn an_answer_in_a_transfer_coding_of_its_own_is_not_passed_on() {
    let (world, ..) = world();
    world.upstream.behave(Behaviour::Raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nOkay\r\n0\r\n\r\n",
    ));
    world.payer_at("GET", "/status").sends(&[], "").has_status(504);
}

#[test]
fn a_304_that_counts_as_delivered_is_an_empty_200() {
    let (world, _, pass) = world();
    world
        .upstream
        .behave(Behaviour::Raw("HTTP/1.1 304 Left As It Was\r\nContent-Length: 400\r\n\r\n"));
    let rewritten = raw(&world, "/by-time", &pass).to_ascii_lowercase();
    assert!(
        rewritten.starts_with("http/1.1 200 ok\r\n") && rewritten.contains("content-length: 0\r\n"),
        "{rewritten}"
    );
}
