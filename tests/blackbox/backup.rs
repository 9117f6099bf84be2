//! Promise 8: a backup and its restore, and a ledger that is not the one it was: nothing is sent
//! twice.

use std::path::Path;
use std::process::Command;

use crate::support::postgres::Postgres;
use crate::support::world::Options;
use crate::support::{World, wait_until};

fn body(n: u8) -> String {
    format!(r#"{{"phone_number":"+12345678{n:02}","message":"Hello"}}"#)
}

/// The commands of README.md, "Backup and restore", for this world.
fn commands(world: &World) -> Vec<String> {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once("## Backup and restore").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```sh\n").skip(1);
    let state = world.folder.path().join("state");
    let binary = env!("CARGO_BIN_EXE_farebox");
    blocks
        .map(|block| {
            let (block, _) = block.split_once("```").unwrap();
            let block = block.replace("/var/lib/farebox", state.to_str().unwrap());
            block
                .lines()
                .map(|line| match line.strip_prefix("farebox ") {
                    Some(rest) => format!("{binary} {rest}\n"),
                    None => format!("{line}\n"),
                })
                .collect()
        })
        .collect()
}

fn shell(script: &str, folder: &Path) -> String {
    let ran = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    said
}

/// `serve` doesn't start; gives what it says.
fn refused(world: &World) -> String {
    let (status, said) = world.farebox("serve --config farebox.toml");
    assert!(!status.success(), "{said}");
    said
}

/// A command that has to succeed.
fn done(world: &World, command: &str) {
    let (status, said) = world.farebox(command);
    assert!(status.success(), "{said}");
}

const RESTORED: &str = "ledger --config farebox.toml restored";

#[test]
fn what_the_readme_says_of_backups_is_so() {
    let mut world = World::new();
    let payer = world.payer();
    let [before, after, unused] = [1, 2, 3].map(|n| payer.buys(&body(n)));
    payer.redeems(&before, &body(1)).is_delivered("Okay");
    let [back_up, put_back] = <[String; 2]>::try_from(commands(&world)).unwrap();
    shell(&back_up, world.folder.path());
    payer.redeems(&after, &body(2)).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 2);
    world.gate.kill();
    // Without a word the copy isn't taken.
    let (copy, said) = put_back.split_at(put_back.find(env!("CARGO_BIN_EXE_farebox")).unwrap());
    shell(copy, world.folder.path());
    assert!(refused(&world).contains("ledger --config FILE restored"));
    let (checked, report) = world.farebox("check --config farebox.toml");
    assert!(!checked.success() && report.contains("FAILED   ledger"), "{report}");
    assert!(shell(said, world.folder.path()).contains("parked: 0 ticket(s)"));
    world.restart();
    payer.redeems(&before, &body(1)).is_replayed("Okay");
    for (ticket, n) in [(&after, 2), (&unused, 3)] {
        payer.redeems(ticket, &body(n)).in_case(n).is(504, "outcome-unknown");
    }
    assert_eq!(world.upstream.count(), 2, "nothing was sent a second time");
    let new = payer.buys(&body(4));
    payer.redeems(&new, &body(4)).is_delivered("Okay");
    let release = world.operator_posts("/tickets/release?minted_before=4000000000");
    assert_eq!(release.json()["released"], 2);
    payer.redeems(&unused, &body(3)).is_delivered("Okay");
}

