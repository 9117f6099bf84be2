//! What an operator does: check, health, metrics, mistakes.

use crate::support::process::Process;
use crate::support::{SMS, World, http, wait_until};

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
        said.contains("FAILED   service send-sms: its upstream at 127.0.0.1:") && said.contains("start it, or correct `upstream`"),
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
        ("\"regtest\"", "\"mainnet\"", "FAILED   invoice: LND's invoice is not what was asked for: it is for regtest"),
        ("price_sat = 100", "price_sat = \"100\"", "FAILED   config: farebox.toml:"),
        ("state_dir = \"state\"", "state_dir = \"/proc/nowhere\"", "FAILED   state: "),
    ] {
        std::fs::write(&path, good.replace(from, to)).unwrap();
        let (status, said) = Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
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
    let config =
        config.replacen("\"127.0.0.1:0\"", &format!("\"{}\"", world.address), 1).replace("state_dir = \"state\"", "state_dir = \"state2\"");
    std::fs::write(world.folder.path().join("second.toml"), config).unwrap();
    let (status, said) = Process::run(&["serve", "--config", "second.toml"], world.folder.path());
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("`listen.address`") && said.contains(&world.address.to_string()), "{said}");
}

#[test]
fn the_second_listener_tells_health_and_numbers() {
    let world = World::new();
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
        ("farebox_challenged_sat_total{service=\"send-sms\"}", 100.0),
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
