//! What can't be delivered is not sold, nobody pays twice, and what may be had without paying has a
//! limit.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::world::{Options, PATH, Play};
use crate::support::{SMS, World, http, wait_until};

#[test]
fn what_a_service_would_refuse_gets_no_invoice() {
    let world = World::new();
    let long = format!(r#"{{"phone_number":"+1234567890","message":"{}"}}"#, "x".repeat(121));
    let huge = format!(r#"{{"phone_number":"+1234567890","message":"{}"}}"#, "x".repeat(70_000));
    let sms = |number: &str| format!(r#"{{"phone_number":"{number}","message":"x"}}"#);
    let json = "application/json";
    for (status, content_type, body) in [
        (400, json, long.as_str()),
        (413, json, &huge),
        (400, json, &sms("1234567890")),
        (400, json, &sms("+0234567890")),
        (400, json, &sms("+1234567890,+1234567891")),
        (400, json, r#"{"phone_number":"+1234567890","message":""}"#),
        (400, json, r#"{"phone_number":"+1234567890"}"#),
        (400, json, r#"{"phone_number":"+1234567890","message":"x","to":"+1"}"#),
        (400, json, r#"{"phone_number":"+1234567890","phone_number":"+1234567891","message":"x"}"#),
        (
            400,
            json,
            r#"{"phone_number":"+1234567890","phone\u005fnumber":"+1234567891","message":"x"}"#,
        ),
        (400, json, "{"),
        (400, json, ""),
        (400, json, "[]"),
        (415, "text/plain", SMS),
        (415, "application/x-www-form-urlencoded", SMS),
        (415, "application/json; charset=latin1", SMS),
    ] {
        let answer = http::send(
            world.address,
            "POST",
            PATH,
            &[("Content-Type", content_type)],
            body.as_bytes(),
        );
        assert_eq!(answer.status, status, "{body:.100}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["retry"], "never");
        assert!(answer.header("www-authenticate").is_none());
    }
    let gzip = [("Content-Type", json), ("Content-Encoding", "gzip")];
    assert_eq!(http::send(world.address, "POST", PATH, &gzip, SMS.as_bytes()).status, 415);
    let query = http::send(
        world.address,
        "POST",
        &format!("{PATH}?to=%2B1999"),
        &[("Content-Type", json)],
        SMS.as_bytes(),
    );
    assert_eq!((query.status, query.code().as_str()), (400, "unexpected-query"));
    assert_eq!(
        http::send(world.address, "PUT", PATH, &[("Content-Type", json)], SMS.as_bytes()).status,
        405
    );
    assert_eq!(http::send(world.address, "HEAD", "/status", &[], b"").status, 405);
    for path in [
        "/api/l402/send-sms/",
        "/api/l402/%73end-sms",
        "/api//l402/send-sms",
        "/api/l402/x/../send-sms",
        "/API/l402/send-sms",
    ] {
        assert_eq!(
            http::send(world.address, "POST", path, &[("Content-Type", json)], SMS.as_bytes())
                .status,
            404,
            "{path}"
        );
    }
    assert_eq!(world.metric("farebox_challenges_total{service=\"send-sms\"}"), 0.0);
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn unpaid_invoices_have_a_limit_per_client_and_in_all() {
    let world = World::with(Options {
        limits: "unpaid_per_client = 3\nunpaid_total = 5".into(),
        ..Options::default()
    });
    let ask = |client: &str| world.post(&[("X-Forwarded-For", client)], SMS);
    let challenges: Vec<_> = (0..3).map(|_| ask("192.0.2.1")).collect();
    assert!(challenges.iter().all(|answer| answer.status == 402));
    let asked = std::time::Instant::now();
    let refused = ask("192.0.2.1");
    assert_eq!((refused.status, refused.code().as_str()), (429, "too-many-unpaid"));
    assert!(
        asked.elapsed() > std::time::Duration::from_millis(900),
        "who asks again and again is put off"
    );
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=600).contains(&wait));
    assert_eq!(
        ask("6.6.6.6, 192.0.2.1").status,
        429,
        "what the client itself wrote is not believed"
    );
    assert_eq!(ask("2001:db8::1").status, 402);
    assert_eq!(ask("2001:db8::2").status, 402);
    assert_eq!(ask("192.0.2.9").status, 429, "the limit in all");
    let challenge = crate::support::Challenge::from(challenges[0].clone());
    let ticket = format!("L402 {}:{}", challenge.macaroon, world.pay(&challenge));
    assert_eq!(world.redeem(&ticket, SMS).status, 200, "redeeming is not limited");
    assert_eq!(ask("192.0.2.1").status, 402, "and makes room");
}

/// Promise 5 holds for who was put off, too.
#[test]
fn what_goes_down_while_a_buyer_is_put_off_is_not_sold() {
    let world = World::with(Options {
        limits: "unpaid_per_client = 10\nunpaid_total = 10".into(),
        ..Options::default()
    });
    let (_, ticket) = world.buy(SMS);
    for _ in 0..8 {
        assert_eq!(world.post(&[], SMS).status, 402);
    }
    std::thread::scope(|scope| {
        let put_off = scope.spawn(|| world.post(&[], SMS));
        wait_until("the buyer to have a place", || {
            world.metric("farebox_unpaid_challenges") == 10.0
        });
        world.upstream.stop();
        assert_eq!(
            world.redeem(&ticket, SMS).code(),
            "upstream-unreachable",
            "which shows that it is down"
        );
        let answer = put_off.join().unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (503, "upstream-down"));
    });
}

#[test]
fn it_starts_without_a_node_sells_nothing_and_heals() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let address = play.grpc;
    drop(play);
    let world = World::with(Options {
        node: Some((address, lnd.path().join("lnd"))),
        ..Options::default()
    });
    world.wait_until_node_is("unreachable");
    let answer = world.post(&[], SMS);
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.header("www-authenticate")),
        (503, "node-down", None)
    );
    assert_eq!(http::get(world.address, "/status").status, 200, "free services go on");
    assert_eq!(world.ready()["status"], "degraded");
    let play = Play::start_at(lnd.path(), &address.to_string());
    wait_until("the sale to open", || world.post(&[], SMS).status == 402);
    // The node goes again: what is paid is redeemed all the same.
    let challenge = world.ask(SMS);
    let preimage = play.pay(&challenge.invoice).text();
    drop(play);
    wait_until("sales to stop", || world.post(&[], SMS).status == 503);
    assert_eq!(
        world.redeem(&format!("L402 {}:{}", challenge.macaroon, preimage.trim()), SMS).status,
        200
    );
}

#[test]
fn another_node_s_certificate_or_macaroon_is_refused_and_named() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (node, stranger) = (Play::start(ours.path()), Play::start(theirs.path()));
    let world = World::with(Options {
        node: Some((node.grpc, stranger.folder.clone())),
        ..Options::default()
    });
    world.wait_until_node_is("certificate");
    assert_eq!(world.post(&[], SMS).code(), "node-down");
    // The right certificate with the stranger's macaroon.
    std::fs::copy(node.folder.join("tls.cert"), stranger.folder.join("tls.cert")).unwrap();
    world.wait_until_node_is("macaroon");
    assert_eq!(world.post(&[], SMS).code(), "node-down");
    let macaroon = "data/chain/bitcoin/regtest/invoice.macaroon";
    std::fs::copy(node.folder.join(macaroon), stranger.folder.join(macaroon)).unwrap();
    wait_until("the sale to open", || world.post(&[], SMS).status == 402);
}

#[test]
fn an_invoice_of_another_network_is_no_challenge() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let world =
        World::with(Options { node: Some((play.grpc, play.folder.clone())), ..Options::default() });
    world.wait_until_node_is("ok");
    let path = world.folder.path().join("farebox.toml");
    let config = std::fs::read_to_string(&path).unwrap().replace("\"regtest\"", "\"mainnet\"");
    drop(world.gate);
    std::fs::write(&path, config).unwrap();
    let gate = crate::support::process::Process::start(
        &["serve", "--config", "farebox.toml"],
        world.folder.path(),
    );
    let address = gate.word_after("gate=").parse().unwrap();
    let ask = || {
        http::send(address, "POST", PATH, &[("Content-Type", "application/json")], SMS.as_bytes())
    };
    wait_until("the node to be tried", || {
        gate.output().contains("for regtest, but `lnd.network` says mainnet") || ask().status == 402
    });
    assert_eq!(ask().status, 503);
}

/// A node that takes connections and says nothing: free and paid requests keep their pace, buyers
/// get a quick 503.
#[test]
fn a_node_that_hangs_stops_only_the_sale() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in silent.incoming() {
            held.push(stream);
        }
    });
    let lnd = tempfile::tempdir().unwrap();
    drop(Play::start(lnd.path()));
    let world = World::with(Options {
        node: Some((address, lnd.path().join("lnd"))),
        lnd: "timeout = \"1s\"".into(),
        ..Options::default()
    });
    let started = Instant::now();
    let mut asked = 0;
    while started.elapsed() < Duration::from_secs(3) {
        assert_eq!(world.post(&[], SMS).status, 503);
        let free = Instant::now();
        assert_eq!(http::get(world.address, "/status").status, 200);
        assert!(free.elapsed() < Duration::from_secs(1), "a free request waited for the node");
        asked += 1;
    }
    assert!(asked > 10);
}

