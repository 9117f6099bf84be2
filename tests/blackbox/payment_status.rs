//! Promise 9: `/l402/status` says how a challenge stands, to a client that holds its macaroon and
//! to nobody else.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::payer::{Holder as _, STATUS};
use crate::support::{Behaviour, Challenge, SMS, World, http};

const OTHER: &str = r#"{"phone_number":"+1234567890","message":"another"}"#;

/// A challenge that the gate knows to be paid, and its preimage.
fn paid(world: &World) -> (Challenge, String) {
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let ticket = payer.pays(&challenge);
    payer.waits_until(&challenge, "paid");
    (challenge, ticket.preimage)
}

#[test]
fn a_holder_hears_of_the_payment_and_gets_the_preimage() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let before = payer.asks_for_status(&challenge);
    assert_eq!(before.json()["state"], "unpaid");
    assert_eq!(before.header("l402-preimage"), None, "an open invoice has one too");
    assert_eq!(before.header("cache-control"), Some("no-store"));
    let preimage = payer.pays(&challenge).preimage;
    payer.waits_until(&challenge, "paid");
    let paid = payer.asks_for_status(&challenge);
    assert_eq!(paid.header("l402-preimage"), Some(preimage.as_str()));
    assert!(!paid.text().contains(&preimage), "never in a body");
    assert_eq!(world.upstream.count(), 0, "hearing of it sends nothing");
}

/// The macaroon alone does, where the service allows it.
#[test]
fn a_holder_sees_the_message_go_and_arrive() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let (challenge, preimage) = paid(&world);
    world.upstream.behave(Behaviour::Stall);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| payer.sends_macaroon_alone(&challenge, SMS));
        payer.waits_until(&challenge, "sending");
        world.upstream.release();
        sending.join().unwrap().is_delivered("Okay");
    });
    payer.waits_until(&challenge, "delivered");
    let delivered = payer.asks_for_status(&challenge);
    assert_eq!(delivered.header("l402-preimage"), Some(preimage.as_str()));
    payer.redeems(&challenge.with_preimage(&preimage), SMS).is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_holder_sees_that_its_ticket_is_parked() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    world.upstream.behave(Behaviour::status(500, "oops"));
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    assert_eq!(payer.state_of(&ticket), "parked");
}

#[test]
fn a_holder_sees_that_its_ticket_is_free_again() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    world.upstream.behave(Behaviour::status(400, "no"));
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(502, "upstream-refused");
    assert_eq!(payer.state_of(&ticket), "paid", "free again");
}

#[test]
fn a_client_without_a_genuine_macaroon_hears_nothing() {
    let (_play, world) = World::watching();
    let (challenge, _) = paid(&world);
    let mut forged = challenge.macaroon.clone().into_bytes();
    let middle = forged.len() / 2;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for (authorization, expected) in [
        (format!("L402 {forged}:"), 403),
        ("L402 AAAA:".to_owned(), 403),
        ("Bearer x".to_owned(), 400),
    ] {
        let headers = [("Authorization", &*authorization)];
        let answer = http::send(world.address, "GET", STATUS, &headers, b"");
        answer.has_status(expected).bears_no_challenge();
        assert!(answer.header("l402-preimage").is_none());
    }
    assert_eq!(http::get(world.address, STATUS).status, 400);
}

#[test]
fn the_status_is_read_by_get_only_and_with_known_queries_only() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    http::send(world.address, "POST", STATUS, &[], b"").has_status(405);
    http::send(world.address, "OPTIONS", STATUS, &[], b"").has_status(204);
    payer.asks_for_status_by(&challenge, "?wait=999").has_status(400);
    payer.asks_for_status_by(&challenge, "?preimage=1").has_status(400);
}

#[test]
fn nothing_is_told_where_payments_are_not_detected() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    payer.asks_for_status(&ticket).has_status(404);
}

#[test]
fn a_macaroon_alone_opens_its_own_request_only() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let unpaid = payer.asks(SMS);
    let other = Challenge::from(payer.sends_macaroon_alone(&unpaid, OTHER));
    other.is_not(&unpaid);
    let (challenge, _) = paid(&world);
    payer.sends_macaroon_alone(&challenge, OTHER).has_status(402);
    assert_eq!(world.upstream.count(), 0);
}

/// Where it isn't allowed, the node's word is not asked for.
#[test]
fn a_paid_macaroon_alone_opens_nothing_where_the_service_does_not_allow_it() {
    let world = World::new();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    payer.pays(&challenge);
    payer.sends_macaroon_alone(&challenge, SMS).has_status(402);
}

#[test]
fn a_long_poll_waits_as_long_as_it_is_asked_to() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let started = Instant::now();
    assert_eq!(payer.asks_for_status_by(&challenge, "?wait=1").json()["state"], "unpaid");
    assert!(started.elapsed() >= Duration::from_secs(1), "it waits as long as it is asked to");
}

#[test]
fn a_long_poll_ends_with_the_payment() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| payer.asks_for_status_by(&challenge, "?wait=30&state=unpaid"));
        let started = Instant::now();
        payer.pays(&challenge);
        let polled = poll.join().unwrap();
        assert_eq!(polled.json()["state"], "paid");
        assert!(polled.header("l402-preimage").is_some());
        assert!(started.elapsed() < Duration::from_secs(20), "it ended with the payment");
    });
    assert_eq!(
        payer.asks_for_status_by(&challenge, "?wait=30&state=unpaid").json()["state"],
        "paid",
        "what is news is told at once"
    );
}

#[test]
fn a_stream_tells_each_state() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let mut stream = BufReader::new(TcpStream::connect(world.address).unwrap());
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "GET {STATUS} HTTP/1.1\r\nHost: gate.test\r\nAccept: text/event-stream\r\nAuthorization: \
         {}\r\n\r\n",
        challenge.authorization()
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let mut until = |wanted: &str| {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended before {wanted}");
        }
    };
    until("text/event-stream");
    until("\"unpaid\"");
    payer.pays(&challenge);
    until("\"paid\"");
    payer.sends_macaroon_alone(&challenge, SMS).is_delivered("Okay");
    until("\"delivered\"");
}
