//! Promise 9: the payer's three steps, to the letter.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::process::Process;
use crate::support::world::PATH;
use crate::support::{Challenge, SMS, World, http, wait_until};

#[test]
fn ask_pay_send_and_send_again() {
    let mut world = World::new();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    assert_eq!(world.upstream.count(), 0, "the first request sends nothing");
    challenge.response.charges_nothing().advises("new-ticket");
    assert_eq!(challenge.response.header("cache-control"), Some("no-store"));
    assert_eq!(challenge.response.header("content-type"), Some("application/json"));
    let body = challenge.response.json();
    assert_eq!(body["priceSats"], 100);
    assert!(body["expiresAt"].as_u64().unwrap() > 1_700_000_000);

    let ticket = payer.pays(&challenge);
    assert_eq!(body["paymentHash"], ticket.payment_hash(), "the invoice is the macaroon's");

    let answer = payer.redeems(&ticket, SMS);
    answer.is_delivered("Okay");
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    for _ in 0..2 {
        payer.redeems(&ticket, SMS).is_replayed("Okay");
        world.crash_and_restart();
    }
    assert_eq!(world.upstream.count(), 1, "one payment, one message");
}

/// White space and key order don't cost money.
#[test]
fn the_upstream_gets_what_was_priced_and_nothing_that_opens_anything() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let answer = payer.sends(
        &[
            ("Authorization", &*ticket.authorization()),
            ("Authorization", "LSAT also:this"),
            ("Macaroon", "0201"),
            ("Connection", "X-Drop-Me"),
            ("X-Drop-Me", "1"),
            ("X-Forwarded-For", "9.9.9.9"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("Range", "bytes=0-1"),
            ("If-None-Match", "*"),
            ("Accept-Encoding", "gzip"),
            ("Accept-Language", "de"),
            ("Cookie", "a=b"),
        ],
        " { \"message\" : \"Hello, this is a test SMS!\",\n \"phone_number\":\"+1234567890\" } ",
    );
    answer.is_delivered("Okay");
    let seen = world.upstream.last();
    assert_eq!(seen.line, "POST /send?account=7 HTTP/1.1");
    assert_eq!(
        seen.body,
        br#"{"message":"Hello, this is a test SMS!","phone_number":"+1234567890"}"#
    );
    let mut names: Vec<String> =
        seen.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accept-encoding",
            "accept-language",
            "authorization",
            "content-length",
            "content-type",
            "farebox-reference",
            "host",
            "traceparent",
            "x-gate"
        ]
    );
    assert_eq!(seen.header("authorization"), Some("Bearer backend-token-hunter2"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    let everything = format!("{seen:?}");
    assert!(!everything.contains(&ticket.macaroon) && !everything.contains("LSAT"));
}

/// The command for step 3 is run by a real shell, with `curl` replaced by something that shows its
/// arguments.
#[test]
fn the_pasted_command_is_safe_and_complete_whatever_the_message() {
    let world = World::new();
    let payer = world.payer();
    for message in [
        r#"it's $HOME `id` $(id) "quoted" \ back\\slash !! 100% ; rm -rf / & | > < * ? ~ # \n"#,
        "line\nbreak\ttab",
        "“ÿ😀”",
        "''''",
        "-d @/etc/passwd",
    ] {
        let body =
            serde_json::json!({ "phone_number": "+1234567890", "message": message }).to_string();
        let challenge = payer.asks(&body);
        let ticket = payer.pays(&challenge);
        let next = challenge.response.json()["next"].as_str().unwrap().to_owned();
        let preimage = &ticket.preimage;
        let script = format!("curl() {{ printf '%s\\0' \"$@\"; }}\nPREIMAGE={preimage}\n{next}\n");
        let shown = Command::new("sh").arg("-c").arg(&script).output().unwrap();
        assert!(shown.status.success() && shown.stderr.is_empty(), "{shown:?}");
        let shown = String::from_utf8(shown.stdout).unwrap();
        let arguments: Vec<&str> = shown.trim_end_matches('\0').split('\0').collect();
        let [flags, x, method, url, h1, content_type, h2, authorization, d, data] = arguments[..]
        else {
            panic!("{arguments:?}")
        };
        assert_eq!(
            (flags, x, method, h1, h2, d),
            ("-sS", "-X", "POST", "-H", "-H", "--data-binary")
        );
        assert_eq!(url, format!("http://localhost:8402{PATH}"));
        assert_eq!(content_type, "Content-Type: application/json");
        assert_eq!(authorization, format!("Authorization: {}", ticket.authorization()));
        // The identical request.
        payer.redeems(&ticket, data).in_case(data).is_delivered("Okay");
    }
    assert_eq!(world.upstream.count(), 5);
}

#[test]
fn the_demo_sells_a_message_with_the_commands_that_it_prints() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Process::start(
        &["demo", "--gate", "127.0.0.1:0", "--wallet", "127.0.0.1:0", "--outbox", "127.0.0.1:0"],
        folder.path(),
    );
    demo.word_after("Ctrl-C ends");
    let printed = demo.output();
    let starts = ["CHALLENGE=", "PREIMAGE=", "curl "];
    let is_command = |line: &&str| starts.iter().any(|start| line.starts_with(start));
    assert_eq!(printed.lines().filter(is_command).count(), 3, "{printed}");
    let address = |marker: &str| -> SocketAddr {
        demo.word_after(marker).split('/').next().unwrap().parse().unwrap()
    };
    let (gate, wallet, outbox) =
        (address("gate    http://"), address("wallet  http://"), address("outbox  http://"));
    let json = ("Content-Type", "application/json");
    wait_until("the demo's node", || {
        http::send(gate, "POST", PATH, &[json], SMS.as_bytes()).status == 402
    });
    let challenge = Challenge::from(http::send(gate, "POST", PATH, &[json], SMS.as_bytes()));
    let paid = http::send(wallet, "POST", "/pay", &[], challenge.invoice.as_bytes()).text();
    let authorization = challenge.with_preimage(paid.trim()).authorization();
    let redeem = || {
        let headers = [json, ("Authorization", &*authorization)];
        http::send(gate, "POST", PATH, &headers, SMS.as_bytes())
    };
    redeem().is_delivered("Okay\n");
    redeem().is_replayed("Okay\n");
    assert_eq!(http::get(outbox, "/outbox").json().as_array().unwrap().len(), 1);
    wait_until("the message on the screen", || demo.output().contains("outbox: "));
    demo.signal("TERM");
    assert!(demo.wait().success());
}

/// The tests speak as a trusted proxy, which ends TLS here.
#[test]
fn behind_a_trusted_proxy_that_ends_tls_the_next_step_is_an_https_url() {
    let world = World::new();
    let payer = world.payer();
    for (headers, url) in [
        (&[("X-Forwarded-Proto", "https")][..], "'https://localhost:8402/"),
        (&[("Forwarded", "for=192.0.2.1;proto=https")], "'https://localhost:8402/"),
        (&[("X-Forwarded-Proto", "http")], "'http://localhost:8402/"),
        (&[], "'http://localhost:8402/"),
    ] {
        let next = payer.sends(headers, SMS).json()["next"].as_str().unwrap().to_owned();
        assert!(next.contains(url), "{headers:?}: {next}");
    }
}
