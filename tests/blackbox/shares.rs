//! Promise 7: one stranger, or one ticket, doesn't use up what all share; and what the system gives
//! is shared out before it is gone.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;

use crate::support::config::PASS;
use crate::support::payer::Holder as _;
use crate::support::process::FILES;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, http, wait_until};
use crate::tls::{client, tls_world_with};

/// As for a gate without a proxy in front: what comes from this machine is a stranger.
fn without_proxy(mut world: World) -> World {
    world.stop();
    world.write_config("farebox.toml", &[("trusted_proxies = [\"127.0.0.1\"]", "")]);
    world.restart();
    world
}

fn silent(world: &World, connections: usize) -> Vec<TcpStream> {
    (0..connections).map(|_| TcpStream::connect(world.address).unwrap()).collect()
}

/// Whether the other side has closed it.
fn is_closed(connection: &mut TcpStream) -> bool {
    connection.set_nonblocking(true).unwrap();
    let read = connection.read(&mut [0]);
    !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn silent_connections_do_not_take_the_files_of_those_who_pay() {
    let environment = vec![(FILES, "256".to_owned())];
    let world = without_proxy(World::with(Options { environment, ..Options::default() }));
    world.gate.wait_until_it_says("the system lets this process open so many files only");
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let held = silent(&world, 600);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    assert_eq!(world.ready()["upstreams"]["send-sms"]["status"], "ok");
    assert_eq!(http::get(world.ops, "/healthz").status, 200);
    let lines = world.gate.output();
    assert!(lines.matches("could not be accepted").count() < 5, "the log is not filled");
    drop(held);
}

#[test]
fn a_client_has_its_share_of_connections() {
    let limits = "connections_per_client = 5".into();
    let world = without_proxy(World::with(Options { limits, ..Options::default() }));
    // Connections that have sent a whole head are kept.
    let mut spoke: Vec<TcpStream> = silent(&world, 5);
    for connection in &mut spoke {
        connection.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(connection.read(&mut [0; 1000]).unwrap() > 0);
    }
    let mut one_more = silent(&world, 1);
    wait_until("it to be closed", || is_closed(&mut one_more[0]));
    assert!(!spoke.iter_mut().any(is_closed));
    spoke.truncate(4);
    // Of those that haven't, the oldest goes for the newest.
    let mut first = silent(&world, 1);
    wait_until("a place", || http::try_send(world.address, "GET", "/status", &[], b"").is_some());
    wait_until("the oldest to be closed", || is_closed(&mut first[0]));
}

#[test]
fn where_places_are_short_the_oldest_silent_connection_goes() {
    let limits = "connections = 4".into();
    let world = World::with(Options { limits, ..Options::default() });
    let mut held = silent(&world, 4);
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    wait_until("the oldest to be closed", || is_closed(&mut held[0]));
    assert!(!held[1..].iter_mut().any(is_closed), "one is enough");
}

/// A stranger's streams on one connection, each with as many fields, of which no body comes.
async fn stall_requests(
    world: &World,
    folder: &std::path::Path,
    streams: usize,
    fields: usize,
    value: &str,
) -> Vec<u16> {
    let socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let config = Arc::new(client(&folder.join("gate.crt"), b"h2"));
    let stream = tokio_rustls::TlsConnector::from(config)
        .connect(ServerName::try_from("localhost").unwrap(), socket)
        .await
        .unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..streams {
        let mut request = hyper::Request::post("https://localhost/api/l402/send-sms")
            .header("content-type", "application/json");
        for _ in 0..fields {
            request = request.header("a", value);
        }
        let endless = tokio_stream::pending::<Result<hyper::body::Frame<Bytes>, std::io::Error>>();
        let request = request.body(StreamBody::new(endless)).unwrap();
        let mut sender = sender.clone();
        asked.spawn(async move {
            let answered = sender.send_request(request);
            let answer = tokio::time::timeout(Duration::from_secs(2), answered).await;
            answer.ok().and_then(Result::ok).map_or(0, |answer| answer.status().as_u16())
        });
    }
    asked.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_fields_take_no_memory() {
    let (world, folder) = tls_world_with(Options::default());
    stall_requests(&world, folder.path(), 8, 1, "").await;
    let before = world.gate.resident_bytes();
    let mut all = Vec::new();
    let mut largest = 0;
    for _ in 0..10 {
        all.extend(stall_requests(&world, folder.path(), 128, 900, "").await);
        largest = largest.max(world.gate.resident_bytes());
    }
    assert!(all.iter().all(|status| *status == 431), "{all:?}");
    let grown = largest.saturating_sub(before) >> 20;
    assert!(grown < 64, "{grown} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_its_share_of_requests_that_are_being_read() {
    let (world, folder) = tls_world_with(Options::default());
    let value = "a".repeat(200);
    let (one, other) = tokio::join!(
        stall_requests(&world, folder.path(), 100, 60, &value),
        stall_requests(&world, folder.path(), 100, 60, &value),
    );
    let count = |status| one.iter().chain(&other).filter(|one| **one == status).count();
    assert_eq!((count(0), count(503)), (128, 72), "{one:?} {other:?}");
}

#[test]
fn a_client_has_its_share_of_those_who_wait() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let challenges: Vec<_> = (0..14).map(|_| payer.asks(SMS)).collect();
    let wait = |client: &str, n: usize| {
        let mut stream = BufReader::new(TcpStream::connect(world.address).unwrap());
        let authorization = challenges[n % challenges.len()].authorization();
        let head = format!(
            "GET /l402/status HTTP/1.1\r\nHost: localhost\r\nAccept: \
             text/event-stream\r\nX-Forwarded-For: {client}\r\nAuthorization: \
             {authorization}\r\n\r\n"
        );
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        (line, stream)
    };
    let held: Vec<_> = (0..100).map(|n| wait("192.0.2.1", n)).collect();
    assert!(held.iter().all(|(line, _)| line.contains("200")));
    assert!(wait("192.0.2.1", 100).0.contains("503"), "it has its share");
    assert!(wait("192.0.2.2", 101).0.contains("200"), "another has a place");
    let site = |n: usize| wait(&format!("2001:db8:7:{n:x}::1"), n).0;
    assert!(site(9).contains("200"));
}

#[test]
fn a_48_does_not_take_the_unpaid_places_of_all() {
    let limits = "unpaid_per_client = 2\nunpaid_total = 8".into();
    let world = World::with(Options { limits, ..Options::default() });
    let ask = |client: &str| world.payer().sends(&[("X-Forwarded-For", client)], SMS).status;
    for n in 0..5 {
        ask(&format!("2001:db8:7:{n:x}::1"));
        ask(&format!("2001:db8:7:{n:x}::2"));
    }
    assert_eq!(ask("2001:db8:7:9::1"), 429);
    assert_eq!(ask("192.0.2.1"), 402, "there is room for others");
    assert_eq!(ask("2001:db8:8::1"), 402);
}

const COUNTED: &str = r#"
[[service]]
name = "by-uses"
method = "GET"
path = "/by-uses"
ticket = "pass"
pass_time = "1h"
pass_uses = 9
price_sat = 50
upstream = "http://UPSTREAM/data"
"#;

#[test]
fn one_pass_does_not_take_all_places_at_the_backend() {
    let limits = "redemptions = 8".into();
    for path in ["/by-time", "/by-uses"] {
        let limits = String::clone(&limits);
        let more = [PASS, COUNTED].concat();
        let world = World::with(Options { limits, more, ..Options::default() });
        let payer = world.payer_at("GET", path);
        let (greedy, other) = (payer.buys(""), payer.buys(""));
        world.upstream.behave(Behaviour::Stall);
        let held: Vec<_> = (0..2).map(|_| payer.starts_to_redeem(&greedy, "")).collect();
        wait_until("both to be under way", || world.upstream.count() == 2);
        world.upstream.behave(Behaviour::okay());
        payer.redeems(&greedy, "").in_case(path).is(503, "too-busy").advises("same-ticket");
        payer.redeems(&other, "").in_case(path).is_delivered("Okay");
        world.upstream.release();
        drop(held);
        wait_until("its share to be free", || payer.redeems(&greedy, "").status == 200);
    }
}

#[test]
fn one_client_does_not_take_all_places_at_a_free_backend() {
    let limits = "redemptions = 8".into();
    let world = World::with(Options { limits, ..Options::default() });
    world.upstream.behave(Behaviour::Stall);
    let ask = |client: &str| {
        let mut connection = http::Connection::open(world.address);
        let from = [("X-Forwarded-For", client)];
        connection.write(&http::request("GET", "/status", &from, b""));
        connection
    };
    let mut held = [ask("192.0.2.1"), ask("192.0.2.1")];
    wait_until("both to be under way", || world.upstream.count() == 2);
    world.upstream.behave(Behaviour::okay());
    assert_eq!(ask("192.0.2.1").read().unwrap().code(), "too-busy");
    assert_eq!(ask("192.0.2.2").read().unwrap().status, 200);
    world.upstream.release();
    assert!(held.iter_mut().all(|one| one.read().unwrap().status == 200));
}
