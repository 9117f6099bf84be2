//! Promise 8: a log that nobody reads stops nothing. What is logged is the operator's choice.

use crate::support::process::Process;
use crate::support::world::Options;
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
        payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
    }
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
    let output = output_of(world("warn", Some("error,farebox::cli=info,farebox::access=info")));
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
