//! Promise 3: payments are detected: none is missed, none is counted twice, whatever ends the
//! node's stream.

use std::time::{Duration, Instant};

use crate::support::{SMS, World, ledger_file, wait_until};

fn wait_until_the_stream_ends(world: &World) {
    wait_until("the end of the stream", || world.ready()["payments"]["status"] != "ok");
}

#[test]
fn every_end_of_the_stream_is_resumed_and_a_payment_counts_once() {
    let (play, mut world) = World::watching();
    let payer = world.payer();
    let bought: Vec<_> = (0..3).map(|_| payer.asks(SMS)).collect();
    payer.pays(&bought[0]);
    payer.waits_until(&bought[0], "paid");
    // A clean end: the wallet is locked, and unlocked after a payment (which a play node takes all
    // the same).
    play.order("locked");
    wait_until_the_stream_ends(&world);
    play.pays(&bought[1]);
    play.order("up");
    world.wait_until_payments_are_detected();
    assert_eq!(payer.state_of(&bought[1]), "paid");
    // Down, and a crash of ours meanwhile.
    play.order("down");
    wait_until_the_stream_ends(&world);
    play.pays(&bought[2]);
    world.gate.kill();
    play.order("up");
    world.restart();
    world.wait_until_payments_are_detected();
    for challenge in &bought {
        assert_eq!(payer.state_of(challenge), "paid");
    }
    let day = world.accounts();
    assert_eq!(
        (day["minted"].as_u64(), day["paid"].as_u64(), day["paidMsat"].as_u64()),
        (Some(3), Some(3), Some(300_000)),
        "{day}"
    );
    assert_eq!((day["redeemed"].as_u64(), day["unredeemed"].as_u64()), (Some(0), Some(3)));
}

/// Before the first payment there is no index to resume by: what was paid meanwhile is looked up.
#[test]
fn what_the_stream_can_not_replay_is_looked_up() {
    let (play, mut world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    world.wait_until_minted(1);
    world.gate.kill();
    // The node's first payment: index 1, which no stream replays.
    play.pays(&challenge);
    world.restart();
    payer.waits_until(&challenge, "paid");
    payer.sends_macaroon_alone(&challenge, SMS).is_delivered("Okay");
}

/// The index that was saved is ahead of the node's (another node, or one restored): the stream
/// would stay silent for ever.
#[test]
fn an_index_of_another_node_is_found_out() {
    let (play, mut world) = World::watching();
    let payer = world.payer();
    let first = payer.buys(SMS);
    payer.waits_until(&first, "paid");
    world.gate.kill();
    ledger_file::set_settle_index(&world, 1000);
    world.restart();
    world.wait_until_payments_are_detected();
    let second = payer.asks(SMS);
    play.pays(&second);
    // What turns up only after a crash may be older than the accounts, and says nothing of the
    // index.
    world.wait_until_minted(2);
    // Told by a look-up at the latest when the stream begins again.
    world.crash_and_restart();
    payer.waits_until(&second, "paid");
    wait_until("a new beginning", || ledger_file::settle_index(&world) == Some(2));
    world.wait_until_payments_are_detected();
    let third = payer.asks(SMS);
    payer.pays(&third);
    wait_until("the third, by the stream", || payer.state_of(&third) == "paid");
    assert_eq!(world.accounts()["paid"], 3);
}

/// Promise 4: the stream seems well and tells nothing. Before a client is given a new invoice, the
/// old one is looked up.
#[test]
fn nobody_is_asked_to_pay_again_for_what_a_silent_stream_did_not_tell() {
    let (play, mut world) = World::watching();
    let payer = world.payer();
    let first = payer.buys(SMS);
    payer.waits_until(&first, "paid");
    let second = payer.asks(SMS);
    world.wait_until_minted(2);
    world.gate.kill();
    ledger_file::set_settle_index(&world, 1000);
    // From now on its invoice isn't remembered, so it can't be given again.
    world.restart();
    world.wait_until_payments_are_detected();
    play.pays(&second);
    payer.sends_macaroon_alone(&second, SMS).is_delivered("Okay");
}

/// Nothing is sold meanwhile: the stream's end has the node looked at, long before its next turn.
#[test]
fn the_end_of_the_stream_shows_in_the_nodes_state_at_once() {
    let (play, world) = World::watching();
    play.order("locked");
    let started = Instant::now();
    wait_until("locked", || world.ready()["node"]["status"] == "locked");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "it was found by the look that comes every ten seconds"
    );
}
