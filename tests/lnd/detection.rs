//! Payment detection with a real node: across restarts of either side, and what is no payment.

use crate::regtest::{Regtest, network};
use crate::support::world::Options;
use crate::support::{Challenge, SMS, World, http, wait_for, wait_until};
use crate::{open, wait_until_watching, watching};

fn paid_today(world: &World) -> u64 {
    let days = http::get(world.ops, "/tickets/stats?days=2").json();
    days.as_array().unwrap().iter().filter_map(|day| day["paid"].as_u64()).sum()
}

#[test]
fn a_payment_is_heard_of_and_its_preimage_handed_to_the_holder() {
    let network = network();
    let world = open(watching(&network.seller));
    let challenge = world.payer().asks(SMS);
    let before = world.payer().asks_for_status(&challenge);
    assert_eq!(
        (before.json()["state"].as_str(), before.header("l402-preimage")),
        (Some("unpaid"), None)
    );
    let preimage = network.payer.pay(&challenge.invoice).unwrap();
    wait_until("paid", || world.payer().state_of(&challenge) == "paid");
    assert_eq!(
        world.payer().asks_for_status(&challenge).header("l402-preimage"),
        Some(preimage.as_str())
    );
    assert_eq!(world.payer().sends_macaroon_alone(&challenge, SMS).text(), "Okay");
    assert_eq!(
        (world.payer().state_of(&challenge).as_str(), world.upstream.count()),
        ("delivered", 1)
    );
}

#[test]
fn no_payment_is_missed_and_none_counted_twice_across_restarts_of_both() {
    let mut network = network();
    let mut world = open(watching(&network.seller));
    let bought: Vec<Challenge> = (0..5).map(|_| world.payer().asks(SMS)).collect();
    let pay =
        |network: &Regtest, n: usize| network.payer.pay(&bought[n].invoice).map(drop).unwrap();
    // All is up.
    pay(&network, 0);
    wait_until("the first", || world.payer().state_of(&bought[0]) == "paid");
    // Farebox is down.
    world.gate.kill();
    pay(&network, 1);
    world.restart();
    wait_until_watching(&world);
    wait_until("the second", || world.payer().state_of(&bought[1]) == "paid");
    // LND restarts, and is paid before the stream is there again.
    network.restart_seller();
    network.wait_for_channel();
    pay(&network, 2);
    wait_until_watching(&world);
    wait_until("the third", || world.payer().state_of(&bought[2]) == "paid");
    // Both go down, LND is paid while Farebox is away.
    world.gate.kill();
    network.restart_seller();
    network.wait_for_channel();
    pay(&network, 3);
    world.restart();
    wait_until_watching(&world);
    wait_until("the fourth", || world.payer().state_of(&bought[3]) == "paid");
    pay(&network, 4);
    wait_until("the fifth", || world.payer().state_of(&bought[4]) == "paid");
    // Told again from the beginning, nothing is counted again.
    world.gate.kill();
    let database = rusqlite::Connection::open(world.folder.path().join("state/ledger.db")).unwrap();
    assert_eq!(
        database
            .execute("UPDATE marks SET value = 1 WHERE name LIKE 'settle-index %'", [])
            .unwrap(),
        1
    );
    drop(database);
    world.restart();
    wait_until_watching(&world);
    assert_eq!(paid_today(&world), 5);
    for challenge in &bought {
        assert_eq!(world.payer().sends_macaroon_alone(challenge, SMS).text(), "Okay");
    }
    assert_eq!((world.upstream.count(), paid_today(&world)), (5, 5));
    let day = wait_for("the books", || {
        let day = http::get(world.ops, "/tickets/stats?days=2").json()[0].clone();
        (day["unredeemed"] == 0).then_some(day)
    });
    assert_eq!(
        (day["minted"].as_u64(), day["redeemed"].as_u64(), day["paidMsat"].as_u64()),
        (Some(5), Some(5), Some(500_000)),
        "{day}"
    );
}

#[test]
fn run_out_cancelled_and_underpaid_is_not_paid() {
    let network = network();
    let options = watching(&network.seller);
    let world =
        open(Options { lnd: format!("{}\ninvoice_expiry = \"10s\"", options.lnd), ..options });
    let run_out = world.payer().asks(SMS);
    let long = open(watching(&network.seller));
    let (cancelled, underpaid) = (long.payer().asks(SMS), long.payer().asks(SMS));

    let hash = cancelled.response.json()["paymentHash"].as_str().unwrap().to_owned();
    network.seller.cli(&["cancelinvoice", &hash]);
    let refused = network.payer.pay(&cancelled.invoice).unwrap_err();
    assert!(
        refused.contains("INCORRECT_PAYMENT_DETAILS") || refused.contains("FAILED"),
        "{refused}"
    );

    let read = network.payer.cli(&["decodepayreq", &underpaid.invoice]);
    let text = |name: &str| read[name].as_str().unwrap().to_owned();
    let (to, hash, secret) = (text("destination"), text("payment_hash"), text("payment_addr"));
    let attempt = network.payer.try_cli(&[
        "sendpayment",
        "--force",
        &format!("--dest={to}"),
        "--amt=99",
        &format!("--payment_hash={hash}"),
        "--final_cltv_delta=80",
        &format!("--pay_addr={secret}"),
        "--timeout=20s",
    ]);
    let said = attempt.map_or_else(|said| said, |said| said.to_string());
    assert!(said.contains("INCORRECT") || said.contains("FAIL"), "{said}");
    assert_eq!(long.payer().state_of(&underpaid), "unpaid");
    assert_eq!(long.payer().sends_macaroon_alone(&underpaid, SMS).status, 402);

    wait_until("the invoice to run out", || world.payer().state_of(&run_out) == "expired");
    assert!(network.payer.pay(&run_out.invoice).is_err());
    let fresh = Challenge::from(world.payer().sends_macaroon_alone(&run_out, SMS));
    assert_ne!(fresh.invoice, run_out.invoice);
    // A cancelled one is told by a look-up when the stream begins.
    let mut long = long;
    long.crash_and_restart();
    wait_until_watching(&long);
    assert_eq!(long.payer().state_of(&cancelled), "expired");
    assert_eq!(
        (world.upstream.count(), long.upstream.count(), paid_today(&world), paid_today(&long)),
        (0, 0, 0, 0)
    );
}