/// An operator that copies "the ledger and the master secret" after a stop has all of it.
#[test]
fn an_orderly_stop_leaves_everything_in_the_one_file() {
    let mut world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(&body(1));
    payer.redeems(&ticket, &body(1)).is_delivered("Okay");
    world.stop();
    let state = world.folder.path().join("state");
    assert!(!state.join("ledger.db-wal").exists());
    let elsewhere = world.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for name in ["ledger.db", "master.secret"] {
        std::fs::copy(state.join(name), elsewhere.join(name)).unwrap();
    }
    std::fs::rename(&state, world.folder.path().join("gone")).unwrap();
    std::fs::rename(&elsewhere, &state).unwrap();
    world.restart();
    payer.redeems(&ticket, &body(1)).is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_secret_is_used_beside_its_own_ledger_only() {
    let mut world = World::new();
    let payer = world.payer();
    let [spent, unused] = [1, 2].map(|n| payer.buys(&body(n)));
    payer.redeems(&spent, &body(1)).is_delivered("Okay");
    world.stop();
    let state = world.folder.path().join("state");
    std::fs::rename(state.join("ledger.db"), state.join("old.db")).unwrap();
    let said = refused(&world);
    assert!(said.contains("there is none at") && said.contains("ledger --config"), "{said}");
    assert!(!state.join("ledger.db").exists(), "none was made");
    let new = "ledger --config farebox.toml new";
    done(&world, new);
    assert!(!world.farebox(new).0.success(), "never over an existing one");
    world.restart();
    for (ticket, n) in [(&spent, 1), (&unused, 2)] {
        payer.redeems(ticket, &body(n)).in_case(n).is(504, "outcome-unknown");
    }
    assert_eq!(world.upstream.count(), 1);
    // The old one isn't this secret's any more.
    world.stop();
    std::fs::rename(state.join("old.db"), state.join("ledger.db")).unwrap();
    assert!(refused(&world).contains("was made for the ledger"));
}

#[test]
fn a_file_that_is_replaced_under_a_running_gate_is_noticed() {
    let world = World::new();
    let payer = world.payer();
    let [spent, unused] = [1, 2].map(|n| payer.buys(&body(n)));
    let state = world.folder.path().join("state");
    done(&world, "ledger --config farebox.toml backup copy.db");
    payer.redeems(&spent, &body(1)).is_delivered("Okay");
    std::fs::rename(world.folder.path().join("copy.db"), state.join("ledger.db")).unwrap();
    payer.redeems(&unused, &body(2)).is(503, "ledger-down");
    wait_until("the fault to be known", || world.ready()["ledger"]["status"] == "down");
    assert!(world.ready()["ledger"]["why"].as_str().unwrap().contains("replaced"));
    // Nothing is sold.
    payer.tries_to_buy(&body(3)).is(503, "ledger-down");
    std::fs::remove_file(state.join("ledger.db")).unwrap();
    payer.redeems(&unused, &body(2)).is(503, "ledger-down");
    assert!(!state.join("ledger.db").exists(), "none was made");
    assert_eq!(world.upstream.count(), 1);
}

/// As a dump makes them: tables that are made anew, under a running gate.
fn put_a_dump_back(postgres: &Postgres) {
    for table in ["tickets", "answers"] {
        postgres.query(&format!(
            "ALTER TABLE farebox.{table} RENAME TO gone_{table};
             CREATE TABLE farebox.{table} (LIKE farebox.gone_{table} INCLUDING ALL);
             INSERT INTO farebox.{table} TABLE copy.{table}; DROP TABLE farebox.gone_{table}"
        ));
    }
}

#[test]
fn a_dump_that_was_put_back_is_noticed() {
    let postgres = Postgres::start();
    let mut world = World::with(Options::postgres(&postgres.url()));
    let payer = world.payer();
    let [spent, unused] = [1, 2].map(|n| payer.buys(&body(n)));
    postgres.query("CREATE SCHEMA copy");
    for table in ["tickets", "answers"] {
        postgres.query(&format!("CREATE TABLE copy.{table} AS TABLE farebox.{table}"));
    }
    payer.redeems(&spent, &body(1)).is_delivered("Okay");
    put_a_dump_back(&postgres);
    wait_until("the fault to be known", || world.ready()["ledger"]["status"] == "down");
    for _ in 0..20 {
        payer.redeems(&unused, &body(2)).is(503, "ledger-down");
    }
    world.gate.kill();
    let said = refused(&world);
    assert!(said.contains("ledger --config FILE restored"), "{said}");
    done(&world, RESTORED);
    world.restart();
    payer.redeems(&spent, &body(1)).is(504, "outcome-unknown");
    assert_eq!(world.upstream.count(), 1, "nothing was sent a second time");
    let new = payer.buys(&body(3));
    payer.redeems(&new, &body(3)).is_delivered("Okay");
}

/// Nobody knows what of it was used since the copy.
#[test]
fn a_counted_pass_of_an_earlier_life_is_held() {
    let pass = r#"
[[service]]
name = "counted"
method = "GET"
path = "/counted"
ticket = "pass"
pass_time = "1h"
pass_uses = 3
price_sat = 10
upstream = "http://UPSTREAM/send"
"#;
    let mut world = World::with(Options { more: pass.into(), ..Options::default() });
    let payer = world.payer_at("GET", "/counted");
    let pass = payer.buys("");
    payer.redeems(&pass, "").is_delivered("Okay");
    world.stop();
    done(&world, RESTORED);
    world.restart();
    payer.redeems(&pass, "").is(503, "ledger-down");
    world.operator_posts("/tickets/release?minted_before=4000000000");
    payer.redeems(&pass, "").is_delivered("Okay");
    assert_eq!(world.upstream.count(), 2);
}
