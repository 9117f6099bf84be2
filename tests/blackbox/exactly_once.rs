//! Per ticket the upstream is asked at most once: under concurrency, a crash, a restart, a client
//! that leaves, a stop.

use std::sync::Barrier;

use crate::support::http::{Connection, request};
use crate::support::process::Process;
use crate::support::world::{Options, PATH};
use crate::support::{Behaviour, SMS, World, wait_until};

#[test]
fn a_hundred_parallel_uses_of_one_ticket_send_one_message() {
    let world = World::new();
    let (_, ticket) = world.buy(SMS);
    let (start, together) = (Barrier::new(100), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                start.wait();
                let answer = world.redeem(&ticket, SMS);
                together.lock().unwrap().push(answer);
            });
        }
    });
    let answers = together.into_inner().unwrap();
    assert!(
        answers.iter().all(|answer| answer.status == 200 && answer.text() == "Okay"),
        "{answers:?}"
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count(),
        1
    );
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn many_tickets_at_once_are_each_sent_once() {
    let world =
        World::with(Options { limits: "unpaid_per_client = 500".into(), ..Options::default() });
    let body = |n: usize| format!(r#"{{"phone_number":"+1234567890","message":"number {n}"}}"#);
    let tickets: Vec<String> = (0..60).map(|n| world.buy(&body(n)).1).collect();
    std::thread::scope(|scope| {
        for (n, ticket) in tickets.iter().enumerate() {
            for _ in 0..3 {
                let (world, body) = (&world, body(n));
                scope.spawn(move || assert_eq!(world.redeem(ticket, &body).status, 200));
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
    world.upstream.behave(Behaviour::Stall);
    let (_, ticket) = world.buy(SMS);
    let mut payer = Connection::open(world.address);
    payer.write(&request(
        "POST",
        PATH,
        &[("Content-Type", "application/json"), ("Authorization", &ticket)],
        SMS.as_bytes(),
    ));
    wait_until("the upstream to be asked", || world.upstream.count() == 1);
    world.crash_and_restart();
    world.upstream.behave(Behaviour::okay());
    world.upstream.release();
    for _ in 0..2 {
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (504, "outcome-unknown"));
        world.crash_and_restart();
    }
    assert_eq!(world.upstream.count(), 1);
    assert!(world.gate.output().contains("farebox") && !world.gate.output().contains("panicked"));
}

#[test]
fn a_client_that_leaves_does_not_stop_its_redemption() {
    let world = World::new();
    world.upstream.behave(Behaviour::Stall);
    let (_, ticket) = world.buy(SMS);
    let mut payer = Connection::open(world.address);
    payer.write(&request(
        "POST",
        PATH,
        &[("Content-Type", "application/json"), ("Authorization", &ticket)],
        SMS.as_bytes(),
    ));
    wait_until("the upstream to be asked", || world.upstream.count() == 1);
    drop(payer);
    world.upstream.release();
    wait_until("the stored answer", || {
        world.redeem(&ticket, SMS).header("idempotent-replayed") == Some("true")
    });
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_stop_waits_for_what_is_under_way_and_answers_it() {
    let mut world = World::new();
    world.upstream.behave(Behaviour::Stall);
    let (_, ticket) = world.buy(SMS);
    let mut payer = Connection::open(world.address);
    payer.write(&request(
        "POST",
        PATH,
        &[("Content-Type", "application/json"), ("Authorization", &ticket)],
        SMS.as_bytes(),
    ));
    wait_until("the upstream to be asked", || world.upstream.count() == 1);
    world.gate.signal("TERM");
    wait_until("the drain", || crate::support::http::get(world.ops, "/readyz").status == 503);
    assert_eq!(world.ready()["status"], "draining");
    world.upstream.release();
    let answer = payer.read().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "Okay"));
    assert!(world.gate.wait().success());
    world.restart();
    assert_eq!(world.redeem(&ticket, SMS).header("idempotent-replayed"), Some("true"));
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_stop_that_takes_too_long_says_so_and_leaves_the_ticket_parked() {
    let mut world =
        World::with(Options { listen: "drain = \"200ms\"".into(), ..Options::default() });
    world.upstream.behave(Behaviour::Stall);
    let (_, ticket) = world.buy(SMS);
    let mut payer = Connection::open(world.address);
    payer.write(&request(
        "POST",
        PATH,
        &[("Content-Type", "application/json"), ("Authorization", &ticket)],
        SMS.as_bytes(),
    ));
    wait_until("the upstream to be asked", || world.upstream.count() == 1);
    world.gate.signal("TERM");
    assert!(!world.gate.wait().success());
    world.restart();
    assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn one_ledger_serves_one_process() {
    let world = World::new();
    let (status, said) = Process::run(&["serve", "--config", "farebox.toml"], world.folder.path());
    assert!(!status.success());
    assert!(said.contains("in use by another Farebox"), "{said}");
}

/// The disk says no (here: another process holds the database): nothing is sent, nothing is lost,
/// and it heals.
#[test]
fn a_claim_that_can_not_be_made_durable_sends_nothing() {
    let world = World::new();
    let (_, ticket) = world.buy(SMS);
    let rival = rusqlite::Connection::open(world.folder.path().join("state/ledger.db")).unwrap();
    rival.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let answer = world.redeem(&ticket, SMS);
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.json()["retry"].as_str().unwrap()),
        (503, "ledger-down", "same-ticket")
    );
    wait_until("the ledger to be known as down", || {
        crate::support::http::get(world.ops, "/readyz").status == 503
    });
    let sale = world.post(&[], SMS);
    assert_eq!(
        (sale.status, sale.code().as_str()),
        (503, "ledger-down"),
        "no invoice while the ledger is down"
    );
    assert_eq!(
        crate::support::http::get(world.address, "/status").status,
        200,
        "free services go on"
    );
    assert_eq!(
        world.upstream.requests().iter().filter(|request| request.line.starts_with("POST")).count(),
        0
    );
    rival.execute_batch("ROLLBACK").unwrap();
    wait_until("the ticket to be redeemed", || world.redeem(&ticket, SMS).status == 200);
    assert_eq!(
        world.upstream.requests().iter().filter(|request| request.line.starts_with("POST")).count(),
        1
    );
}
