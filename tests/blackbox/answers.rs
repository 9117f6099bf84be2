//! Promise 9: the table of answers of a single-use service, row by row.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::payer::Holder as _;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, wait_until};

const OTHER: &str = r#"{"phone_number":"+1234567891","message":"Hello, this is a test SMS!"}"#;

/// No new invoice is offered.
#[test]
fn unused_with_another_request_is_422_and_stays_valid() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let answer = payer.redeems(&ticket, OTHER);
    answer.is(422, "ticket-for-another-request").charges_nothing().advises("same-ticket");
    assert_eq!(world.upstream.count(), 0);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

#[test]
fn used_with_another_request_is_a_fresh_402_and_the_old_ticket_is_as_before() {
    let world = World::new();
    let payer = world.payer();
    let first = payer.asks(SMS);
    let ticket = payer.pays(&first);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    let fresh = payer.redeems(&ticket, OTHER).asks_to_pay("ticket-used");
    fresh.is_not(&first);
    payer.redeems(&ticket, SMS).is_replayed("Okay");
    payer.redeems(&payer.pays(&fresh), OTHER).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn forged_wrong_and_unpaid_are_402_that_say_what_is_wrong_and_send_nothing() {
    let world = World::new();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let ticket = payer.pays(&challenge);
    let zeros = "00".repeat(32);
    for (header, code) in [
        (challenge.with_preimage(&zeros).authorization(), "wrong-preimage"),
        (challenge.with_preimage("nonsense").authorization(), "preimage-unreadable"),
        (challenge.authorization(), "ticket-not-paid"),
        (ticket.forged().authorization(), "ticket-forged"),
        ("L402 AAAA:00".to_owned(), "ticket-unreadable"),
        ("L402 !!!".to_owned(), "ticket-unreadable"),
        (ticket.with_caveat("send-sms_valid_until=99999999999").authorization(), "ticket-caveats"),
        (ticket.with_caveat("services=other:0").authorization(), "ticket-caveats"),
        (ticket.with_caveat(&format!("preimage={zeros}")).authorization(), "wrong-preimage"),
    ] {
        payer.hands_in(&header, SMS).in_case(&header).asks_to_pay(code);
    }
    assert_eq!(world.upstream.count(), 0);
    // Nobody is asked to pay twice.
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

/// The forged signature comes over a payment hash that was verified, and cached, a moment ago.
#[test]
fn a_verified_ticket_says_nothing_for_another_text_of_it() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    payer.redeems(&ticket.forged(), SMS).asks_to_pay("ticket-forged");
}

/// A client that shows a preimage has paid something, perhaps this very invoice: it gets no other
/// one.
#[test]
fn a_preimage_that_is_wrong_or_unreadable_is_never_answered_with_a_second_invoice() {
    let mut world = World::new();
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let ticket = payer.pays(&challenge);
    let zeros = "00".repeat(32);
    let wrong_caveat = ticket.with_caveat(&format!("preimage={zeros}"));
    let shown = [
        (challenge.with_preimage(&zeros), "wrong-preimage"),
        (challenge.with_preimage("nonsense"), "preimage-unreadable"),
        (wrong_caveat.clone(), "wrong-preimage"),
    ];
    for (wrong, code) in &shown {
        let answer = payer.redeems(wrong, SMS).in_case(wrong.authorization());
        assert_eq!(answer.asks_to_pay(code).invoice, challenge.invoice, "{wrong:?}");
    }
    // The macaroon that is given back can be paid for, though the one handed in could not.
    let given_back = payer.redeems(&wrong_caveat, SMS).asks_to_pay("wrong-preimage");
    assert_eq!(given_back.macaroon, challenge.macaroon);
    world.crash_and_restart();
    for (wrong, code) in &shown {
        let answer = payer.redeems(wrong, SMS).in_case(wrong.authorization());
        answer.is(422, code).advises("same-ticket");
    }
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

#[test]
fn a_ticket_counts_however_its_preimage_is_written_and_wherever_it_stands() {
    let world = World::new();
    let payer = world.payer();
    let spellings: [fn(&str, &str) -> String; 6] = [
        |macaroon, hex| format!("L402 {macaroon}:0x{hex}"),
        |macaroon, hex| format!("L402 \"{macaroon}\":\"{hex}\""),
        |macaroon, hex| {
            let bytes = hex::decode(hex).unwrap();
            format!("L402 {macaroon}: {}", farebox::l402::credential::encode_base64(&bytes))
        },
        |macaroon, hex| format!("L402 AAAA:{hex}, L402 {macaroon}:{hex}"),
        |macaroon, hex| format!("Bearer x, LSAT {macaroon}:{hex}, Basic y"),
        |macaroon, hex| format!("L402 {macaroon}:, L402 {macaroon}:{hex}"),
    ];
    for (n, spelling) in (1..).zip(spellings) {
        let ticket = payer.buys(SMS);
        let header = spelling(&ticket.macaroon, &ticket.preimage);
        payer.hands_in(&header, SMS).in_case(&header).is_delivered("Okay");
        assert_eq!(world.upstream.count(), n, "{header}");
    }
}

/// Ours has a grace, so that an outage at its end costs nobody a ticket; a holder's own end has
/// none.
#[test]
fn an_expired_ticket_is_402_but_not_once_it_was_handed_in() {
    let world = World::with(Options {
        tickets: "lifetime = \"0s\"".into(),
        lnd: "invoice_expiry = \"10s\"".into(),
        ..Options::default()
    });
    let payer = world.payer();
    let (used, unused) = (payer.buys(SMS), payer.buys(SMS));
    world.upstream.stop();
    payer.redeems(&used, SMS).is(503, "upstream-unreachable");
    world.upstream.start_again();
    world.wait_until_upstream_is("send-sms", "ok");
    let end = unix_seconds() + 10;
    wait_until("the tickets' end", || unix_seconds() > end);
    let caveat = format!("send-sms_valid_until={}", end - 10);
    payer.redeems(&unused.with_caveat(&caveat), SMS).asks_to_pay("ticket-expired");
    // It does not expire on its payer because of an outage, nor does one at its very end.
    payer.redeems(&used.with_caveat(&caveat), SMS).is_delivered("Okay");
    payer.redeems(&unused, SMS).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 2);
}

/// One that is spent, or taken back, hides no good one behind it.
#[test]
fn the_good_one_of_several_paid_tickets_counts() {
    let world = World::with(Options { tickets: "replay = \"0s\"".into(), ..Options::default() });
    let payer = world.payer();
    let spent = payer.buys(SMS);
    payer.redeems(&spent, SMS).is_delivered("Okay");
    wait_until("the end of the window", || payer.redeems(&spent, SMS).status == 402);
    let revoked = payer.buys(SMS);
    world.operator_orders(&revoked.payment_hash(), "revoke");
    let good = payer.buys(SMS);
    let [spent, revoked, good] = [spent, revoked, good].map(|ticket| ticket.authorization());
    payer.hands_in(&format!("{spent}, {revoked}, {good}"), SMS).is_delivered("Okay");
    payer.hands_in(&format!("{spent}, {revoked}"), SMS).asks_to_pay("ticket-spent");
    assert_eq!(world.upstream.count(), 2);
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_holder_s_earlier_end_counts_and_gives_no_second_message() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let ended = ticket.with_caveat("send-sms_valid_until=1000");
    payer.redeems(&ended, SMS).asks_to_pay("ticket-expired");
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    payer.redeems(&ended, SMS).is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn past_the_replay_window_a_delivered_ticket_is_spent() {
    let world = World::with(Options { tickets: "replay = \"1s\"".into(), ..Options::default() });
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    wait_until("the end of the window", || payer.redeems(&ticket, SMS).status == 402);
    payer.redeems(&ticket, SMS).asks_to_pay("ticket-spent");
    assert_eq!(world.upstream.count(), 1);
}

/// What can't be delivered is not sold.
#[test]
fn a_ticket_at_another_service_that_is_down_is_503_and_untouched() {
    let other = r#"
[[service]]
name = "other"
method = "POST"
path = "/other"
ticket = "single-use"
price_sat = 7
upstream = "http://127.0.0.1:1/"
"#;
    let world = World::with(Options { more: other.into(), ..Options::default() });
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    world.wait_until_upstream_is("other", "down");
    world.payer_at("POST", "/other").redeems(&ticket, SMS).is(503, "upstream-down");
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

#[test]
fn while_in_flight_a_repeat_waits_for_the_answer_or_gets_409() {
    let world = World::with(Options { tickets: "wait = \"300ms\"".into(), ..Options::default() });
    let payer = world.payer();
    world.upstream.behave(Behaviour::Stall);
    let ticket = payer.buys(SMS);
    let mut first = payer.starts_to_redeem(&ticket, SMS);
    world.upstream.wait_until_asked();
    let second = payer.redeems(&ticket, SMS);
    second.is(409, "in-flight");
    assert!(second.header("retry-after").is_some());
    payer.redeems(&ticket, OTHER).asks_to_pay("ticket-used");
    world.upstream.release();
    first.read().unwrap().is_delivered("Okay");
    payer.redeems(&ticket, SMS).is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_retry_right_after_a_failure_is_told_when_to_come_again() {
    let world = World::new();
    let payer = world.payer();
    world.upstream.behave(Behaviour::status(400, "no"));
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is(502, "upstream-refused");
    let soon = payer.redeems(&ticket, SMS);
    soon.is(429, "retry-later").advises("same-ticket");
    assert_eq!(soon.header("retry-after"), Some("1"));
    world.upstream.behave(Behaviour::okay());
    payer.redeems_in_the_end(&ticket, SMS);
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn a_long_answer_is_passed_on_whole_and_then_known_by_its_status_only() {
    let world =
        World::with(Options { limits: "stored_answer = \"16KiB\"".into(), ..Options::default() });
    let payer = world.payer();
    let long = vec![b'x'; 300_000];
    let headers = "Content-Type: text/plain\r\n";
    world.upstream.behave(Behaviour::Answer { status: 201, headers, body: long.clone() });
    let ticket = payer.buys(SMS);
    let first = payer.redeems(&ticket, SMS);
    assert_eq!((first.status, first.body.len()), (201, long.len()));
    payer.redeems(&ticket, SMS).is(201, "delivered-answer-not-kept").has_charged();
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_service_without_a_schema_takes_any_strict_json() {
    let any = r#"
[[service]]
name = "any"
method = "PUT"
path = "/any"
ticket = "single-use"
price_sat = 1
upstream = "http://UPSTREAM/"
"#;
    let world = World::with(Options { more: any.into(), ..Options::default() });
    let payer = world.payer_at("PUT", "/any");
    for json in ["[1]", "\"a\"", "{}", "null"] {
        payer.redeems(&payer.buys(json), json).in_case(json).is_delivered("Okay");
    }
    payer.tries_to_buy("{\"a\":1,\"a\":2}").is(400, "invalid-input");
    world.payer().tries_to_buy("[]").is(400, "invalid-input");
}