#[test]
fn a_play_ticket_is_a_stranger_on_another_network_and_the_secret_is_needed() {
    let mut world = World::new();
    let (_, ticket) = world.buy(SMS);
    world.gate.kill();
    let secret = world.folder.path().join("state/master.secret");
    let kept = std::fs::read(&secret).unwrap();
    std::fs::remove_file(&secret).unwrap();
    let (status, said) = crate::support::process::Process::run(
        &["serve", "--config", "farebox.toml"],
        world.folder.path(),
    );
    assert!(!status.success() && said.contains("master_secret"), "{said}");
    assert!(!secret.exists(), "never a silent new one");
    // Rotation in two steps: the new secret below, then on top.
    let new = "cd".repeat(32);
    for order in [
        [String::from_utf8(kept.clone()).unwrap(), new.clone()],
        [new.clone(), String::from_utf8(kept.clone()).unwrap()],
    ] {
        std::fs::write(&secret, order.join("\n")).unwrap();
        world.gate.kill();
        world.restart();
    }
    assert_eq!(world.redeem(&ticket, SMS).status, 200, "a ticket of the old secret");
    let (_, newer) = world.buy(SMS);
    assert_eq!(world.redeem(&newer, SMS).status, 200);
    world.gate.kill();
    std::fs::write(&secret, &new).unwrap();
    let (status, said) = crate::support::process::Process::run(
        &["serve", "--config", "farebox.toml"],
        world.folder.path(),
    );
    assert!(!status.success() && said.contains("still signed with"), "{said}");
}
