//! Promise 4: a ticket that is known to be paid is never answered with an invoice, whatever stands
//! in the preimage's place; the sale and `/l402/status` never disagree.

use crate::support::world::{Options, Play};
use crate::support::{SMS, World, http, wait_until};

#[test]
fn what_is_heard_to_be_paid_is_answered_alike_at_once_and_after_a_restart() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let mut world = World::with(Options { service: String::new(), ..play.watched() });
    let is_watching = |world: &World| world.ready()["payments"]["status"] == "ok";
    wait_until("payments to be detected", || is_watching(&world));
    let challenge = world.ask(SMS);
    let bare = format!("L402 {}:", challenge.macaroon);
    let state = |world: &World, ticket: &str| {
        let headers = [("Authorization", ticket)];
        http::send(world.address, "GET", "/l402/status", &headers, b"").json()["state"].clone()
    };
    assert_eq!(world.redeem(&bare, SMS).status, 402);
    let preimage = world.pay(&challenge);
    wait_until("the payment to be heard of", || state(&world, &bare) == "paid");
    let shown = ["".to_owned(), "nonsense".to_owned(), "00".repeat(32)];
    for when in ["at once", "after a restart"] {
        for proof in &shown {
            let ticket = format!("{bare}{proof}");
            assert_eq!(state(&world, &ticket), "paid", "{when}: {proof}");
            let told = world.redeem(&ticket, SMS);
            let code = (told.status, told.code());
            assert_eq!(code, (422, "preimage-missing".to_owned()), "{when}: {proof}");
            assert!(told.header("www-authenticate").is_none());
        }
        if when == "at once" {
            world.crash_and_restart();
            wait_until("payments to be detected", || is_watching(&world));
        }
    }
    assert_eq!(world.redeem(&format!("{bare}{preimage}"), SMS).status, 200);
    assert_eq!(world.upstream.count(), 1);
}
