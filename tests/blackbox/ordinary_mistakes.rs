//! Promises 8 and 9: what an operator gets wrong on an ordinary day is said before it costs
//! anything, by `check` and `serve` alike.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::support::pooler::Pooler;
use crate::support::postgres::Postgres;
use crate::support::process::{CONFIG_FAULT, Process};
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World};

/// What `check` and then `serve` say of a changed config that neither may take.
#[track_caller]
fn refused(world: &World, changes: &[(&str, &str)]) -> String {
    world.write_config("wrong.toml", changes);
    let mut all = String::new();
    for command in ["check", "serve"] {
        let (status, said) = world.farebox(&format!("{command} --config wrong.toml"));
        assert!(matches!(status.code(), Some(1 | CONFIG_FAULT)), "{command}: {said}");
        all.push_str(&said);
    }
    all
}

fn checked(world: &World, changes: &[(&str, &str)]) -> (bool, String) {
    world.write_config("checked.toml", changes);
    let (status, said) = world.farebox("check --config checked.toml");
    (status.success(), said)
}

const LISTEN: &str = "[listen]\naddress = \"127.0.0.1:0\"";
const OPS: &str = "[ops]\naddress = \"127.0.0.1:0\"";

#[test]
fn a_port_that_another_process_has() {
    let mut world = World::new();
    world.stop();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (from, key) in [(LISTEN, "`listen.address`"), (OPS, "`ops.address`")] {
        let to = from.replace("127.0.0.1:0", &address.to_string());
        let said = refused(&world, &[(from, &to)]);
        assert!(said.matches(key).count() >= 2, "{said}");
        assert!(said.contains("FAILED   port") && said.contains("ss -ltnp"), "{said}");
    }
    let said = refused(&world, &[(LISTEN, "[listen]\naddress = \"192.0.2.1:8402\"")]);
    assert!(said.contains("no interface of this machine has it"), "{said}");
}

#[test]
fn a_port_that_our_own_serve_has_is_well() {
    let world = World::new();
    let (gate, ops) = (world.address.to_string(), world.ops.to_string());
    let (listen, ops) = (LISTEN.replace("127.0.0.1:0", &gate), OPS.replace("127.0.0.1:0", &ops));
    let (fine, said) = checked(&world, &[(LISTEN, &listen), (OPS, &ops)]);
    assert!(fine, "{said}");
    assert_eq!(said.matches("is held by the `serve` of this ledger").count(), 2, "{said}");
    // Of another ledger, it is somebody else.
    let other = World::new();
    let (fine, said) = checked(&other, &[(LISTEN, &listen), (OPS, &ops)]);
    assert!(!fine && said.matches("FAILED   port").count() == 2, "{said}");
}

#[test]
fn one_port_for_both_listeners() {
    let world = World::new();
    let said = refused(
        &world,
        &[(LISTEN, &LISTEN.replace(":0", ":8409")), (OPS, &OPS.replace(":0", ":8409"))],
    );
    assert!(said.contains("wrong.toml:9: `listen.address`"), "with its line: {said}");
    assert_eq!(said.matches("give `ops.address` another port").count(), 2, "{said}");
}

#[test]
fn an_upstream_that_is_the_gate_itself() {
    let world = World::new();
    let upstream = format!("http://{}/send", world.upstream.address);
    for own in ["127.0.0.1:8409", "localhost:8409"] {
        let changes = [
            (LISTEN, LISTEN.replace(":0", ":8409")),
            (upstream.as_str(), format!("http://{own}/send")),
        ];
        let changes = changes.each_ref().map(|(from, to)| (*from, to.as_str()));
        let said = refused(&world, &changes);
        let words = "wrong.toml:32: service `send-sms`: its `upstream` is Farebox itself";
        assert_eq!(said.matches(words).count(), 2, "{own}: {said}");
    }
}

#[test]
fn a_keyword_that_no_schema_has() {
    let mut world = World::new();
    world.stop();
    let said = refused(&world, &[("maxLength = 120", "maxLenght = 120")]);
    assert_eq!(said.matches("is `maxLength` meant?").count(), 2, "{said}");
    assert!(said.contains("/properties/message/maxLenght"), "{said}");
    let (fine, said) = checked(&world, &[("maxLength = 120", "maxLength = 120\nlabel = \"Text\"")]);
    assert!(fine && said.contains("note     service send-sms: `input`: "), "{said}");
    assert!(said.contains("/properties/message/label is no keyword"), "{said}");
}

#[test]
fn an_operators_listener_that_all_reach_without_a_token() {
    let world = World::new();
    let open = OPS.replace("127.0.0.1:0", "0.0.0.0:0");
    let said = refused(&world, &[(OPS, &open)]);
    assert_eq!(said.matches("set `ops.token`").count(), 2, "{said}");
    std::fs::write(world.folder.path().join("empty"), "\n").unwrap();
    let empty = format!("{OPS}\ntoken = {{ file = \"empty\" }}");
    assert!(refused(&world, &[(OPS, &empty)]).contains("`ops.token`"));
}

