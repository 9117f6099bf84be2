//! Promise 4: a client that hands a macaroon back is given its own invoice again, and never another
//! while the first is paid or may be.

use crate::support::world::{Options, Play};
use crate::support::{SMS, World, ledger_file, wait_until};

const OTHER: &str = r#"{"phone_number":"+1234567891","message":"Hello, this is a test SMS!"}"#;

#[test]
fn a_pending_challenge_is_given_again_however_often_its_macaroon_is_handed_back() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    for _ in 0..3 {
        let again = payer.sends_macaroon_alone(&challenge, SMS);
        again.advises("same-ticket");
        again.asks_to_pay("ticket-not-paid").is_again(&challenge);
    }
}

#[test]
fn a_pending_challenge_is_given_again_to_its_holder_only_and_for_its_request_only() {
    let world = World::new();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let again = payer.sends_macaroon_alone(&challenge, SMS);
    again.asks_to_pay("ticket-not-paid").is_again(&challenge);
    // Behind one address live many buyers.
    payer.asks(SMS).is_not(&challenge);
    let other = payer.sends_macaroon_alone(&challenge, OTHER);
    other.asks_to_pay("ticket-not-paid").is_not(&challenge);
}

#[test]
fn a_pending_challenge_is_given_again_after_a_restart_too() {
    let (_play, mut world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    world.wait_until_minted(1);
    world.crash_and_restart();
    world.wait_until_payments_are_detected();
    let again = payer.sends_macaroon_alone(&challenge, SMS).asks_to_pay("ticket-not-paid");
    again.is_again(&challenge);
    assert_eq!(again.response.json()["expiresAt"], challenge.response.json()["expiresAt"]);
    payer.pays(&challenge);
    payer.waits_until(&challenge, "paid");
    payer.sends_macaroon_alone(&challenge, SMS).is_delivered("Okay");
    assert_eq!(world.accounts()["minted"], 1);
}

#[test]
fn a_challenge_that_was_revoked_is_not_offered_again() {
    let world = World::new();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let revoked = world.operator_orders(&challenge.payment_hash(), "revoke");
    assert_eq!(revoked.json()["state"], "revoked");
    let again = payer.sends_macaroon_alone(&challenge, SMS);
    again.asks_to_pay("ticket-revoked").is_not(&challenge);
}

/// That an invoice was seen to run out is not certain enough where its holder says that it was
/// paid.
#[test]
fn what_was_closed_wrongly_is_looked_up_before_anybody_is_asked_to_pay_again() {
    let (play, mut world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    world.wait_until_minted(1);
    world.gate.kill();
    ledger_file::close_all_challenges(&world);
    // The node's first payment: index 1, which no stream replays.
    play.pays(&challenge);
    world.restart();
    world.wait_until_payments_are_detected();
    payer.sends_macaroon_alone(&challenge, SMS).is_delivered("Okay");
    assert_eq!(world.accounts()["paid"], 1);
}

/// A node that knows nothing of an invoice which can still be paid is another node, and its word
/// counts for nothing.
#[test]
fn what_was_sold_at_another_node_is_neither_closed_nor_sold_again() {
    let (play, mut world) = World::watching();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    world.wait_until_minted(1);
    let (other, path) = (Play::new(), world.folder.path().join("farebox.toml"));
    let at_first = world.config();
    let place = |play: &Play| (play.grpc.to_string(), play.folder.to_str().unwrap().to_owned());
    let ((from, from_folder), (to, to_folder)) = (place(&play), place(&other));
    std::fs::write(&path, at_first.replace(&from, &to).replace(&from_folder, &to_folder)).unwrap();
    world.crash_and_restart();
    world.wait_until_payments_are_detected();
    play.pays(&challenge);
    payer.sends_macaroon_alone(&challenge, SMS).is(503, "node-down");
    assert_ne!(payer.state_of(&challenge), "expired");
    // Back at the first, all is found.
    std::fs::write(&path, at_first).unwrap();
    world.crash_and_restart();
    payer.waits_until(&challenge, "paid");
    payer.sends_macaroon_alone(&challenge, SMS).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 1);
}

/// A gate whose invoices run out soon.
fn short_lived(play: &Play) -> World {
    let options = play.watched();
    let lnd = format!("{}\ninvoice_expiry = \"10s\"", options.lnd);
    let world = World::with(Options { lnd, ..options });
    world.wait_until_payments_are_detected();
    world
}

/// Paid while the node can't be asked: the macaroon alone gets a 503, and no new invoice.
#[test]
fn a_payment_that_is_not_known_yet_is_never_charged_again() {
    let play = Play::new();
    let world = short_lived(&play);
    let payer = world.payer();
    let paid = payer.asks(SMS);
    play.order("locked");
    wait_until("the end of the stream", || world.ready()["payments"]["status"] != "ok");
    play.pays(&paid);
    payer.sends_macaroon_alone(&paid, SMS).is(503, "node-down").advises("same-ticket");
    // Not a word that may be wrong.
    payer.asks_for_status(&paid).is(503, "node-down");
    play.order("up");
    world.wait_until_payments_are_detected();
    payer.sends_macaroon_alone(&paid, SMS).is_delivered("Okay");
}

#[test]
fn an_invoice_that_ran_out_is_expired_and_another_one_is_offered() {
    let play = Play::new();
    let world = short_lived(&play);
    let payer = world.payer();
    let never = payer.asks(SMS);
    payer.waits_until(&never, "expired");
    let fresh = payer.sends_macaroon_alone(&never, SMS);
    // That one can't be paid any more.
    fresh.asks_to_pay("ticket-not-paid").is_not(&never);
    play.pay(&never.invoice).has_status(422);
}
