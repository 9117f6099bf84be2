//! The ledger in PostgreSQL, and several instances on it.

use crate::support::postgres::{Postgres, Wire, url, wait_for_row};
use crate::support::process::Process;
use crate::support::world::{Options, PATH};
use crate::support::{Behaviour, SMS, World, http, wait_until};

#[test]
fn the_three_steps_and_the_stored_answer_after_a_restart() {
    let postgres = Postgres::start();
    let mut world = World::with(Options::postgres(&postgres.url()));
    let (_, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).text(), "Okay");
    world.crash_and_restart();
    let again = world.redeem(&ticket, SMS);
    assert_eq!(
        (again.status, again.text().as_str(), again.header("idempotent-replayed")),
        (200, "Okay", Some("true"))
    );
    assert_eq!(world.upstream.count(), 1);
    let other = r#"{"phone_number":"+1234567891","message":"x"}"#;
    assert_eq!(world.redeem(&ticket, other).code(), "ticket-used");
    let (_, unused) = world.buy(SMS);
    assert_eq!(world.redeem(&unused, other).code(), "ticket-for-another-request");
    let (status, said) = Process::run_with(
        &["check", "--config", "farebox.toml"],
        world.folder.path(),
        &[("FAREBOX_LEDGER", &postgres.url())],
    );
    assert!(
        status.success() && said.contains("ok       ledger: PostgreSQL: 1 ticket(s), 0 parked"),
        "{said}"
    );
}

#[test]
fn each_outcome_has_its_row() {
    let postgres = Postgres::start();
    let world = World::with(Options::postgres(&postgres.url()));
    world.upstream.behave(Behaviour::status(400, "no"));
    let (_, free) = world.buy(SMS);
    assert_eq!(world.redeem(&free, SMS).code(), "upstream-refused");
    assert_eq!(world.redeem(&free, SMS).code(), "retry-later");
    world.upstream.behave(Behaviour::CloseAfterReading);
    let (challenge, parked) = world.buy(SMS);
    assert_eq!(world.redeem(&parked, SMS).code(), "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    assert_eq!(world.redeem(&parked, SMS).code(), "outcome-unknown");
    wait_until("its turn", || world.redeem(&free, SMS).status == 200);
    assert_eq!(world.upstream.count(), 3);
    let hash = challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
    let list = http::get(world.ops, "/tickets?state=parked").json();
    assert_eq!(
        (list.as_array().unwrap().len(), list[0]["ticket"].as_str()),
        (1, Some(hash.as_str()))
    );
    let path = format!("/tickets/{hash}/release");
    assert_eq!(http::send(world.ops, "POST", &path, &[], b"").json()["state"], "free");
    assert_eq!(world.redeem(&parked, SMS).status, 200);
    let (unused_challenge, unused) = world.buy(SMS);
    let hash = unused_challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
    assert_eq!(
        http::send(world.ops, "POST", &format!("/tickets/{hash}/revoke"), &[], b"").json()["state"],
        "revoked"
    );
    assert_eq!(world.redeem(&unused, SMS).code(), "ticket-revoked");
}

#[test]
fn two_instances_send_each_ticket_once_though_both_get_it_at_once() {
    let postgres = Postgres::start();
    let options = || Options {
        limits: "unpaid_per_client = 5000".into(),
        ..Options::postgres(&postgres.url())
    };
    let one = World::with(options());
    let two = World::before(one.upstream.clone(), options());
    const TICKETS: usize = 2000;
    let body = |n: usize| format!(r#"{{"message":"number {n}","phone_number":"+1234567890"}}"#);
    let tickets: Vec<String> = (0..TICKETS).map(|n| one.buy(&body(n)).1).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let n @ 0..TICKETS = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                    let body = body(n);
                    let statuses = std::thread::scope(|both| {
                        let first = both.spawn(|| one.redeem(&tickets[n], &body).status);
                        let second = both.spawn(|| two.redeem(&tickets[n], &body).status);
                        [first.join().unwrap(), second.join().unwrap()]
                    });
                    assert_eq!(statuses, [200, 200], "one waits for the other's answer");
                }
            });
        }
    });
    let mut seen: Vec<Vec<u8>> =
        one.upstream.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(seen.len(), TICKETS);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), TICKETS);
}