#[test]
fn buyers_behind_a_proxy_that_nobody_named() {
    let world = World::new();
    let (fine, said) = checked(&world, &[("trusted_proxies = [\"127.0.0.1\"]", "")]);
    assert!(fine && said.contains("is there a proxy in front?"), "{said}");
    let (_, said) = checked(&world, &[]);
    assert!(!said.contains("is there a proxy in front?"), "{said}");
}

#[test]
fn a_secret_that_every_user_may_read() {
    let mut world = World::new();
    world.stop();
    let secret = world.folder.path().join("state/master.secret");
    let state = secret.parent().unwrap();
    assert_eq!(std::fs::metadata(state).unwrap().mode() & 0o777, 0o700);
    let (_, said) = checked(&world, &[]);
    assert!(!said.contains("master.secret: `chmod"), "{said}");
    let changes = [("[tickets]", "[tickets]\nmaster_secret = { file = \"master.secret\" }")];
    for (path, mode) in [(&*secret, 0o644), (state, 0o755), (world.folder.path(), 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let (fine, said) = checked(&world, &changes);
    assert!(fine && said.contains("every user of this machine may read"), "{said}");
    world.write_config("farebox.toml", &changes);
    world.restart();
    world.gate.wait_until_it_says("every user of this machine may read");
}

#[test]
fn a_backend_that_refuses_is_found_before_the_first_buyer() {
    let mut world = World::new();
    world.stop();
    std::fs::write(world.folder.path().join("order.json"), SMS).unwrap();
    let send = || world.farebox("check --config farebox.toml --send order.json");
    let (status, said) = send();
    assert!(status.success() && said.contains("answered 200 OK: Okay, which counts as"), "{said}");
    let asked = world.upstream.last();
    assert_eq!(asked.line, "POST /send?account=7 HTTP/1.1");
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization"), Some("Bearer backend-token-hunter2"));
    assert!(asked.header("farebox-reference").is_some());
    for (behaviour, words) in [
        (Behaviour::status(403, "bad token hunter2"), "answered 403 Forbidden: bad token"),
        (
            Behaviour::status(500, "oops"),
            "500 Internal Server Error: oops, of which nobody knows what it means",
        ),
        (Behaviour::CloseAfterReading, "gave no answer"),
    ] {
        world.upstream.behave(behaviour);
        let (status, said) = send();
        assert!(status.code() == Some(1) && said.contains(words), "{said}");
        assert!(!said.contains("backend-token"), "{said}");
    }
    let count = world.upstream.count();
    std::fs::write(world.folder.path().join("order.json"), "{}").unwrap();
    let (status, said) = send();
    assert!(status.code() == Some(1) && said.contains("lacks `phone_number`"), "{said}");
    let (_, said) = world.farebox("check --config farebox.toml --send order.json --service free");
    assert!(said.contains("no service of this name that sells"), "{said}");
    let (status, said) = world.farebox("check --config farebox.toml");
    assert!(status.success(), "{said}");
    assert_eq!(world.upstream.count(), count, "without it nothing is sent");
}

#[test]
fn a_pooler_that_gives_each_transaction_another_session() {
    let postgres = Postgres::start();
    let pooler = Pooler::start(&postgres, "transaction");
    let mut world = World::with(Options::postgres(&postgres.url()));
    world.stop();
    let environment = [("FAREBOX_LEDGER", pooler.url())];
    let environment = environment.each_ref().map(|(name, url)| (*name, url.as_str()));
    for (command, code) in [("check", 1), ("serve", CONFIG_FAULT)] {
        let arguments = [command, "--config", "farebox.toml"];
        let (status, said) = Process::run_with(&arguments, world.folder.path(), &environment);
        assert_eq!(status.code(), Some(code), "{command}: {said}");
        assert!(said.contains("pool_mode = session"), "{command}: {said}");
    }
    drop(pooler);
    let pooler = Pooler::start(&postgres, "session");
    world.restart_with(&[("FAREBOX_LEDGER", &pooler.url())]);
    let payer = world.payer();
    for _ in 0..12 {
        payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    }
}

/// Promises 3 and 9: tickets of one network are strangers on another.
fn a_ledger_of_another_network(mut world: World, put_aside: impl Fn(&World)) {
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    world.stop();
    world.write_config("other.toml", &[("\"regtest\"", "\"signet\"")]);
    for (command, code) in [("check", 1), ("serve", CONFIG_FAULT)] {
        let (status, said) = world.farebox(&format!("{command} --config other.toml"));
        let words = "holds what was offered or sold on regtest, and `lnd.network` says signet";
        assert!(status.code() == Some(code) && said.contains(words), "{command}: {said}");
        assert!(said.contains("farebox ledger"), "{command}: {said}");
    }
    world.restart();
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    // As it is advised.
    world.stop();
    put_aside(&world);
    let (status, said) = world.farebox("ledger --config other.toml new");
    assert!(status.success(), "{said}");
    let (_, said) = world.farebox("check --config other.toml");
    assert!(!said.contains("FAILED   ledger") && !said.contains("FAILED   secret"), "{said}");
    std::fs::rename(
        world.folder.path().join("other.toml"),
        world.folder.path().join("farebox.toml"),
    )
    .unwrap();
    world.start_again();
    world.wait_until_node_is("wrong-invoice");
}

#[test]
fn a_sqlite_ledger_of_another_network() {
    a_ledger_of_another_network(World::new(), |world| {
        let state = world.folder.path().join("state");
        for file in std::fs::read_dir(&state).unwrap().map(|file| file.unwrap()) {
            if file.file_name().to_str().unwrap().starts_with("ledger.db") {
                std::fs::rename(file.path(), world.folder.path().join(file.file_name())).unwrap();
            }
        }
    });
}

#[test]
fn a_postgres_ledger_of_another_network() {
    let postgres = Postgres::start();
    a_ledger_of_another_network(World::with(Options::postgres(&postgres.url())), |_| {
        postgres.query("ALTER SCHEMA farebox RENAME TO farebox_of_regtest");
    });
}

/// Then nothing is lost, nor mixed.
#[test]
fn a_network_may_change_before_anything_is_sold() {
    let postgres = Postgres::start();
    for options in [Options::default(), Options::postgres(&postgres.url())] {
        let mut world = World::with(options);
        for (from, to) in [("regtest", "signet"), ("signet", "regtest")] {
            world.stop();
            world.write_config("farebox.toml", &[(&format!("\"{from}\""), &format!("\"{to}\""))]);
            let (_, said) = world.farebox("check --config farebox.toml");
            assert!(!said.contains("FAILED   ledger"), "{said}");
            world.start_again();
        }
        world.wait_until_it_sells();
    }
}

/// What `serve` would meet in the database, `check` looks at.
#[test]
fn a_database_that_belongs_to_another_secret() {
    let postgres = Postgres::start();
    let mut world = World::with(Options::postgres(&postgres.url()));
    world.payer().redeems(&world.payer().buys(SMS), SMS).is_delivered("Okay");
    world.stop();
    std::fs::write(world.folder.path().join("state/master.secret"), "ab".repeat(32)).unwrap();
    let (status, said) = world.farebox("check --config farebox.toml");
    assert!(status.code() == Some(1) && said.contains("FAILED   ledger"), "{said}");
    assert!(said.contains("1 master secret(s) that tickets are still signed with"), "{said}");
}

/// A file may lie where something is yet to be mounted: a supervisor does well to try again.
#[test]
fn a_fault_that_may_pass_by_itself_is_told_from_others_by_the_exit_code() {
    let mut world = World::new();
    world.stop();
    let token = |source: &str| format!("{OPS}\ntoken = {source}");
    for (source, code) in [
        ("{ file = \"nowhere\" }", 1),
        ("{ env = \"NOWHERE\" }", CONFIG_FAULT),
        ("5", CONFIG_FAULT),
    ] {
        world.write_config("wrong.toml", &[(OPS, &token(source))]);
        let (status, said) = world.farebox("serve --config wrong.toml");
        assert!(status.code() == Some(code) && said.contains("wrong.toml:"), "{source}: {said}");
    }
}

#[test]
fn a_port_for_plain_http_that_is_not_our_own() {
    let world = World::new();
    world.pin_port();
    world.write_ops_config();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let changed = format!("acme = {{ domains = [\"sms.example.com\"] }}\nredirect = \"{at}\"");
    let ops = std::fs::read_to_string(world.folder.path().join("ops.toml")).unwrap();
    let ops = ops.replacen("plain_http = true", &changed, 1);
    std::fs::write(world.folder.path().join("redirects.toml"), ops).unwrap();
    let (_, said) = world.farebox("check --config redirects.toml");
    assert!(
        said.contains(&format!("`listen.redirect`: plain HTTP can't listen on {at}")),
        "{said}"
    );
}

#[test]
fn a_word_for_the_log_that_means_nothing() {
    let mut world = World::new();
    world.stop();
    for (command, code) in [("check", 1), ("serve", CONFIG_FAULT)] {
        let arguments = [command, "--config", "farebox.toml"];
        let environment = [("RUST_LOG", "farebox=loud")];
        let (status, said) = Process::run_with(&arguments, world.folder.path(), &environment);
        assert_eq!(status.code(), Some(code), "{command}: {said}");
        assert!(said.contains("RUST_LOG"), "{command}: {said}");
    }
}
