//! What an operator does: check, health, metrics, mistakes.

use crate::support::process::Process;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, http, wait_until};

#[test]
fn check_works_beside_a_running_serve_and_says_what_is_wrong() {
    let world = World::new();
    let (_, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
    let (status, said) = Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
    assert!(status.success(), "{said}");
    for part in [
        "ok       config",
        "note     certificate",
        "ok       node",
        "ok       invoice: made one of 1 sat",
        "ok       ledger",
        "1 ticket(s), 0 parked",
        "ok       state",
        "ok       secret",
        "ok       service send-sms",
    ] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
    world.upstream.stop();
    let (status, said) = Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("FAILED   service send-sms: its upstream at 127.0.0.1:")
            && said.contains("start it, or correct `upstream`"),
        "{said}"
    );
    assert_eq!(world.redeem(&ticket, SMS).status, 200, "serve goes on");
}

#[test]
fn check_names_each_part_that_fails() {
    let world = World::new();
    let path = world.folder.path().join("farebox.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    for (from, to, words) in [
        ("tls.cert\"", "no-such.cert\"", "FAILED   node: `lnd.certificate`: "),
        ("invoice.macaroon\"", "no-such.macaroon\"", "FAILED   node: `lnd.macaroon`: "),
        (
            "\"regtest\"",
            "\"mainnet\"",
            "FAILED   invoice: LND's invoice is not what was asked for: it is for regtest",
        ),
        ("price_sat = 100", "price_sat = \"100\"", "FAILED   config: farebox.toml:"),
        ("state_dir = \"state\"", "state_dir = \"/proc/nowhere\"", "FAILED   state: "),
    ] {
        std::fs::write(&path, good.replace(from, to)).unwrap();
        let (status, said) =
            Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
        assert_eq!(status.code(), Some(1), "{to}: {said}");
        assert!(said.contains(words), "{to}:\n{said}");
    }
    let (status, said) = Process::run(&["serve", "--config", "no-such.toml"], world.folder.path());
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("no-such.toml: can't read the config"), "{said}");
    assert_eq!(Process::run(&["serve"], world.folder.path()).0.code(), Some(2));
}

#[test]
fn an_address_in_use_is_said_with_its_key() {
    let world = World::new();
    let config = std::fs::read_to_string(world.folder.path().join("farebox.toml")).unwrap();
    let config = config
        .replacen("\"127.0.0.1:0\"", &format!("\"{}\"", world.address), 1)
        .replace("state_dir = \"state\"", "state_dir = \"state2\"");
    std::fs::write(world.folder.path().join("second.toml"), config).unwrap();
    let (status, said) = Process::run(&["serve", "--config", "second.toml"], world.folder.path());
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("`listen.address`") && said.contains(&world.address.to_string()),
        "{said}"
    );
}

#[test]
fn the_second_listener_tells_health_and_numbers() {
    let world = World::with(Options { lnd: "mint_ahead = 0".into(), ..Options::default() });
    assert_eq!(http::get(world.ops, "/healthz").text(), "ok\n");
    wait_until("all is well", || world.ready()["status"] == "ok");
    let (_, ticket) = world.buy(SMS);
    for _ in 0..3 {
        world.redeem(&ticket, SMS);
    }
    http::get(world.address, "/nowhere");
    for (name, value) in [
        ("farebox_requests_total{code=\"payment-required\",service=\"send-sms\"}", 1.0),
        ("farebox_requests_total{code=\"delivered\",service=\"send-sms\"}", 1.0),
        ("farebox_requests_total{code=\"replayed\",service=\"send-sms\"}", 2.0),
        ("farebox_requests_total{code=\"not-found\",service=\"-\"}", 1.0),
        ("farebox_challenges_total{service=\"send-sms\"}", 1.0),
        ("farebox_challenged_msat_total{service=\"send-sms\"}", 100_000.0),
        ("farebox_redemptions_total{outcome=\"delivered\",service=\"send-sms\"}", 1.0),
        ("farebox_delivered_msat_total{service=\"send-sms\"}", 100_000.0),
        ("farebox_gate_seconds_count{service=\"send-sms\"}", 4.0),
        ("farebox_node_call_seconds_count{result=\"ok\"}", 1.0),
        ("farebox_node_up", 1.0),
        ("farebox_ledger_up", 1.0),
        ("farebox_upstream_up{service=\"send-sms\"}", 1.0),
        ("farebox_unpaid_challenges", 0.0),
    ] {
        assert_eq!(world.metric(name), value, "{name}");
    }
    assert!(world.metric("farebox_ledger_commit_seconds_count") >= 2.0);
    assert_eq!(http::get(world.ops, "/").status, 404);
    assert_eq!(http::send(world.ops, "POST", "/healthz", &[], b"").status, 405);
    assert_eq!(http::get(world.address, "/metrics").status, 404, "not on the payers' listener");
}

