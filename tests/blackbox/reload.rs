//! Promise 8: a config that is reloaded breaks no promise, and one that can't be used changes
//! nothing.

use std::collections::BTreeSet;

use crate::support::config::PASS;
use crate::support::http;
use crate::support::upstream::Upstream;
use crate::support::{Behaviour, SMS, World, wait_until};

const PRICE: &str = "price_sat = 100";

fn price(world: &World) -> u64 {
    world.payer().asks(SMS).response.json()["priceSats"].as_u64().unwrap()
}

#[test]
fn sighup_brings_a_new_price_and_what_was_sold_is_redeemed() {
    let world = World::new();
    let payer = world.payer();
    let paid = payer.buys(SMS);
    // So that there is a stock of invoices of the old price.
    wait_until("a stock", || {
        payer.asks(SMS);
        world.metric("farebox_stock{service=\"send-sms\"}") >= 1.0
    });
    world.write_config("farebox.toml", &[(PRICE, "price_sat = 700")]);
    world.gate.signal("HUP");
    world.gate.wait_until_it_says("reload: the config is in force");
    let challenge = payer.asks(SMS);
    assert_eq!(challenge.response.json()["priceSats"], 700);
    assert!(challenge.invoice.starts_with("lnbcrt7u"), "{}", challenge.invoice);
    payer.redeems(&payer.pays(&challenge), SMS).is_delivered("Okay");
    payer.redeems(&paid, SMS).is_delivered("Okay");
    assert_eq!(world.metric("farebox_config_reloads_total{outcome=\"ok\"}"), 1.0);
}

