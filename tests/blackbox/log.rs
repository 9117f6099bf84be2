//! Promise 8: a log that nobody reads stops nothing. What is logged is the operator's choice.

use crate::support::process::Process;
use crate::support::world::{Options, PATH};
use crate::support::{Behaviour, SMS, World, http, wait_until};

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let mut world = World::new();
    let payer = world.payer();
    world.gate.stop_reading();
    // More than the pipe and the lines that wait for it can hold.
    wait_until("lines to be dropped", || {
        (0..500).for_each(|_| drop(http::get(world.address, "/status")));
        world.metric("farebox_log_lines_dropped_total") > 0.0
    });
    // What is warned of on a request's way, on every worker.
    world.upstream.behave(Behaviour::status(500, "oops"));
    for _ in 0..20 {
        world.opens_sales();
        payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
    }
    world.opens_sales();
    world.upstream.behave(Behaviour::okay());
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    assert_eq!(world.ready()["status"], "ok");
    world.gate.signal("TERM");
    assert!(world.gate.wait().success(), "an orderly stop");
}

fn world(level: &str, variable: Option<&str>) -> World {
    let environment = variable.map(|value| ("RUST_LOG", value.to_owned())).into_iter().collect();
    World::with(Options {
        more: format!("[log]\nlevel = \"{level}\"\n"),
        environment,
        ..Options::default()
    })
}

/// After this, whatever was logged before has been written.
fn output_of(mut world: World) -> String {
    let payer = world.payer();
    world.upstream.behave(Behaviour::status(500, "oops"));
    payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
    world.gate.signal("TERM");
    world.gate.wait();
    world.gate.output_to_its_end()
}

#[test]
fn a_level_leaves_lower_lines_out() {
    let output = output_of(world("warn,farebox::cli=info", None));
    assert!(output.contains("parked: nobody knows"), "{output}");
    assert!(!output.contains(" access: "), "{output}");
}

#[test]
fn the_environment_s_level_goes_before_the_config_s() {
    let world = world("warn", Some("error,farebox::cli=info,farebox::access=info"));
    let warned = world.operator_posts("/reload").json()["warnings"].to_string();
    assert!(warned.contains("RUST_LOG is set, and goes before `log.level`"), "{warned}");
    let output = output_of(world);
    assert!(output.contains(" access: "), "{output}");
    assert!(!output.contains("parked: nobody knows"), "{output}");
}

#[test]
fn a_level_that_is_none_is_named_with_its_line() {
    let world = World::new();
    let file = world.folder.path().join("farebox.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{config}\n[log]\nlevel = \"loud\"\n")).unwrap();
    let (status, said) = Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
    assert!(!status.success() && said.contains("`log.level`: `loud` is not a level"), "{said}");
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What the upstream is told, and the access line says, is one and the same.
#[test]
fn a_trace_is_taken_on_passed_on_and_logged() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let authorization = ticket.authorization();
    let traced = [("traceparent", PARENT), ("tracestate", "a=b")];
    let headers = [&[("Authorization", &*authorization)], &traced[..]].concat();
    payer.sends(&headers, SMS).is_delivered("Okay");
    http::send(world.address, "POST", "/free", &traced, b"x").has_status(200);
    http::send(world.address, "GET", "/nobody/knows?who=+1234567890", &traced, b"").has_status(404);
    for request in world.upstream.requests() {
        let parent = request.header("traceparent").unwrap();
        let span = parent.strip_prefix("00-4bf92f3577b34da6a3ce929d0e0e4736-").unwrap();
        let id = span.strip_suffix("-01").unwrap();
        assert_ne!(id, "00f067aa0ba902b7");
        assert_eq!(request.header("tracestate"), Some("a=b"));
        let of_it = format!("request=\"{id}\" trace=\"4bf92f3577b34da6a3ce929d0e0e4736\"");
        world.gate.wait_until_it_says(&of_it);
        let output = world.gate.output();
        let line = output.lines().find(|line| line.contains(&of_it)).unwrap();
        let path = if request.line.contains("/free") { "/free" } else { PATH };
        assert!(line.contains(&format!("path=\"{path}\"")), "{line}");
    }
    world.gate.wait_until_it_says("path=\"-\" service=\"-\" status=404");
    assert!(!world.gate.output().contains("1234567890"));
}

#[test]
fn each_act_of_an_operator_is_logged_whatever_the_level() {
    let world = World::new();
    world.write_config("farebox.toml", &[("[tickets]\n", "[log]\nlevel = \"error\"\n[tickets]\n")]);
    world.reloads();
    let payer = world.payer();
    world.upstream.behave(Behaviour::CloseAfterReading);
    let parked = payer.buys(SMS);
    payer.redeems(&parked, SMS).is(504, "outcome-unknown");
    let hash = parked.payment_hash();
    world.operator_orders(&hash, "delivered").has_status(200);
    world.operator_orders(&payer.buys(SMS).payment_hash(), "revoke");
    world.operator_posts("/services/send-sms/open").has_status(200);
    world.operator_posts("/reload").has_status(200);
    for said in [
        "operator: resolved a parked ticket by=127.0.0.1:".to_owned(),
        format!("ticket={hash} said=\"delivered\""),
        "operator: revoked a ticket".to_owned(),
        "operator: opened the sale".to_owned(),
        "operator: asked for a reload".to_owned(),
    ] {
        world.gate.wait_until_it_says(&said);
    }
}