#[test]
fn without_its_database_nothing_is_sold_or_sent_and_it_heals_by_itself() {
    let mut postgres = Postgres::start();
    let world = World::with(Options::postgres(&postgres.url()));
    let (_, ticket) = world.buy(SMS);
    for how in ["stopped", "frozen"] {
        if how == "stopped" {
            postgres.stop()
        } else {
            postgres.signal_all("STOP")
        }
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (503, "ledger-down"), "{how}");
        wait_until("the ledger to be known as down", || {
            http::get(world.ops, "/readyz").status == 503
        });
        assert_eq!(world.post(&[], SMS).code(), "ledger-down", "{how}");
        assert_eq!(http::get(world.address, "/status").status, 200, "{how}: free services go on");
        if how == "stopped" {
            postgres.start_again()
        } else {
            postgres.signal_all("CONT")
        }
        wait_until("the sale to open again", || world.post(&[], SMS).status == 402);
    }
    wait_until("the ticket to be redeemed", || world.redeem(&ticket, SMS).status == 200);
    assert_eq!(
        world.upstream.requests().iter().filter(|request| request.line.starts_with("POST")).count(),
        1
    );
}

#[test]
fn it_starts_without_its_database() {
    let mut postgres = Postgres::start();
    postgres.stop();
    let world = World::with(Options::postgres(&postgres.url()));
    assert_eq!(world.post(&[], SMS).code(), "ledger-down");
    assert_eq!(http::get(world.address, "/status").status, 200);
    postgres.start_again();
    wait_until("the sale to open", || world.post(&[], SMS).status == 402);
}

/// The claim is written, but its answer never comes: nothing was sent, and the row is taken back.
#[test]
fn a_claim_whose_answer_is_lost_sends_nothing_and_frees_the_ticket() {
    let postgres = Postgres::start();
    let wire = Wire::to(postgres.address);
    let world = World::with(Options::postgres(&url(wire.address)));
    let (_, ticket) = world.buy(SMS);
    wire.cut_answers(true);
    assert_eq!(world.redeem(&ticket, SMS).code(), "ledger-down");
    assert_eq!(world.upstream.count(), 0);
    wire.cut_answers(false);
    wait_until("the ticket to be redeemed", || world.redeem(&ticket, SMS).status == 200);
    assert_eq!(world.upstream.count(), 1);
}

/// An instance stands still from before or after its claim until its lease has run out, and is then
/// let go on.
#[test]
fn an_instance_that_was_frozen_past_its_lease_sends_nothing() {
    let postgres = Postgres::start();
    let options = || Options {
        service: "timeout = \"500ms\"".into(),
        tickets: "wait = \"100ms\"".into(),
        ..Options::postgres(&postgres.url())
    };
    let mut frozen = World::with(options());
    let other = World::before(frozen.upstream.clone(), options());
    for (place, then) in [("after-claim", 504), ("before-claim", 200)] {
        let (challenge, ticket) = frozen.buy(SMS);
        let hash = challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
        frozen.gate.kill();
        frozen.restart_with(&[("FAREBOX_STOP_AT", place)]);
        let before = frozen.upstream.count();
        let address = frozen.address;
        let payer = {
            let ticket = ticket.clone();
            std::thread::spawn(move || {
                let headers =
                    [("Content-Type", "application/json"), ("Authorization", ticket.as_str())];
                http::try_send(address, "POST", PATH, &headers, SMS.as_bytes())
            })
        };
        wait_until("the instance to stand still", || frozen.gate.is_stopped());
        if place == "after-claim" {
            assert_eq!(other.redeem(&ticket, SMS).code(), "in-flight", "the lease holds");
            wait_for_row(
                &postgres,
                &format!("SELECT state FROM farebox.tickets WHERE hash = '\\x{hash}'"),
                "4",
            );
        }
        assert_eq!(other.redeem(&ticket, SMS).status, then, "{place}");
        frozen.gate.signal("CONT");
        let late = payer.join().unwrap();
        assert!(
            late.as_ref().is_none_or(
                |answer| answer.status != 200 || answer.header("idempotent-replayed").is_some()
            ),
            "{late:?}"
        );
        // It knows for certain that it sent nothing, and its claim is still the ticket's latest: so
        // the ticket is free, and sent once in all.
        wait_until("the ticket to be redeemed", || other.redeem(&ticket, SMS).status == 200);
        assert_eq!(frozen.upstream.count() - before, 1, "{place}");
    }
}

