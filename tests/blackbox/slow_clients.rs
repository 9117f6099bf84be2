//! Promise 7: clients that take their time: one that never finishes its head is cut, one that reads
//! slowly is not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::payer::Holder as _;
use crate::support::{Behaviour, SMS, World};

/// The limit is 20 s, and nobody is cut before.
#[test]
fn a_head_that_trickles_and_a_silent_connection_are_cut() {
    let world = World::new();
    let mut trickling = TcpStream::connect(world.address).unwrap();
    let mut silent = TcpStream::connect(world.address).unwrap();
    trickling.write_all(b"GET /status HTTP/1.1\r\nHost: gate.test\r\nX: ").unwrap();
    trickling.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let started = Instant::now();
    loop {
        let written = trickling.write_all(b"a");
        match trickling.read(&mut [0; 1024]) {
            Err(error)
                if written.is_ok()
                    && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
        assert!(started.elapsed() < Duration::from_secs(60), "it is never cut");
    }
    assert!(started.elapsed() >= Duration::from_secs(20), "it was cut too soon");
    silent.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0, "the silent one is cut too");
}

/// An answer larger than all the buffers between, of which the client takes a little at a time.
#[test]
fn a_slow_reader_gets_all_of_its_answer() {
    const BODY: usize = 24 << 20;
    let world = World::new();
    world.upstream.behave(Behaviour::Answer { status: 200, headers: "", body: vec![b'x'; BODY] });
    let mut reader = TcpStream::connect(world.address).unwrap();
    reader
        .write_all(b"GET /status HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
    for _ in 0..26 {
        std::thread::sleep(Duration::from_secs(1));
        read += reader.read(&mut buffer).unwrap();
    }
    while let Ok(more @ 1..) = reader.read(&mut buffer) {
        read += more;
    }
    assert!(read > BODY, "{read} bytes of {BODY} and a head");
}

/// As `nc -N` and simple scripts do: they say that they send no more, and wait for the answer.
#[test]
fn a_client_that_has_sent_all_and_says_so_is_answered() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let end = |mut connection: TcpStream| {
        connection.shutdown(Shutdown::Write).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let mut all = String::new();
        connection.read_to_string(&mut all).unwrap();
        all
    };
    let start = |head: &str, body: &str| {
        let length = body.len();
        let mut connection = TcpStream::connect(world.address).unwrap();
        let head = format!(
            "{head} HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
             application/json\r\nContent-Length: {length}\r\n"
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection
    };
    let mut buyer = start("POST /api/l402/send-sms", SMS);
    buyer.write_all(format!("\r\n{SMS}").as_bytes()).unwrap();
    assert!(end(buyer).starts_with("HTTP/1.1 402 "));

    let (challenge, ticket) = (payer.asks(SMS), payer.buys(SMS));
    let body = vec![b'x'; 60_000];
    world.upstream.behave(Behaviour::Stall);
    let mut holder = start("POST /api/l402/send-sms", SMS);
    let authorization = ticket.authorization();
    holder.write_all(format!("Authorization: {authorization}\r\n\r\n{SMS}").as_bytes()).unwrap();
    holder.shutdown(Shutdown::Write).unwrap();
    world.upstream.wait_until_asked();
    world.upstream.release();
    let answer = end(holder);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("Okay"), "{answer}");

    let long = payer.buys(SMS);
    world.upstream.behave(Behaviour::Answer { status: 200, headers: "", body });
    payer.redeems(&long, SMS).has_status(200);
    let mut holder = start("POST /api/l402/send-sms", SMS);
    let authorization = long.authorization();
    holder.write_all(format!("Authorization: {authorization}\r\n\r\n{SMS}").as_bytes()).unwrap();
    assert!(end(holder).ends_with("xxxx"));

    // It may be gone: it isn't waited for.
    let authorization = challenge.authorization();
    let mut waiting = start("GET /l402/status?wait=60&state=unpaid", "");
    waiting.write_all(format!("Authorization: {authorization}\r\n\r\n").as_bytes()).unwrap();
    let asked = Instant::now();
    assert!(end(waiting).contains("\"unpaid\""));
    assert!(asked.elapsed() < Duration::from_secs(30), "it was waited for");
}

#[test]
fn a_request_that_breaks_off_is_not_waited_for() {
    let world = World::new();
    let mut broken = TcpStream::connect(world.address).unwrap();
    let head = "POST /api/l402/send-sms HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    broken.write_all(head.as_bytes()).unwrap();
    broken.shutdown(Shutdown::Write).unwrap();
    let asked = Instant::now();
    let _ = broken.read_to_end(&mut Vec::new());
    assert!(asked.elapsed() < Duration::from_secs(15), "it was waited for");
}
