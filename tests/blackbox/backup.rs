//! A backup and its restore, and a ledger that is not the one it was: nothing is sent twice.

use std::path::Path;
use std::process::Command;

use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::world::Options;
use crate::support::{Challenge, SMS, World, http, wait_until};

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

fn farebox(world: &World, arguments: &[&str]) -> (bool, String) {
    let (status, said) = Process::run(arguments, world.folder.path());
    (status.success(), said)
}

/// `serve` doesn't start; gives what it says.
fn refused(world: &World) -> String {
    let (started, said) = farebox(world, &["serve", "--config", "farebox.toml"]);
    assert!(!started, "{said}");
    said
}

fn stop(world: &mut World) {
    world.gate.signal("TERM");
    assert!(world.gate.wait().success());
}

#[test]
fn what_the_readme_says_of_backups_is_so() {
    let mut world = World::new();
    let [(_, before), (_, after), (_, unused)] = [1, 2, 3].map(|n| world.buy(&body(n)));
    assert_eq!(world.redeem(&before, &body(1)).status, 200);
    let [back_up, put_back] = <[String; 2]>::try_from(commands(&world)).unwrap();
    shell(&back_up, world.folder.path());
    assert_eq!(world.redeem(&after, &body(2)).status, 200);
    assert_eq!(world.upstream.count(), 2);
    world.gate.kill();
    // Without a word the copy isn't taken.
    let (copy, said) = put_back.split_at(put_back.find(env!("CARGO_BIN_EXE_farebox")).unwrap());
    shell(copy, world.folder.path());
    assert!(refused(&world).contains("ledger --config FILE restored"));
    let (checked, report) = farebox(&world, &["check", "--config", "farebox.toml"]);
    assert!(!checked && report.contains("FAILED   ledger"), "{report}");
    assert!(shell(said, world.folder.path()).contains("parked: 0 ticket(s)"));
    world.restart();
    let replayed = world.redeem(&before, &body(1));
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    for (ticket, n) in [(&after, 2), (&unused, 3)] {
        assert_eq!(world.redeem(ticket, &body(n)).code(), "outcome-unknown", "{n}");
    }
    assert_eq!(world.upstream.count(), 2, "nothing was sent a second time");
    let (_, new) = world.buy(&body(4));
    assert_eq!(world.redeem(&new, &body(4)).status, 200);
    let now = "4000000000";
    let release = format!("/tickets/release?minted_before={now}");
    assert_eq!(http::send(world.ops, "POST", &release, &[], b"").json()["released"], 2);
    assert_eq!(world.redeem(&unused, &body(3)).status, 200);
}

