//! Promise 4: a ticket that is known to be paid is never answered with an invoice, whatever stands
//! in the preimage's place; the sale and `/l402/status` never disagree.

use crate::support::world::{Options, Play};
use crate::support::{SMS, World, wait_until};

/// A gate that detects payments, and asks for the preimage all the same.
fn asking_for_preimages(play: &Play) -> World {
    let world = World::with(Options { service: String::new(), ..play.watched() });
    world.wait_until_payments_are_detected();
    world
}

#[test]
fn what_is_heard_to_be_paid_is_answered_alike_at_once_and_after_a_restart() {
    let play = Play::new();
    let mut world = asking_for_preimages(&play);
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    payer.sends_macaroon_alone(&challenge, SMS).asks_to_pay("ticket-not-paid");
    let paid = payer.pays(&challenge);
    wait_until("the payment to be heard of", || payer.state_of(&challenge) == "paid");
    for when in ["at once", "after a restart"] {
        for shown in ["", "nonsense", &"00".repeat(32)] {
            let ticket = challenge.with_preimage(shown);
            assert_eq!(payer.state_of(&ticket), "paid", "{when}: {shown}");
            let told = payer.redeems(&ticket, SMS).in_case(format!("{when}: {shown}"));
            told.is(422, "preimage-missing");
        }
        if when == "at once" {
            world.crash_and_restart();
            world.wait_until_payments_are_detected();
        }
    }
    payer.redeems(&paid, SMS).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 1);
}

/// Also where the preimage is asked for, a client that hands in the macaroon alone is sold no other
/// ticket while the first is paid.
#[test]
fn a_payment_during_a_stop_is_told_to_a_client_that_sends_no_preimage() {
    let play = Play::new();
    let mut world = asking_for_preimages(&play);
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    world.wait_until_minted(1);
    world.gate.kill();
    play.pays(&challenge);
    world.restart();
    world.wait_until_payments_are_detected();
    let told = payer.sends_macaroon_alone(&challenge, SMS);
    told.is(422, "preimage-missing").advises("same-ticket").charges_nothing();
    let status = payer.asks_for_status(&challenge);
    let ticket = challenge.with_preimage(status.header("l402-preimage").unwrap());
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}
