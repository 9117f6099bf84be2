//! Promise 9: what an operator does: health, metrics, and what becomes of tickets.

use crate::support::world::Options;
use crate::support::{Behaviour, SMS, Ticket, World, http, wait_until};

#[test]
fn the_second_listener_tells_health_and_numbers() {
    let world = World::with(Options { lnd: "mint_ahead = 0".into(), ..Options::default() });
    let payer = world.payer();
    assert_eq!(http::get(world.ops, "/healthz").text(), "ok\n");
    wait_until("all is well", || world.ready()["status"] == "ok");
    let ticket = payer.buys(SMS);
    for _ in 0..3 {
        payer.redeems(&ticket, SMS);
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
        // With the one that shows before the first buyer that it makes any.
        ("farebox_node_call_seconds_count{result=\"ok\"}", 2.0),
        ("farebox_node_up", 1.0),
        ("farebox_ledger_up", 1.0),
        ("farebox_upstream_up{service=\"send-sms\"}", 1.0),
        ("farebox_unpaid_challenges", 0.0),
    ] {
        assert_eq!(world.metric(name), value, "{name}");
    }
    assert!(world.metric("farebox_ledger_commit_seconds_count") >= 2.0);
}

#[test]
fn each_listener_answers_its_own_paths_only() {
    let world = World::new();
    http::get(world.ops, "/").has_status(404);
    http::send(world.ops, "POST", "/healthz", &[], b"").has_status(405);
    for of_operators in ["/metrics", "/tickets"] {
        http::get(world.address, of_operators).in_case(of_operators).has_status(404);
    }
}

fn parked(world: &World) -> Ticket {
    let payer = world.payer();
    world.upstream.behave(Behaviour::status(500, "oops"));
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    ticket
}

/// What `farebox tickets` says to people, and whether it succeeds.
fn tickets(world: &World, arguments: &str) -> (bool, String) {
    let (status, said) =
        world.farebox(&format!("tickets --config ops.toml --output table {arguments}"));
    (status.success(), said)
}

#[test]
fn what_is_parked_is_the_operator_s_to_resolve() {
    let world = World::new();
    let payer = world.payer();
    world.write_ops_config();
    let (first, second, third) = (parked(&world), parked(&world), parked(&world));
    let (released, delivered, left) =
        (first.payment_hash(), second.payment_hash(), third.payment_hash());
    let (good, list) = tickets(&world, "list --state parked");
    let are_there = [&released, &delivered, &left].iter().all(|hash| list.contains(*hash));
    assert!(good && list.lines().count() == 4 && are_there, "{list}");
    assert!(tickets(&world, &format!("resolve {released} --release")).1.contains("free"));
    assert!(tickets(&world, &format!("resolve {delivered} --delivered")).1.contains("delivered"));
    payer.redeems(&first, SMS).is_delivered("Okay");
    payer.redeems(&second, SMS).is(200, "delivered-answer-not-kept");
    assert_eq!(world.upstream.count(), 4);
}

#[test]
fn what_can_not_be_resolved_is_refused() {
    let world = World::new();
    world.write_ops_config();
    let hash = parked(&world).payment_hash();
    let (good, _) = tickets(&world, &format!("resolve {hash}"));
    assert!(!good, "one of --delivered and --release is needed");
    assert!(tickets(&world, &format!("resolve {hash} --release")).1.contains("free"));
    let (good, said) = tickets(&world, &format!("resolve {hash} --release"));
    assert!(!good && said.contains("neither parked nor refused"), "{said}");
    let (good, said) = tickets(&world, &format!("show {}", "ab".repeat(32)));
    assert!(!good && said.contains("no such ticket"), "{said}");
}