#[test]
fn a_bad_file_changes_nothing_and_says_what_is_wrong() {
    let world = World::new();
    let before = world.metric("farebox_config_last_reload_success_timestamp_seconds");
    assert!(before > 1_700_000_000.0);
    let good = world.config();
    let line = good.lines().position(|line| line == PRICE).unwrap() + 1;
    let no_ca = "price_sat = 100\nupstream_ca = \"not-there.pem\"";
    for (new, is_at_line, word) in [
        (
            "price_sat = \"much\"",
            true,
            "`price_sat`: invalid type: a text, expected a whole number",
        ),
        ("price_sats = 100", true, "`price_sat`"),
        (no_ca, false, "not-there.pem"),
    ] {
        world.write_config("farebox.toml", &[(PRICE, new)]);
        if new == no_ca {
            world.write_config("farebox.toml", &[("upstream = \"http:", "upstream = \"https:")]);
        }
        let problem = world.refuses_to_reload();
        std::fs::write(world.folder.path().join("farebox.toml"), &good).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
        if is_at_line {
            let place = (&problem["line"], &problem["file"]);
            assert_eq!(place, (&line.into(), &"farebox.toml".into()), "{problem}");
        }
        assert_eq!(price(&world), 100);
    }
    std::fs::rename(world.folder.path().join("farebox.toml"), world.folder.path().join("away"))
        .unwrap();
    assert!(world.refuses_to_reload()["detail"].as_str().unwrap().contains("can't read"));
    world.gate.signal("HUP");
    wait_until("the fifth to be counted", || {
        world.metric("farebox_config_reloads_total{outcome=\"failed\"}") == 5.0
    });
    assert_eq!(world.metric("farebox_config_reloads_total{outcome=\"ok\"}"), 0.0);
    world.payer().redeems(&world.payer().buys(SMS), SMS).is_delivered("Okay");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_holds() {
    let world = World::new();
    let lines = [
        (PRICE, "price_sat = 300"),
        ("state_dir = \"state\"", "state_dir = \"elsewhere\""),
        ("[tickets]\n", "[tickets]\nreplay = \"1h\"\n"),
        ("network = \"regtest\"\n", "network = \"regtest\"\ndetect_payments = true\n"),
        ("[ops]\naddress = \"127.0.0.1:0\"", "[ops]\naddress = \"127.0.0.1:9\""),
    ];
    world.write_config("farebox.toml", &lines);
    let answer = world.operator_posts("/reload").json();
    let named = answer["needs_restart"].as_array().unwrap().iter();
    let named: BTreeSet<&str> = named.map(|key| key.as_str().unwrap()).collect();
    let expected = ["ledger", "lnd.detect_payments", "ops.address", "state_dir", "tickets.replay"];
    assert_eq!(named, expected.into());
    world.gate.wait_until_it_says("which a restart takes up");
    let body = world.payer().asks(SMS).response.json();
    assert_eq!((&body["priceSats"], body.get("statusUrl")), (&300.into(), None));
}

#[test]
fn a_secret_more_needs_a_restart() {
    let world = World::new();
    let secret = world.folder.path().join("state/master.secret");
    let text = std::fs::read_to_string(&secret).unwrap();
    std::fs::write(&secret, format!("{text}{}\n", "07".repeat(32))).unwrap();
    let answer = world.operator_posts("/reload").json();
    assert_eq!(answer["needs_restart"], serde_json::json!(["tickets.master_secret"]));
}

/// What is written is judged by what this process holds on to, too.
#[test]
fn what_would_be_wrong_until_a_restart_is_refused() {
    let world = World::new();
    let good = world.config();
    let refuses = |changes: &[(&str, &str)], word: &str| {
        std::fs::write(world.folder.path().join("farebox.toml"), &good).unwrap();
        world.write_config("farebox.toml", changes);
        let problem = world.refuses_to_reload();
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    };
    let own = format!("http://{}/send", world.address);
    let backend = format!("http://{}/send?account=7", world.upstream.address);
    let elsewhere = ("address = \"127.0.0.1:0\"", "address = \"127.0.0.1:1\"");
    refuses(&[elsewhere, (&backend, &own)], "Farebox itself");
    let detects = ("network = \"regtest\"\n", "network = \"regtest\"\ndetect_payments = true\n");
    let word = (PRICE, "price_sat = 100\nwithout_preimage = true");
    refuses(&[detects, word], "which only a restart turns on");
    // A failed reload leaves nothing, not even a counter.
    let ghost = "[[service]]\nname = \"ghost\"\nmethod = \"POST\"\npath = \"/ghost\"\nticket = \
                 \"free\"\nupstream = \"http://127.0.0.1:9/\"\n\n[[service]]\nname = \"free\"\n\
                 upstream_ca = \"not-there.pem\"";
    let https = (
        "upstream = \"http://UP/free\"".replace("UP", &world.upstream.address.to_string()),
        "upstream = \"https://localhost/free\"",
    );
    refuses(&[("[[service]]\nname = \"free\"", ghost), (&https.0, https.1)], "not-there.pem");
    assert!(!http::get(world.ops, "/metrics").text().contains("ghost"));
}

#[test]
fn the_token_stays_where_more_than_operators_reach_the_listener() {
    let mut world = World::new();
    std::fs::write(world.folder.path().join("ops.secret"), "sesame").unwrap();
    let public = "[ops]\ntoken = { file = \"ops.secret\" }\naddress = \"0.0.0.0:0\"";
    world.write_config("farebox.toml", &[("[ops]\naddress = \"127.0.0.1:0\"", public)]);
    world.stop();
    world.start_again();
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], world.ops.port()));
    world.write_config("farebox.toml", &[(public, "[ops]\naddress = \"127.0.0.1:0\"")]);
    let bearer = [("Authorization", "Bearer sesame")];
    let answer = http::send(at, "POST", "/reload", &bearer, b"");
    assert!(answer.status == 422 && answer.text().contains("ops.token"), "{answer:?}");
    http::get(at, "/tickets").has_status(401);
}