#[test]
fn a_revocation_counts_on_all_instances_at_once() {
    let postgres = Postgres::start();
    let one = World::with(Options::postgres(&postgres.url()));
    let two = World::before(one.upstream.clone(), Options::postgres(&postgres.url()));
    let (unused, unused_ticket) = one.buy(SMS);
    let (delivered, delivered_ticket) = one.buy(SMS);
    assert_eq!(two.redeem(&delivered_ticket, SMS).status, 200);
    for challenge in [unused, delivered] {
        let hash = challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
        http::send(one.ops, "POST", &format!("/tickets/{hash}/revoke"), &[], b"");
    }
    assert_eq!(two.redeem(&unused_ticket, SMS).code(), "ticket-revoked");
    // This one's answer is in the memory of the other instance, which hears of it within a second.
    wait_until("the other instance to know", || {
        two.redeem(&delivered_ticket, SMS).code() == "ticket-revoked"
    });
    assert_eq!(one.upstream.count(), 1);
}

/// What was forgotten is not taken for what never was, whatever the clock says.
#[test]
fn pruning_leaves_a_watermark_and_keeps_what_is_still_worth_something() {
    let postgres = Postgres::start();
    let mut world = World::with(Options::postgres(&postgres.url()));
    let (challenge, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
    world.upstream.behave(Behaviour::CloseAfterReading);
    let (_, parked) = world.buy(SMS);
    assert_eq!(world.redeem(&parked, SMS).code(), "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    world.gate.kill();
    // As if all of it had happened long ago.
    let until = challenge.response.json()["expiresAt"].as_u64().unwrap() + 30 * 86_400;
    postgres.query(
        "UPDATE farebox.tickets SET valid_until = 1000, changed_ledger = 1000; UPDATE \
                    farebox.answers SET stored_at = 1000",
    );
    world.restart();
    wait_for_row(&postgres, "SELECT count(*) FROM farebox.tickets WHERE state = 3", "0");
    wait_for_row(&postgres, "SELECT count(*) FROM farebox.answers", "0");
    assert_eq!(postgres.query("SELECT value FROM farebox.marks WHERE name = 'watermark'"), "1000");
    assert_eq!(
        world.redeem(&parked, SMS).code(),
        "outcome-unknown",
        "what is parked is never forgotten"
    );
    // The mark as it would be if the row had had its own date.
    postgres.query(&format!("UPDATE farebox.marks SET value = {until} WHERE name = 'watermark'"));
    let (count, answer) = (world.upstream.count(), world.redeem(&ticket, SMS));
    assert_eq!((answer.status, answer.code().as_str()), (402, "ticket-expired"));
    assert_eq!(world.upstream.count(), count);
}

#[test]
fn tls_to_the_server_is_verified() {
    let mut postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    crate::tls::certificate(folder.path(), "postgres");
    crate::tls::certificate(folder.path(), "other");
    postgres.speak_tls(&folder.path().join("postgres.crt"), &folder.path().join("postgres.key"));
    postgres.stop();
    postgres.start_again();
    let url = format!(
        "postgresql://postgres@localhost:{}/postgres?sslmode=require",
        postgres.address.port()
    );
    for (ca, works) in [("postgres.crt", true), ("other.crt", false)] {
        let mut options = Options::postgres(&url);
        options.more = format!(
            "[ledger]\npostgres = {{ env = \"FAREBOX_LEDGER\" }}\npostgres_ca = \"{}\"\n",
            folder.path().join(ca).display()
        );
        let world = World::with(options);
        if works {
            let (_, ticket) = world.buy(SMS);
            assert_eq!(world.redeem(&ticket, SMS).status, 200);
            assert_eq!(
                postgres.query(
                    "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING \
                     (pid) WHERE a.application_name = 'farebox'"
                ),
                "t"
            );
        } else {
            assert_eq!(world.post(&[], SMS).code(), "ledger-down");
            world.gate.wait_until_it_says("certificate");
        }
    }
}

/// As a managed server does whose disk is full: it answers, and refuses every write.
#[test]
fn a_server_that_takes_no_writes_counts_as_down() {
    let postgres = Postgres::start();
    let world = World::with(Options::postgres(&postgres.url()));
    let (_, ticket) = world.buy(SMS);
    let read_only = |on: &str| {
        postgres
            .query(&format!("ALTER DATABASE postgres SET default_transaction_read_only = {on}"));
        postgres.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE \
                        application_name = 'farebox'",
        );
    };
    read_only("on");
    wait_until("the ledger to be known as down", || http::get(world.ops, "/readyz").status == 503);
    assert_eq!(world.post(&[], SMS).code(), "ledger-down");
    assert_eq!(world.redeem(&ticket, SMS).code(), "ledger-down");
    postgres.query_writing("ALTER DATABASE postgres RESET default_transaction_read_only");
    postgres.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farebox'",
    );
    wait_until("the ticket to be redeemed", || world.redeem(&ticket, SMS).status == 200);
    assert_eq!(world.upstream.count(), 1);
}