/// Whoever copies "the ledger and the master secret" after a stop has all of it.
#[test]
fn an_orderly_stop_leaves_everything_in_the_one_file() {
    let mut world = World::new();
    let (_, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
    stop(&mut world);
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
    assert_eq!(world.redeem(&ticket, SMS).header("idempotent-replayed"), Some("true"));
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_secret_is_used_beside_its_own_ledger_only() {
    let mut world = World::new();
    let [(_, spent), (_, unused)] = [1, 2].map(|n| world.buy(&body(n)));
    assert_eq!(world.redeem(&spent, &body(1)).status, 200);
    stop(&mut world);
    let state = world.folder.path().join("state");
    std::fs::rename(state.join("ledger.db"), state.join("old.db")).unwrap();
    let said = refused(&world);
    assert!(said.contains("there is none at") && said.contains("ledger --config"), "{said}");
    assert!(!state.join("ledger.db").exists(), "none was made");
    let new = ["ledger", "--config", "farebox.toml", "new"];
    assert!(farebox(&world, &new).0);
    assert!(!farebox(&world, &new).0, "never over an existing one");
    world.restart();
    for (ticket, n) in [(&spent, 1), (&unused, 2)] {
        assert_eq!(world.redeem(ticket, &body(n)).code(), "outcome-unknown", "{n}");
    }
    assert_eq!(world.upstream.count(), 1);
    // The old one isn't this secret's any more.
    stop(&mut world);
    std::fs::rename(state.join("old.db"), state.join("ledger.db")).unwrap();
    assert!(refused(&world).contains("was made for the ledger"));
}

#[test]
fn a_file_that_is_replaced_under_a_running_gate_is_noticed() {
    let world = World::new();
    let [(_, spent), (_, unused)] = [1, 2].map(|n| world.buy(&body(n)));
    let state = world.folder.path().join("state");
    let copy = ["ledger", "--config", "farebox.toml", "backup", "copy.db"];
    assert!(farebox(&world, &copy).0);
    assert_eq!(world.redeem(&spent, &body(1)).status, 200);
    std::fs::rename(world.folder.path().join("copy.db"), state.join("ledger.db")).unwrap();
    let answer = world.redeem(&unused, &body(2));
    assert_eq!((answer.status, answer.code().as_str()), (503, "ledger-down"));
    wait_until("the fault to be known", || world.ready()["ledger"]["status"] == "down");
    assert!(world.ready()["ledger"]["why"].as_str().unwrap().contains("replaced"));
    assert_eq!(world.post(&[], SMS).code(), "ledger-down", "nothing is sold");
    std::fs::remove_file(state.join("ledger.db")).unwrap();
    assert_eq!(world.redeem(&unused, &body(2)).code(), "ledger-down");
    assert!(!state.join("ledger.db").exists(), "none was made");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_dump_that_was_put_back_is_noticed() {
    let postgres = Postgres::start();
    let mut world = World::with(Options::postgres(&postgres.url()));
    let [(_, spent), (_, unused)] = [1, 2].map(|n| world.buy(&body(n)));
    postgres.query("CREATE SCHEMA copy");
    for table in ["tickets", "answers"] {
        postgres.query(&format!("CREATE TABLE copy.{table} AS TABLE farebox.{table}"));
    }
    assert_eq!(world.redeem(&spent, &body(1)).status, 200);
    // Tables that are made anew, as a dump makes them, under a running gate.
    for table in ["tickets", "answers"] {
        postgres.query(&format!(
            "ALTER TABLE farebox.{table} RENAME TO gone_{table};
             CREATE TABLE farebox.{table} (LIKE farebox.gone_{table} INCLUDING ALL);
             INSERT INTO farebox.{table} TABLE copy.{table}; DROP TABLE farebox.gone_{table}"
        ));
    }
    wait_until("the fault to be known", || world.ready()["ledger"]["status"] == "down");
    for _ in 0..20 {
        assert_eq!(world.redeem(&unused, &body(2)).code(), "ledger-down");
    }
    world.gate.kill();
    let url = postgres.url();
    let run = |arguments: &[&str]| {
        let environment = [("FAREBOX_LEDGER", url.as_str())];
        let (status, said) = Process::run_with(arguments, world.folder.path(), &environment);
        (status.success(), said)
    };
    let (started, said) = run(&["serve", "--config", "farebox.toml"]);
    assert!(!started && said.contains("ledger --config FILE restored"), "{said}");
    let (restored, said) = run(&["ledger", "--config", "farebox.toml", "restored"]);
    assert!(restored, "{said}");
    world.restart();
    assert_eq!(world.redeem(&spent, &body(1)).code(), "outcome-unknown");
    assert_eq!(world.upstream.count(), 1, "nothing was sent a second time");
    let (_, new) = world.buy(&body(3));
    assert_eq!(world.redeem(&new, &body(3)).status, 200);
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
    let get = |world: &World, headers: &[(&str, &str)]| {
        http::send(world.address, "GET", "/counted", headers, b"")
    };
    let challenge = Challenge::from(get(&world, &[]));
    let pass = format!("L402 {}:{}", challenge.macaroon, world.pay(&challenge));
    assert_eq!(get(&world, &[("Authorization", &pass)]).status, 200);
    stop(&mut world);
    assert!(farebox(&world, &["ledger", "--config", "farebox.toml", "restored"]).0);
    world.restart();
    let held = get(&world, &[("Authorization", &pass)]);
    assert_eq!((held.status, held.code().as_str()), (503, "ledger-down"));
    http::send(world.ops, "POST", "/tickets/release?minted_before=4000000000", &[], b"");
    assert_eq!(get(&world, &[("Authorization", &pass)]).status, 200);
    assert_eq!(world.upstream.count(), 2);
}
