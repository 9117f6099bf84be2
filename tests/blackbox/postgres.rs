//! Promises 2 and 8: the ledger in PostgreSQL, and what becomes of tickets while it is away.

use crate::support::postgres::{Postgres, Wire, url, wait_for_row};
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, wait_until};

const OTHER: &str = r#"{"phone_number":"+1234567891","message":"x"}"#;

fn world(postgres: &Postgres) -> World {
    World::with(Options::postgres(&postgres.url()))
}

#[test]
fn the_three_steps_and_the_stored_answer_after_a_restart() {
    let postgres = Postgres::start();
    let mut world = world(&postgres);
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    world.crash_and_restart();
    payer.redeems(&ticket, SMS).is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
    payer.redeems(&ticket, OTHER).asks_to_pay("ticket-used");
    payer.redeems(&payer.buys(SMS), OTHER).is(422, "ticket-for-another-request");
    let (status, said) = world.farebox("check --config farebox.toml");
    assert!(
        status.success() && said.contains("ok       ledger: PostgreSQL: 1 ticket(s), 0 parked"),
        "{said}"
    );
}

#[test]
fn what_was_refused_is_free_and_works_when_its_turn_comes() {
    let postgres = Postgres::start();
    let world = world(&postgres);
    let payer = world.payer();
    world.upstream.behave(Behaviour::status(400, "no"));
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(502, "upstream-refused");
    payer.redeems(&ticket, SMS).is(429, "retry-later");
    world.upstream.behave(Behaviour::okay());
    payer.redeems_in_the_end(&ticket, SMS);
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn what_nobody_knows_is_parked_until_the_operator_releases_it() {
    let postgres = Postgres::start();
    let world = world(&postgres);
    let payer = world.payer();
    world.upstream.behave(Behaviour::CloseAfterReading);
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    payer.redeems(&ticket, SMS).is(504, "outcome-unknown");
    assert_eq!(world.upstream.count(), 1);
    let (list, hash) = (world.tickets_that_are("parked"), ticket.payment_hash());
    assert_eq!((list.len(), list[0]["ticket"].as_str()), (1, Some(hash.as_str())));
    assert_eq!(world.operator_orders(&hash, "release").json()["state"], "free");
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

#[test]
fn a_ticket_that_was_revoked_before_its_use_is_worthless() {
    let postgres = Postgres::start();
    let world = world(&postgres);
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let revoked = world.operator_orders(&ticket.payment_hash(), "revoke");
    assert_eq!(revoked.json()["state"], "revoked");
    payer.redeems(&ticket, SMS).asks_to_pay("ticket-revoked");
}

/// While the database is away nothing is sold or sent; the gate heals by itself.
fn sells_and_sends_nothing_without_its_database(
    take_away: impl FnOnce(&mut Postgres),
    give_back: impl FnOnce(&mut Postgres),
) {
    let mut postgres = Postgres::start();
    let world = world(&postgres);
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    take_away(&mut postgres);
    payer.redeems(&ticket, SMS).is(503, "ledger-down");
    world.wait_until_it_is_not_ready();
    payer.tries_to_buy(SMS).is(503, "ledger-down");
    world.serves_what_is_free();
    give_back(&mut postgres);
    world.wait_until_it_sells();
    payer.redeems_in_the_end(&ticket, SMS);
    assert_eq!(world.upstream.posts().len(), 1);
}

#[test]
fn while_its_database_is_stopped_nothing_is_sold_or_sent() {
    sells_and_sends_nothing_without_its_database(Postgres::stop, Postgres::start_again);
}

#[test]
fn while_its_database_is_frozen_nothing_is_sold_or_sent() {
    sells_and_sends_nothing_without_its_database(
        |postgres| postgres.signal_all("STOP"),
        |postgres| postgres.signal_all("CONT"),
    );
}

#[test]
fn it_starts_without_its_database() {
    let mut postgres = Postgres::start();
    postgres.stop();
    let world = world(&postgres);
    world.payer().tries_to_buy(SMS).is(503, "ledger-down");
    world.serves_what_is_free();
    postgres.start_again();
    world.wait_until_it_sells();
}

/// The claim is written, but its answer never comes: nothing was sent, and the row is taken back.
#[test]
fn a_claim_whose_answer_is_lost_sends_nothing_and_frees_the_ticket() {
    let postgres = Postgres::start();
    let wire = Wire::to(postgres.address);
    let world = World::with(Options::postgres(&url(wire.address)));
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    wire.cut_answers(true);
    payer.redeems(&ticket, SMS).is(503, "ledger-down");
    assert_eq!(world.upstream.count(), 0);
    wire.cut_answers(false);
    payer.redeems_in_the_end(&ticket, SMS);
    assert_eq!(world.upstream.count(), 1);
}

/// What was forgotten is not taken for what never was, whatever the clock says.
#[test]
fn pruning_leaves_a_watermark_and_keeps_what_is_still_worth_something() {
    let postgres = Postgres::start();
    let mut world = world(&postgres);
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let ticket = payer.pays(&challenge);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    world.upstream.behave(Behaviour::CloseAfterReading);
    let parked = payer.buys(SMS);
    payer.redeems(&parked, SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::okay());
    world.gate.kill();
    // As if all of it had happened long ago, which no request can have.
    let until = challenge.response.json()["expiresAt"].as_u64().unwrap() + 30 * 86_400;
    postgres.query(
        "UPDATE farebox.tickets SET valid_until = 1000, changed_ledger = 1000; UPDATE \
                    farebox.answers SET stored_at = 1000",
    );
    world.restart();
    wait_until("the delivered one to be forgotten", || {
        world.tickets_that_are("delivered").is_empty()
    });
    // Told nowhere outside.
    wait_for_row(&postgres, "SELECT count(*) FROM farebox.answers", "0");
    assert_eq!(postgres.query("SELECT value FROM farebox.marks WHERE name = 'watermark'"), "1000");
    // What is parked is never forgotten.
    payer.redeems(&parked, SMS).is(504, "outcome-unknown");
    // The mark as it would be if the row had had its own date.
    postgres.query(&format!("UPDATE farebox.marks SET value = {until} WHERE name = 'watermark'"));
    let count = world.upstream.count();
    payer.redeems(&ticket, SMS).asks_to_pay("ticket-expired");
    assert_eq!(world.upstream.count(), count);
}

/// A server that speaks TLS, and a gate that trusts this certificate for it.
fn over_tls(ca: &str) -> (tempfile::TempDir, Postgres, World) {
    let mut postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    crate::tls::certificate(folder.path(), "postgres");
    crate::tls::certificate(folder.path(), "other");
    postgres.speak_tls(&folder.path().join("postgres.crt"), &folder.path().join("postgres.key"));
    postgres.stop();
    postgres.start_again();
    let port = postgres.address.port();
    let url = format!("postgresql://postgres@localhost:{port}/postgres?sslmode=require");
    let ca = folder.path().join(ca).display().to_string();
    let more =
        format!("[ledger]\npostgres = {{ env = \"FAREBOX_LEDGER\" }}\npostgres_ca = \"{ca}\"\n");
    (folder, postgres, World::with(Options { more, ..Options::postgres(&url) }))
}

#[test]
fn a_server_with_the_right_certificate_is_spoken_to_over_tls() {
    let (_folder, postgres, world) = over_tls("postgres.crt");
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    assert_eq!(
        postgres.query(
            "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE \
             a.application_name = 'farebox'"
        ),
        "t"
    );
}

#[test]
fn a_server_with_another_certificate_counts_as_down() {
    let (_folder, _postgres, world) = over_tls("other.crt");
    world.payer().tries_to_buy(SMS).is(503, "ledger-down");
    world.gate.wait_until_it_says("certificate");
}

/// As a managed server does whose disk is full: it answers, and refuses every write.
#[test]
fn a_server_that_takes_no_writes_counts_as_down() {
    const END_CONNECTIONS: &str =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farebox'";
    let postgres = Postgres::start();
    let world = world(&postgres);
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    postgres.query("ALTER DATABASE postgres SET default_transaction_read_only = on");
    postgres.query(END_CONNECTIONS);
    world.wait_until_it_is_not_ready();
    payer.tries_to_buy(SMS).is(503, "ledger-down");
    payer.redeems(&ticket, SMS).is(503, "ledger-down");
    postgres.query_writing("ALTER DATABASE postgres RESET default_transaction_read_only");
    postgres.query(END_CONNECTIONS);
    payer.redeems_in_the_end(&ticket, SMS);
    assert_eq!(world.upstream.count(), 1);
}