#[test]
fn what_only_the_next_start_would_meet_is_a_warning() {
    let world = World::new();
    let files = "certificate = \"nowhere.crt\"\nkey = \"nowhere.key\"";
    world.write_config("farebox.toml", &[("plain_http = true", files)]);
    let answer = world.operator_posts("/reload").json();
    assert_eq!(answer["needs_restart"], serde_json::json!(["listen.plain_http"]));
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("the next start would fail") && warnings.contains("nowhere.crt"));
}

#[test]
fn services_come_and_go() {
    let world = World::new();
    let whole = world.config();
    let pass = PASS.replace("UPSTREAM", &world.upstream.address.to_string());
    std::fs::write(world.folder.path().join("farebox.toml"), format!("{whole}{pass}")).unwrap();
    let by_time = world.payer_at("GET", "/by-time");
    by_time.tries_to_buy("").is(404, "not-found");
    world.reloads();
    let held = by_time.buys("");
    by_time.redeems(&held, "").is_delivered("Okay");
    assert!(http::get(world.address, "/openapi.json").text().contains("/by-time"));
    assert_eq!(world.metric("farebox_upstream_up{service=\"by-time\"}"), 1.0);
    std::fs::write(world.folder.path().join("farebox.toml"), &whole).unwrap();
    let answer = world.operator_posts("/reload").json();
    let warned = answer["warnings"][0].as_str().unwrap();
    assert!(warned.contains("no paid service is named `by-time`"), "{answer}");
    by_time.redeems(&held, "").is(404, "not-found");
    assert!(!http::get(world.address, "/openapi.json").text().contains("/by-time"));
    let metrics = http::get(world.ops, "/metrics").text();
    assert!(!metrics.contains("farebox_upstream_up{service=\"by-time\"}"), "a gauge of nobody's");
    assert!(
        metrics.contains("farebox_redemptions_total{outcome=\"delivered\",service=\"by-time\"} 1")
    );
}

/// A pass that was seen before is remembered as verified.
#[test]
fn a_pass_that_is_remembered_does_not_open_a_service_that_sells_single_messages_now() {
    let world = World::new();
    let payer = world.payer();
    let single = "ticket = \"single-use\"";
    let pass = "ticket = \"pass\"\npass_time = \"1h\"";
    world.write_config("farebox.toml", &[(single, pass)]);
    world.reloads();
    let held = payer.buys(SMS);
    payer.redeems(&held, SMS).is_delivered("Okay");
    world.write_config("farebox.toml", &[(pass, single)]);
    world.reloads();
    payer.redeems(&held, SMS).is(422, "pass-not-taken");
    world.write_config("farebox.toml", &[(single, pass)]);
    world.reloads();
    payer.redeems(&held, SMS).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 2);
}

/// The place among a service's names that a ticket was sold under is remembered with it.
#[test]
fn a_ticket_that_is_remembered_is_redeemed_under_other_names() {
    let world = World::new();
    let [one, two] = [1, 2].map(|_| world.payer().buys(SMS));
    world.payer().redeems(&one, SMS).is_delivered("Okay");
    let name = "name = \"send-sms\"";
    let names = "name = \"send-sms\"\nformerly = [\"first\", \"second\"]";
    world.write_config("farebox.toml", &[(name, names)]);
    world.reloads();
    world.payer().redeems(&one, SMS).is_replayed("Okay");
    let names_now = "name = \"texts\"\nformerly = [\"zeroth\", \"send-sms\"]";
    world.write_config("farebox.toml", &[(names, names_now)]);
    world.reloads();
    world.payer().redeems(&one, SMS).is_replayed("Okay");
    world.payer().redeems(&two, SMS).is_delivered("Okay");
    let swapped = "name = \"texts\"\nformerly = [\"send-sms\", \"zeroth\"]";
    world.write_config("farebox.toml", &[(names_now, swapped)]);
    world.reloads();
    for ticket in [&one, &two] {
        world.payer().redeems(ticket, SMS).is_replayed("Okay");
    }
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn a_request_that_is_under_way_ends_by_the_config_that_it_began_under() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    world.upstream.behave(Behaviour::Stall);
    let mut connection = payer.starts_to_redeem(&ticket, SMS);
    world.upstream.wait_until_asked();
    let other = Upstream::start();
    moves(&world, &other);
    world.upstream.release();
    connection.read().unwrap().is_delivered("Okay");
    payer.redeems(&ticket, SMS).is_replayed("Okay");
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    assert_eq!((world.upstream.count(), other.count()), (1, 1));
}