/// A parked ticket, and the payment hash that operators name it by.
fn parked(world: &World) -> (String, String) {
    world.upstream.behave(Behaviour::status(500, "oops"));
    let (challenge, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    (challenge.response.json()["paymentHash"].as_str().unwrap().to_owned(), ticket)
}

fn tickets(world: &World, arguments: &[&str]) -> (bool, String) {
    let all = [&["tickets", "--config", "ops.toml"], arguments].concat();
    let (status, said) = Process::run(&all, world.folder.path());
    (status.success(), said)
}

/// The config of the running gate, with the port that its second listener got.
fn with_ops_address(world: &World) {
    let config = std::fs::read_to_string(world.folder.path().join("farebox.toml")).unwrap();
    let config = config.replace(
        "[ops]\naddress = \"127.0.0.1:0\"",
        &format!("[ops]\naddress = \"{}\"", world.ops),
    );
    std::fs::write(world.folder.path().join("ops.toml"), config).unwrap();
}

#[test]
fn what_is_parked_is_the_operator_s_to_resolve_while_serve_runs_and_while_it_does_not() {
    let mut world = World::new();
    with_ops_address(&world);
    let ((released, first), (delivered, second), (third_hash, third)) =
        (parked(&world), parked(&world), parked(&world));
    let (good, list) = tickets(&world, &["list", "--state", "parked"]);
    assert!(
        good && list.lines().count() == 3
            && [&released, &delivered, &third_hash].iter().all(|hash| list.contains(*hash)),
        "{list}"
    );
    assert!(tickets(&world, &["resolve", &released, "--release"]).1.contains("free"));
    assert!(tickets(&world, &["resolve", &delivered, "--delivered"]).1.contains("delivered"));
    let (good, said) = tickets(&world, &["resolve", &released, "--release"]);
    assert!(!good && said.contains("not parked"), "{said}");
    let (good, said) = tickets(&world, &["show", &"ab".repeat(32)]);
    assert!(!good && said.contains("no such ticket"), "{said}");
    assert!(
        !tickets(&world, &["resolve", &third_hash]).0,
        "one of --delivered and --release is needed"
    );

    assert_eq!(world.redeem(&first, SMS).text(), "Okay");
    let answer = world.redeem(&second, SMS);
    assert_eq!((answer.status, answer.code().as_str()), (200, "delivered-answer-not-kept"));
    assert_eq!(world.upstream.count(), 4);

    world.gate.kill();
    assert!(tickets(&world, &["resolve", &third_hash, "--release"]).0);
    world.restart();
    assert_eq!(world.redeem(&third, SMS).text(), "Okay");
    assert_eq!(world.upstream.count(), 5);
}

#[test]
fn a_revoked_ticket_is_worthless_at_once_handed_in_before_or_not() {
    let world = World::new();
    with_ops_address(&world);
    let (challenge, unused) = world.buy(SMS);
    let (other, delivered) = world.buy(SMS);
    assert_eq!(world.redeem(&delivered, SMS).status, 200);
    for challenge in [challenge, other] {
        let hash = challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
        assert!(tickets(&world, &["revoke", &hash]).1.contains("revoked"));
    }
    for ticket in [unused, delivered] {
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (402, "ticket-revoked"));
    }
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_page_in_the_operator_s_browser_can_not_resolve_tickets() {
    let world = World::new();
    let (hash, _) = parked(&world);
    let target = format!("/tickets/{hash}/release");
    assert_eq!(
        http::send(world.ops, "POST", &target, &[("Origin", "https://evil.test")], b"").status,
        403
    );
    assert_eq!(http::send(world.ops, "GET", &target, &[], b"").status, 400);
    assert_eq!(http::get(world.ops, &format!("/tickets/{hash}")).json()["state"], "parked");
    assert_eq!(http::send(world.ops, "POST", &target, &[], b"").json()["state"], "free");
    assert_eq!(http::send(world.ops, "POST", &target, &[], b"").status, 409);
    assert_eq!(http::get(world.address, "/tickets").status, 404, "not on the payers' listener");
}
