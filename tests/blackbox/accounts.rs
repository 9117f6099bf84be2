//! Promise 9: the accounts say what was asked for, paid and delivered, each of it once.

use crate::support::postgres::Postgres;
use crate::support::world::{Options, Play};
use crate::support::{SMS, World, wait_for, wait_until};

/// The accounts once they tell of so many challenges.
fn accounts_of(world: &World, challenges: u64) -> serde_json::Value {
    wait_for("the books", || Some(world.accounts()).filter(|day| day["minted"] == challenges))
}

/// Three challenges were paid, two of them redeemed, a fourth never paid.
#[test]
fn the_accounts_say_what_was_asked_for_paid_and_delivered() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    for redeemed in [true, true, false] {
        let ticket = payer.buys(SMS);
        payer.waits_until(&ticket, "paid");
        if redeemed {
            payer.redeems(&ticket, SMS).is_delivered("Okay");
        }
    }
    payer.asks(SMS);
    let day = accounts_of(&world, 4);
    let (paid, redeemed, owed) = (&day["paid"], &day["redeemed"], &day["unredeemed"]);
    assert_eq!(
        (paid.as_u64(), redeemed.as_u64(), owed.as_u64()),
        (Some(3), Some(2), Some(1)),
        "{day}"
    );
    assert_eq!(
        (day["service"].as_str(), day["mintedMsat"].as_u64(), day["unredeemedMsat"].as_u64()),
        (Some("send-sms"), Some(400_000), Some(100_000))
    );
    assert_eq!(world.metric("farebox_payments_total{service=\"send-sms\"}"), 3.0);
    assert_eq!(world.metric("farebox_payment_detection_up"), 1.0);
    world.write_ops_config();
    let (good, said) = world.farebox("tickets --config ops.toml --output table stats");
    assert!(
        good.success() && said.contains("4 (400 sat)") && said.contains("1 (100 sat)"),
        "{said}"
    );
}

#[test]
fn where_payments_are_not_detected_they_are_unknown_and_the_rest_is_counted() {
    let world = World::new();
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    let day = accounts_of(&world, 1);
    assert!(day["paid"].is_null() && day["unredeemed"].is_null() && day["redeemed"] == 1, "{day}");
}

/// Two gates on one database and one node.
fn two_instances() -> (Postgres, Play, World, World) {
    let (postgres, play) = (Postgres::start(), Play::new());
    let watched = play.watched();
    let options = Options {
        lnd: watched.lnd,
        service: watched.service,
        node: watched.node,
        wallet: watched.wallet,
        ..Options::postgres(&postgres.url())
    };
    let first = World::with(options.clone());
    let second = World::before(first.upstream.clone(), options);
    first.wait_until_payments_are_detected();
    second.wait_until_payments_are_detected();
    (postgres, play, first, second)
}

/// Each payment counts once, and either instance tells of it.
#[test]
fn two_instances_count_a_payment_once() {
    let (postgres, _play, first, second) = two_instances();
    let payers = [first.payer(), second.payer()];
    for n in 0..6 {
        let (seller, other) = (&payers[n % 2], &payers[1 - n % 2]);
        let challenge = seller.asks(SMS);
        seller.pays(&challenge);
        wait_until("paid, says the other", || other.state_of(&challenge) == "paid");
        wait_until("paid, says the seller", || seller.state_of(&challenge) == "paid");
        other.sends_macaroon_alone(&challenge, SMS).is_delivered("Okay");
    }
    let day = accounts_of(&first, 6);
    assert_eq!(
        (day["paid"].as_u64(), day["redeemed"].as_u64(), day["unredeemed"].as_u64()),
        (Some(6), Some(6), Some(0)),
        "{day}"
    );
    // The index by which the stream is resumed is told nowhere outside.
    let index = "SELECT value FROM farebox.marks WHERE name LIKE 'settle-index %'";
    assert_eq!(postgres.query(index), "6");
}

/// A challenge of which no row tells (a crash came first), asked about by many at once: it is
/// written down once, and counts once.
#[test]
fn two_instances_write_a_lost_challenge_down_once() {
    let (postgres, _play, first, second) = two_instances();
    let payers = [first.payer(), second.payer()];
    let lost = payers[0].asks(SMS);
    first.wait_until_minted(1);
    postgres.query("DELETE FROM farebox.challenges WHERE state = 1");
    std::thread::scope(|scope| {
        for payer in payers.iter().cycle().take(8) {
            scope.spawn(|| assert_eq!(payer.state_of(&lost), "unpaid"));
        }
    });
    payers[0].pays(&lost);
    for payer in &payers {
        payer.waits_until(&lost, "paid");
    }
    assert_eq!(first.accounts()["paid"], 1);
    payers[0].sends_macaroon_alone(&lost, SMS).is_delivered("Okay");
}