/// The messages go to another backend from here on.
fn moves(world: &World, other: &Upstream) {
    let (old, new) =
        (format!("{}/send", world.upstream.address), format!("{}/send", other.address));
    world.write_config("farebox.toml", &[(&old, &new)]);
    world.reloads();
}

#[test]
fn what_is_known_of_a_backend_that_stays_lives_on() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let moved = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    world.upstream.behave(Behaviour::Raw(moved));
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    payer.tries_to_buy(SMS).is(503, "upstream-misconfigured");
    world.upstream.behave(Behaviour::okay());
    world.write_config("farebox.toml", &[(PRICE, "price_sat = 300")]);
    world.reloads();
    payer.tries_to_buy(SMS).is(503, "upstream-misconfigured");
    // With its right address it is another one.
    world.write_config("farebox.toml", &[("/send?account=7", "/sends")]);
    world.reloads();
    assert_eq!(price(&world), 300);
}

#[test]
fn secrets_are_read_again() {
    let world = World::new();
    let secret = world.folder.path().join("backend.secret");
    std::fs::write(&secret, "first").unwrap();
    std::fs::write(world.folder.path().join("ops.secret"), "sesame\n").unwrap();
    let lines = [
        ("env = \"SMS_BACKEND_TOKEN\"", "file = \"backend.secret\""),
        ("[ops]\n", "[ops]\ntoken = { file = \"ops.secret\" }\n"),
    ];
    world.write_config("farebox.toml", &lines);
    world.reloads();
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    assert_eq!(world.upstream.last().header("authorization"), Some("first"));
    std::fs::write(&secret, "second").unwrap();
    world.operator_posts("/reload").has_status(401);
    let bearer = [("Authorization", "Bearer sesame")];
    http::send(world.ops, "POST", "/reload", &bearer, b"").has_status(200);
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    assert_eq!(world.upstream.last().header("authorization"), Some("second"));
    for (method, status) in [("GET", 400), ("POST", 200)] {
        http::send(world.ops, method, "/reload", &bearer, b"").has_status(status);
    }
    let from_a_page = [bearer[0], ("Origin", "https://evil.example.com")];
    http::send(world.ops, "POST", "/reload", &from_a_page, b"").has_status(403);
}

#[test]
fn limits_and_the_log_change() {
    let world = World::new();
    let payer = world.payer();
    payer.asks(SMS);
    let lines = [
        ("[limits]\n", "[limits]\nunpaid_per_client = 2\nbody = \"1KiB\"\n"),
        ("[tickets]\n", "[log]\nlevel = \"warn\"\n\n[tickets]\n"),
    ];
    world.write_config("farebox.toml", &lines);
    world.gate.wait_until_it_says("code=\"payment-required\"");
    world.reloads();
    let lines = || world.gate.output().matches("access:").count();
    let before = lines();
    payer.asks(SMS);
    payer.tries_to_buy(SMS).is(429, "too-many-unpaid");
    payer
        .tries_to_buy(&format!("{{\"message\":\"{}\"}}", "x".repeat(1100)))
        .is(413, "body-too-large");
    world.write_config(
        "farebox.toml",
        &[("unpaid_per_client = 2", "unpaid_per_client = 20"), ("\"warn\"", "\"debug\"")],
    );
    world.reloads();
    assert_eq!(lines(), before, "access lines are of the level info");
    payer.asks(SMS);
    wait_until("the access line", || lines() > before);
}
