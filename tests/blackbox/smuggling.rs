//! Promise 1: raw bytes that two parsers could read differently. Each is followed by a clean
//! request; the upstream must see nothing that was not paid.

use crate::support::http::Connection;
use crate::support::{SMS, World, http};

const HEAD: &str =
    "POST /api/l402/send-sms HTTP/1.1\r\nHost: gate.test\r\nContent-Type: application/json\r\n";

#[test]
fn nothing_unpaid_gets_through_however_it_is_framed() {
    let world = World::new();
    let inner = "POST /api/l402/send-sms HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let length = SMS.len();
    let attacks = [
        format!(
            "{HEAD}Content-Length: {length}\r\nTransfer-Encoding: \
                 chunked\r\n\r\n0\r\n\r\n{inner}"
        ),
        format!(
            "{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\n{{}}  \
                 \r\n0\r\n\r\n"
        ),
        format!("{HEAD}Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{SMS}"),
        format!("{HEAD}Content-Length: {length}, {length}\r\n\r\n{SMS}"),
        format!("{HEAD}Content-Length: +{length}\r\n\r\n{SMS}"),
        format!("{HEAD}Content-Length: 0x10\r\n\r\n{SMS}"),
        format!("{HEAD}Transfer-Encoding: xchunked\r\n\r\n{SMS}"),
        format!("{HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{SMS}\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{SMS}\r\n0\r\n\r\n"),
        format!("{HEAD}Host: other\r\nContent-Length: {length}\r\n\r\n{SMS}"),
        "POST http://other/api/l402/send-sms HTTP/1.1\r\nHost: gate.test\r\nContent-Length: \
         0\r\n\r\n"
            .to_owned(),
        "POST /api/l402/send-sms HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("{HEAD}X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        format!("{HEAD}X\0: a\r\nContent-Length: 0\r\n\r\n"),
        "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n".to_owned(),
        format!(
            "{HEAD}Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: \
                 AAMAAABk\r\nContent-Length: 0\r\n\r\n"
        ),
        "GET\t/status\tHTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for attack in &attacks {
        let mut connection = Connection::open(world.address);
        connection.write(attack.as_bytes());
        connection.write(b"GET /status HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n\r\n");
        let mut answers = Vec::new();
        while let Some(answer) = connection.read() {
            answers.push(answer.status);
        }
        assert!(answers.len() <= 3, "{attack:?}: {answers:?}");
        assert!(answers.first().is_none_or(|status| *status >= 400), "{attack:?}: {answers:?}");
        assert_eq!(world.upstream.posts().len(), 0, "{attack:?}");
    }
    // It is still there.
    world.serves_what_is_free();
}

/// A peer answers 402 and passes the request on all the same.
#[test]
fn the_upstream_counts_nothing_for_what_was_not_paid_on_one_kept_connection() {
    let world = World::new();
    let payer = world.payer();
    let spent = payer.buys(SMS);
    payer.redeems(&spent, SMS).is_delivered("Okay");
    let mut connection = Connection::open(world.address);
    for n in 0..20 {
        let authorization = match n % 4 {
            0 => String::new(),
            1 => "Authorization: L402 AAAA:00\r\n".to_owned(),
            2 => "Authorization: Bearer x\r\n".to_owned(),
            _ => format!("Authorization: {}\r\n", spent.authorization()),
        };
        let body = format!(r#"{{"phone_number":"+1234567890","message":"another {n}"}}"#);
        connection.write(
            format!("{HEAD}{authorization}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
        );
        connection.read().unwrap().has_status(402);
    }
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_free_service_gets_the_request_without_what_is_ours_or_the_connection_s() {
    let world = World::new();
    let answer = http::send(
        world.address,
        "POST",
        "/free?a=1&b=%20",
        &[
            ("Authorization", "L402 AAAA:00"),
            ("Authorization", "Bearer mine"),
            ("X-Forwarded-For", "6.6.6.6"),
            ("Forwarded", "for=6.6.6.6"),
            ("X-Real-IP", "6.6.6.6"),
            // What a backend over CGI or WSGI takes for the same.
            ("X_Forwarded_For", "6.6.6.6"),
            ("X-Forwarded_Proto", "https"),
            ("X_Real_IP", "6.6.6.6"),
            ("Transfer_Encoding", "chunked"),
            ("X-Forwarded-Prefix", "/admin"),
            ("Connection", "X-Drop"),
            ("X-Drop", "1"),
            ("TE", "trailers"),
            ("X-Keep", "1"),
        ],
        b"hello",
    );
    answer.is_delivered("Okay");
    let seen = world.upstream.last();
    assert_eq!(seen.line, "POST /free?a=1&b=%20 HTTP/1.1");
    assert_eq!(seen.body, b"hello");
    assert_eq!(
        (seen.header("authorization"), seen.header("x-keep")),
        (Some("Bearer mine"), Some("1"))
    );
    for gone in [
        "forwarded",
        "x-real-ip",
        "x-drop",
        "te",
        "x_forwarded_for",
        "x-forwarded_proto",
        "x_real_ip",
        "transfer_encoding",
        "x-forwarded-prefix",
    ] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    // The peer is a trusted proxy in these tests, and says so.
    assert_eq!(
        (seen.header("x-forwarded-for"), seen.header("x-forwarded-proto")),
        (Some("6.6.6.6"), Some("http"))
    );
    assert_eq!(seen.header("host").unwrap(), world.upstream.address.to_string());
}

/// A body that is cut at the limit must not look like a whole one to the backend.
#[test]
fn a_free_service_s_body_over_the_limit_is_413_and_never_half_forwarded() {
    let world = World::new();
    let long = vec![b'x'; 4 * 16_384 + 1];
    http::send(world.address, "POST", "/free", &[], &long).has_status(413);
    let mut connection = Connection::open(world.address);
    connection
        .write(b"POST /free HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in long.chunks(16_384) {
        connection.write(format!("{:x}\r\n", chunk.len()).as_bytes());
        connection.write(chunk);
        connection.write(b"\r\n");
    }
    connection.write(b"0\r\n\r\n");
    connection.read().unwrap().has_status(413);
    assert_eq!(world.upstream.count(), 0);
    http::send(world.address, "POST", "/free", &[], &long[..65_536]).has_status(200);
}

/// Each read of a single byte has a buffer of its own behind it.
#[test]
fn a_body_in_tiny_pieces_takes_no_more_memory_than_its_bytes() {
    let world = World::new();
    let before = world.gate.resident_bytes();
    let mut connections: Vec<Connection> =
        (0..8).map(|_| Connection::open(world.address)).collect();
    for connection in &mut connections {
        connection.write(format!("{HEAD}Content-Length: 60000\r\n\r\n").as_bytes());
    }
    for _ in 0..2000 {
        for connection in &mut connections {
            connection.write(b"[");
        }
        // So that each byte is read by itself.
        std::thread::sleep(std::time::Duration::from_micros(300));
    }
    let grown = world.gate.resident_bytes().saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes for 16,000");
}
