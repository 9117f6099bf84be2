//! Promise 9: what the command line says of tickets, to people and to programs.

use serde_json::Value;

use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, wait_until};

fn json(world: &World, arguments: &str) -> Value {
    let (status, said) = world.farebox(&format!("tickets --config ops.toml {arguments}"));
    assert!(status.success(), "{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"))
}

/// One of each kind, and the hashes of those that an account has.
fn some_of_each(world: &World) -> [String; 4] {
    let payer = world.payer();
    let [delivered, parked, free] = [1, 2, 3].map(|_| payer.buys(SMS));
    payer.redeems(&delivered, SMS).is_delivered("Okay");
    world.upstream.behave(Behaviour::CloseAfterReading);
    payer.redeems(&parked, SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::status(400, "no"));
    payer.redeems(&free, SMS).has_status(502);
    world.upstream.behave(Behaviour::okay());
    // Never handed in.
    let paid = payer.buys(SMS);
    payer.waits_until(&paid, "paid");
    payer.asks(SMS);
    [delivered, parked, free, paid].map(|ticket| ticket.payment_hash())
}

fn exports_what_was_sold(mut world: World) {
    world.write_ops_config();
    let hashes = some_of_each(&world);
    let check = |world: &World| {
        let all = json(world, "export --format json");
        let all = all.as_array().unwrap();
        assert_eq!(all.len(), 4, "{all:?}");
        for (hash, state) in hashes.iter().zip(["delivered", "parked", "free", "paid"]) {
            let one = all.iter().find(|one| one["payment_hash"] == **hash).unwrap();
            assert_eq!((&one["state"], &one["price_msat"]), (&state.into(), &100_000.into()));
            assert_eq!((&one["service"], &one["currency"]), (&"send-sms".into(), &Value::Null));
            assert_eq!(one["reference"].is_string(), state != "paid");
        }
        let (status, csv) = world.farebox("tickets --config ops.toml export");
        let mut lines = csv.lines();
        let head = "time,service,state,price_msat,currency,rate,payment_hash,reference";
        assert!(status.success() && lines.next() == Some(head), "{csv}");
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
        assert!(rows.len() == 4 && rows.iter().all(|row| row.len() == 8), "{csv}");
        assert!(rows.is_sorted_by_key(|row| row[0]) && rows[0][0].ends_with('Z'), "{csv}");
    };
    check(&world);
    if world.folder.path().join("state/ledger.db").exists() {
        world.stop();
        check(&world);
    }
}

#[test]
fn an_account_has_a_line_for_each_ticket() {
    let (_play, world) = World::watching();
    exports_what_was_sold(world);
}

#[test]
fn an_account_has_a_line_for_each_ticket_in_postgres_too() {
    let postgres = Postgres::start();
    let lnd = "detect_payments = true".into();
    exports_what_was_sold(World::with(Options { lnd, ..Options::postgres(&postgres.url()) }));
}

/// A page of an export has a thousand.
#[test]
fn a_long_account_is_whole() {
    let limits = "unpaid_per_client = 5000".into();
    let world = World::with(Options { limits, ..Options::default() });
    world.write_ops_config();
    let payer = world.payer();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..270 {
                    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
                }
            });
        }
    });
    let all = json(&world, "export --format json");
    let hashes = all.as_array().unwrap().iter().map(|one| one["payment_hash"].to_string());
    assert_eq!(hashes.collect::<std::collections::BTreeSet<_>>().len(), 1080);
}

#[test]
fn a_ticket_is_found_by_its_invoice_handed_in_or_not() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    world.write_ops_config();
    let challenge = payer.asks(SMS);
    for name in [&challenge.invoice, &format!("lightning:{}", challenge.invoice.to_uppercase())] {
        let mut found = Value::Null;
        wait_until("the challenge to be on record", || {
            let (status, said) =
                world.farebox(&format!("tickets --config ops.toml --output json show {name}"));
            found = serde_json::from_str(&said).unwrap_or_default();
            status.success()
        });
        assert_eq!(
            (&found["state"], &found["ticket"]),
            (&"unpaid".into(), &challenge.payment_hash().into())
        );
    }
    let ticket = payer.pays(&challenge);
    payer.waits_until(&ticket, "paid");
    assert_eq!(json(&world, &format!("show {}", challenge.invoice))["state"], "paid");
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    assert_eq!(json(&world, &format!("show {}", challenge.invoice))["state"], "delivered");
    let cut = &challenge.invoice[..100];
    let (status, said) = world.farebox(&format!("tickets --config ops.toml show {cut}"));
    assert!(status.code() == Some(2) && said.contains("no whole invoice"), "{said}");
}

#[test]
fn programs_get_json_and_people_a_table_with_a_legend() {
    let (_play, world) = World::watching();
    world.write_ops_config();
    let [_, parked, ..] = some_of_each(&world);
    let list = json(&world, "list --state parked");
    assert_eq!(list[0]["ticket"], *parked);
    let stats = json(&world, "stats");
    assert_eq!(stats["days"][0]["redeemed"], 1);
    let counts = stats["states"].as_array().unwrap().iter();
    let counts: Vec<_> = counts.map(|one| (&one["state"], &one["count"])).collect();
    let one = Value::from(1);
    let words = ["free", "delivered", "parked"].map(Value::from);
    assert_eq!(counts, words.iter().map(|word| (word, &one)).collect::<Vec<_>>());
    let (_, said) = world.farebox("tickets --config ops.toml --output table stats");
    for words in ["what is owed", "nobody knows whether", "3 (300 sat)", "tickets that are"] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let (_, said) = world.farebox("tickets --config ops.toml --output table list");
    assert!(said.lines().next().unwrap().starts_with(" changed"), "{said}");
}

#[test]
fn whether_it_lives_is_asked_by_a_container() {
    let mut world = World::new();
    world.write_ops_config();
    let live = |world: &World| {
        let (status, said) = world.farebox("check --config ops.toml --live");
        (status.code(), said)
    };
    assert_eq!(live(&world), (Some(0), "ok\n".to_owned()));
    world.upstream.stop();
    world.payer().redeems(&world.payer().buys(SMS), SMS).has_status(503);
    assert_eq!(live(&world), (Some(0), "degraded\n".to_owned()));
    world.stop();
    let (code, said) = live(&world);
    assert!(code == Some(1) && said.contains("`ops.address`"), "{said}");
}

#[test]
fn the_manual_and_the_completions_know_every_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let (status, page) = Process::run(&["man"], folder.path());
    assert!(status.success());
    for words in ["serve", "tickets export", "ledger backup", "EXIT STATUS", "\\-\\-live"] {
        assert!(page.contains(words), "{words}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (status, said) = Process::run(&["completions", shell], folder.path());
        assert!(status.success() && said.contains("export"), "{shell}");
    }
}
