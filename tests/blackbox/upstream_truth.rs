//! What an upstream's answer means, and that a paid ticket is never lost by its fault.

use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, wait_until};

#[test]
fn a_success_is_delivered_whatever_its_status() {
    let world = World::new();
    for status in [200, 201, 202, 299] {
        world.upstream.behave(Behaviour::status(status, "fine"));
        let (_, ticket) = world.buy(SMS);
        for replayed in [None, Some("true")] {
            let answer = world.redeem(&ticket, SMS);
            assert_eq!((answer.status, answer.text().as_str(), answer.header("idempotent-replayed")), (status, "fine", replayed));
        }
    }
    assert_eq!(world.upstream.count(), 4);
}

#[test]
fn a_refusal_frees_the_ticket_and_passes_its_words_on_without_secrets() {
    let world = World::new();
    for status in [400, 401, 402, 403, 404, 422, 429] {
        let words = format!("number +1234567890 refused\r\n: Hello, this is a test SMS! token backend-token-hunter2 {status}");
        world.upstream.behave(Behaviour::status(status, &words));
        let (_, ticket) = world.buy(SMS);
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream-refused"), "{status}");
        let body = answer.json();
        assert_eq!(body["upstream_status"], status);
        assert_eq!(body["upstream_says"], format!("number […] refused  : […] token […] {status}"));
        assert_eq!((body["charged"].as_bool(), body["retry"].as_str()), (Some(false), Some("same-ticket")));
        world.upstream.behave(Behaviour::okay());
        wait_until("the same ticket to work", || world.redeem(&ticket, SMS).status == 200);
    }
}

#[test]
fn what_nobody_knows_is_parked_and_never_sent_again() {
    let world = World::with(Options { service: "timeout = \"700ms\"".into(), ..Options::default() });
    let mut asked = 0;
    for behaviour in [
        Behaviour::status(500, "oops"),
        Behaviour::status(503, "oops"),
        Behaviour::status(302, ""),
        Behaviour::status(408, ""),
        Behaviour::status(409, ""),
        Behaviour::status(425, ""),
        Behaviour::CloseAfterReading,
        Behaviour::Stall,
    ] {
        world.upstream.behave(behaviour);
        let (_, ticket) = world.buy(SMS);
        asked += 1;
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (504, "outcome-unknown"));
        world.upstream.behave(Behaviour::okay());
        assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
        assert_eq!(world.upstream.count(), asked);
    }
    assert_eq!(world.metric("farebox_redemptions_total{outcome=\"unknown\",service=\"send-sms\"}"), asked as f64);
}

#[test]
fn a_success_that_breaks_off_is_delivered_and_never_sent_again() {
    let world = World::new();
    world.upstream.behave(Behaviour::CutShort);
    let (_, ticket) = world.buy(SMS);
    for _ in 0..2 {
        let answer = world.redeem(&ticket, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (200, "delivered-answer-not-kept"));
        assert_eq!(answer.json()["charged"], true);
    }
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn while_the_upstream_is_down_nothing_is_sold_and_a_paid_ticket_waits() {
    let world = World::new();
    let (_, ticket) = world.buy(SMS);
    world.upstream.stop();
    let answer = world.redeem(&ticket, SMS);
    assert_eq!((answer.status, answer.code().as_str()), (503, "upstream-unreachable"));
    assert_eq!(answer.json()["retry"], "same-ticket");
    let sale = world.post(&[], SMS);
    assert_eq!((sale.status, sale.code().as_str(), sale.header("www-authenticate")), (503, "upstream-down", None));
    assert_eq!(world.ready()["status"], "degraded");
    assert_eq!(crate::support::http::get(world.ops, "/readyz").status, 200);
    world.upstream.start_again();
    wait_until("the sale to open again", || world.post(&[], SMS).status == 402);
    wait_until("the ticket to be redeemed", || world.redeem(&ticket, SMS).status == 200);
    assert_eq!(world.upstream.count(), 1);
}

/// A connection that was idle for a while may be closed by the upstream just as we write, and then nobody knows.
#[test]
fn tickets_do_not_use_connections_that_were_idle_for_long() {
    let world = World::new();
    let (_, first) = world.buy(SMS);
    let (_, second) = world.buy(SMS);
    assert_eq!(world.redeem(&first, SMS).status, 200);
    world.upstream.spoil_open_connections();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(world.redeem(&second, SMS).status, 200);
}

#[test]
fn reuse_never_uses_no_connection_twice() {
    let world = World::with(Options { service: "reuse = \"never\"".into(), ..Options::default() });
    for _ in 0..5 {
        let (_, ticket) = world.buy(SMS);
        world.upstream.spoil_open_connections();
        assert_eq!(world.redeem(&ticket, SMS).status, 200);
    }
}