#[test]
fn what_is_parked_is_the_operator_s_to_resolve_while_serve_does_not_run_too() {
    let mut world = World::new();
    world.write_ops_config();
    let ticket = parked(&world);
    world.gate.kill();
    assert!(tickets(&world, &format!("resolve {} --release", ticket.payment_hash())).0);
    world.restart();
    world.payer().redeems(&ticket, SMS).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn a_revoked_ticket_is_worthless_at_once_handed_in_before_or_not() {
    let world = World::new();
    let payer = world.payer();
    world.write_ops_config();
    let (unused, delivered) = (payer.buys(SMS), payer.buys(SMS));
    payer.redeems(&delivered, SMS).is_delivered("Okay");
    for ticket in [&unused, &delivered] {
        let revoke = format!("revoke {}", ticket.payment_hash());
        assert!(tickets(&world, &revoke).1.contains("revoked"));
    }
    for ticket in [&unused, &delivered] {
        payer.redeems(ticket, SMS).asks_to_pay("ticket-revoked");
    }
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_page_in_the_operator_s_browser_can_not_resolve_tickets() {
    let world = World::new();
    let hash = parked(&world).payment_hash();
    let target = format!("/tickets/{hash}/release");
    let from_elsewhere = [("Origin", "https://evil.test")];
    http::send(world.ops, "POST", &target, &from_elsewhere, b"").has_status(403);
    http::get(world.ops, &target).has_status(400);
    assert_eq!(world.row_of(&hash)["state"], "parked");
    assert_eq!(world.operator_orders(&hash, "release").json()["state"], "free");
    world.operator_orders(&hash, "release").has_status(409);
}

/// What went to the backend, what the operator is shown, and what the payer is told, match.
#[test]
fn a_parked_ticket_can_be_matched_to_its_message() {
    let world = World::with(Options { lnd: "detect_payments = true".into(), ..Options::default() });
    let payer = world.payer();
    world.upstream.behave(Behaviour::CloseAfterReading);
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    let reference = world.upstream.last().header("farebox-reference").unwrap().to_owned();
    world.gate.wait_until_it_says(&format!("reference=\"{reference}\""));
    let hash = ticket.payment_hash();
    world.write_ops_config();
    // Without any secret of a backend.
    let path = world.folder.path().join("ops.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, config.replace("SMS_BACKEND_TOKEN", "NOT_SET_HERE")).unwrap();
    let show = format!("show {hash}");
    let (good, said) = tickets(&world, &show);
    assert!(good, "{said}");
    for what in
        [reference.as_str(), "+1234567890", "Hello, this is a test SMS!", "parked", "s ago\n"]
    {
        assert!(said.contains(what), "{what} in {said}");
    }
    let over_http = world.row_of(&hash).to_string();
    assert!(over_http.contains(&reference) && !over_http.contains("+1234567890"));
    assert_eq!(payer.asks_for_status(&ticket).json()["reference"], reference.as_str());
    world.operator_orders(&hash, "delivered");
    world.gate.wait_until_it_says("operator: resolved a parked ticket");
    let (_, said) = tickets(&world, &show);
    assert!(!said.contains("+1234567890"), "{said}");
}

#[test]
fn a_token_is_asked_of_whoever_changes_something() {
    let mut world = World::new();
    world.stop();
    std::fs::write(world.folder.path().join("ops.token"), "open-sesame\n").unwrap();
    let ops = "[ops]\naddress = \"127.0.0.1:0\"";
    let with_token = format!("{ops}\ntoken = {{ file = \"ops.token\" }}\nhosts = [\"gate.test\"]");
    world.write_config("farebox.toml", &[(ops, &with_token)]);
    world.restart();
    for open in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(http::get(world.ops, open).status, 200, "{open}");
    }
    for (method, path) in [
        ("GET", "/tickets"),
        ("GET", "/tickets/stats"),
        ("POST", "/tickets/release?minted_before=2026-11-28T09:30:00Z"),
        ("POST", "/services/send-sms/open"),
    ] {
        let ask = |headers: &[(&str, &str)]| http::send(world.ops, method, path, headers, b"");
        let token = ("Authorization", "Bearer open-sesame");
        let denied = ask(&[]);
        assert_eq!((denied.status, denied.header("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(ask(&[("Authorization", "Bearer open-sesam")]).status, 401, "{path}");
        assert_eq!(ask(&[token]).status, 200, "{path}");
        assert_eq!(ask(&[token, ("Host", "evil.example.com")]).status, 421, "{path}");
        assert_eq!(ask(&[token, ("Host", "gate.test:9402")]).status, 200, "{path}");
        assert_eq!(ask(&[token, ("Origin", "null")]).status, 403, "{path}");
    }
    // The command knows it.
    let address = format!("[ops]\naddress = \"{}\"", world.ops);
    world.write_config("ops.toml", &[(ops, &address)]);
    let (status, said) = world.farebox("tickets --config ops.toml --output table list");
    assert!(status.success() && said.contains("no tickets"), "{said}");
    world.write_config("ops.toml", &[(ops, &address), ("token =", "# token =")]);
    let (status, said) = world.farebox("tickets --config ops.toml --output table list");
    assert!(!status.success() && said.contains("ops.token"), "{said}");
}

#[test]
fn a_name_that_leads_here_by_somebody_else_s_will_changes_nothing() {
    let world = World::new();
    let evil = [("Host", "evil.example.com:9402")];
    assert_eq!(http::send(world.ops, "GET", "/tickets", &evil, b"").status, 421);
    assert_eq!(http::send(world.ops, "POST", "/services/send-sms/open", &evil, b"").status, 421);
    assert_eq!(http::send(world.ops, "GET", "/metrics", &evil, b"").status, 200);
}
