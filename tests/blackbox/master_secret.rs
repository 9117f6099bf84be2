//! Promise 3: tickets need the secret that they are signed with: it may be rotated, and is never
//! silently made anew.

use crate::support::postgres::Postgres;
use crate::support::world::Options;
use crate::support::{SMS, World};

/// Nothing starts; gives what is said.
fn refused(world: &World) -> String {
    let (status, said) = world.farebox("serve --config farebox.toml");
    assert!(!status.success(), "{said}");
    said
}

#[test]
fn a_secret_that_is_gone_is_asked_for_and_never_silently_made_anew() {
    let mut world = World::new();
    world.payer().buys(SMS);
    world.gate.kill();
    let secret = world.folder.path().join("state/master.secret");
    std::fs::remove_file(&secret).unwrap();
    let said = refused(&world);
    assert!(said.contains("master_secret"), "{said}");
    assert!(!secret.exists(), "never a silent new one");
}

/// Rotation in two steps: the new secret below, then on top.
#[test]
fn a_rotated_secret_takes_no_ticket_away_and_the_old_one_is_needed_until_then() {
    let mut world = World::new();
    let payer = world.payer();
    let older = payer.buys(SMS);
    world.gate.kill();
    let secret = world.folder.path().join("state/master.secret");
    let (old, new) = (std::fs::read_to_string(&secret).unwrap(), "cd".repeat(32));
    for order in [[&old, &new], [&new, &old]] {
        std::fs::write(&secret, order.map(String::as_str).join("\n")).unwrap();
        world.gate.kill();
        world.restart();
    }
    // A ticket of the old secret.
    payer.redeems(&older, SMS).is_delivered("Okay");
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    world.gate.kill();
    std::fs::write(&secret, &new).unwrap();
    let said = refused(&world);
    assert!(said.contains("still signed with"), "{said}");
}

/// The same with the ledger in PostgreSQL.
#[test]
fn a_secret_that_tickets_need_must_be_there_with_postgres_too() {
    let postgres = Postgres::start();
    let mut world = World::with(Options::postgres(&postgres.url()));
    world.gate.kill();
    let secret = world.folder.path().join("state/master.secret");
    std::fs::write(&secret, "02".repeat(32)).unwrap();
    let said = refused(&world);
    assert!(said.contains("still signed with are missing"), "{said}");
    std::fs::remove_file(&secret).unwrap();
    let said = refused(&world);
    assert!(said.contains("master.secret"), "{said}");
    assert!(!secret.exists());
}
