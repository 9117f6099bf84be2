//! Promise 2: per ticket the upstream is asked at most once: under concurrency, a crash, a restart,
//! a client that leaves, a stop.

use std::net::TcpListener;
use std::sync::Barrier;

use crate::support::process::Process;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, ledger_file, wait_until};

#[test]
fn a_hundred_parallel_uses_of_one_ticket_send_one_message() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let (start, together) = (Barrier::new(100), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                start.wait();
                let answer = payer.redeems(&ticket, SMS);
                together.lock().unwrap().push(answer);
            });
        }
    });
    let answers = together.into_inner().unwrap();
    let (replayed, delivered): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.was_replayed());
    for answer in replayed {
        answer.is_replayed("Okay");
    }
    assert_eq!(delivered.len(), 1);
    delivered[0].is_delivered("Okay");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn many_tickets_at_once_are_each_sent_once() {
    let world =
        World::with(Options { limits: "unpaid_per_client = 500".into(), ..Options::default() });
    let payer = world.payer();
    let body = |n: usize| format!(r#"{{"phone_number":"+1234567890","message":"number {n}"}}"#);
    let tickets: Vec<_> = (0..60).map(|n| payer.buys(&body(n))).collect();
    std::thread::scope(|scope| {
        for (n, ticket) in tickets.iter().enumerate() {
            for _ in 0..3 {
                let (payer, body) = (&payer, body(n));
                scope.spawn(move || {
                    payer.redeems(ticket, &body).has_status(200);
                });
            }
        }
    });
    let mut seen: Vec<Vec<u8>> =
        world.upstream.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(seen.len(), 60);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 60);
}

#[test]
fn killed_between_claim_and_answer_the_ticket_is_parked_not_free() {
    let mut world = World::new();
    let payer = world.payer();
    world.upstream.behave(Behaviour::Stall);
    let ticket = payer.buys(SMS);
    let _under_way = payer.starts_to_redeem(&ticket, SMS);
    world.upstream.wait_until_asked();
    world.crash_and_restart();
    world.upstream.behave(Behaviour::okay());
    world.upstream.release();
    for _ in 0..2 {
        payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
        world.crash_and_restart();
    }
    assert_eq!(world.upstream.count(), 1);
    assert!(world.gate.output().contains("farebox") && !world.gate.output().contains("panicked"));
}

#[test]
fn a_client_that_leaves_does_not_stop_its_redemption() {
    let world = World::new();
    let payer = world.payer();
    world.upstream.behave(Behaviour::Stall);
    let ticket = payer.buys(SMS);
    let under_way = payer.starts_to_redeem(&ticket, SMS);
    world.upstream.wait_until_asked();
    drop(under_way);
    world.upstream.release();
    wait_until("the stored answer", || payer.redeems(&ticket, SMS).was_replayed());
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_stop_waits_for_what_is_under_way_and_answers_it() {
    let mut world = World::new();
    let payer = world.payer();
    world.upstream.behave(Behaviour::Stall);
    let ticket = payer.buys(SMS);
    let mut under_way = payer.starts_to_redeem(&ticket, SMS);
    world.upstream.wait_until_asked();
    world.gate.signal("TERM");
    world.wait_until_it_is_not_ready();
    assert_eq!(world.ready()["status"], "draining");
    world.upstream.release();
    under_way.read().unwrap().is_delivered("Okay");
    assert!(world.gate.wait().success());
    world.restart();
    payer.redeems(&ticket, SMS).is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_stop_that_takes_too_long_says_so_and_leaves_the_ticket_parked() {
    let mut world =
        World::with(Options { listen: "drain = \"200ms\"".into(), ..Options::default() });
    let payer = world.payer();
    world.upstream.behave(Behaviour::Stall);
    let ticket = payer.buys(SMS);
    let _under_way = payer.starts_to_redeem(&ticket, SMS);
    world.upstream.wait_until_asked();
    world.gate.signal("TERM");
    assert!(!world.gate.wait().success());
    world.restart();
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_signal_that_means_nothing_is_said_and_ends_nothing() {
    let mut world = World::new();
    for name in ["USR1", "USR2"] {
        world.gate.signal(name);
        world.gate.wait_until_it_says(&format!("SIG{name} is ignored"));
    }
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    world.gate.signal("QUIT");
    assert!(world.gate.wait().success(), "an orderly stop");
}

/// Here it waits for a database that takes the connection and says nothing.
#[test]
fn a_stop_is_heard_before_it_serves() {
    let mut world = World::new();
    world.stop();
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://farebox@{}/farebox", database.local_addr().unwrap());
    let config = world.config() + "\n[ledger]\npostgres = { env = \"SILENT_DATABASE\" }\n";
    std::fs::write(world.folder.path().join("silent.toml"), config).unwrap();
    let mut farebox = Process::start_with(
        &["serve", "--config", "silent.toml"],
        world.folder.path(),
        &[("SILENT_DATABASE", &url)],
    );
    let _connection = database.accept().unwrap();
    farebox.signal("TERM");
    assert!(farebox.wait().success(), "{}", farebox.output_to_its_end());
    assert!(farebox.output_to_its_end().contains("stopped before it served"));
}

#[test]
fn one_ledger_serves_one_process() {
    let world = World::new();
    let (status, said) = world.farebox("serve --config farebox.toml");
    assert!(!status.success());
    assert!(said.contains("in use by another Farebox"), "{said}");
}

/// The disk says no (here: another process holds the database): nothing is sent, nothing is lost,
/// and it heals.
#[test]
fn a_claim_that_can_not_be_made_durable_sends_nothing() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let rival = ledger_file::hold(&world);
    payer.redeems(&ticket, SMS).is(503, "ledger-down").advises("same-ticket");
    world.wait_until_it_is_not_ready();
    // No invoice while the ledger is down.
    payer.tries_to_buy(SMS).is(503, "ledger-down");
    world.serves_what_is_free();
    assert_eq!(world.upstream.posts().len(), 0);
    rival.execute_batch("ROLLBACK").unwrap();
    payer.redeems_in_the_end(&ticket, SMS);
    assert_eq!(world.upstream.posts().len(), 1);
}
