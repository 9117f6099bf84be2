//! The table of answers of a single-use service, row by row.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::world::{Options, PATH};
use crate::support::{Behaviour, Challenge, SMS, World, http, wait_until};
use crate::wire::with_caveat;

const OTHER: &str = r#"{"phone_number":"+1234567891","message":"Hello, this is a test SMS!"}"#;

pub fn holder_caveat(ticket: &str, caveat: &str) -> String {
    let (macaroon, preimage) = ticket.strip_prefix("L402 ").unwrap().split_once(':').unwrap();
    let bytes = farebox::l402::credential::decode_base64(macaroon.as_bytes()).unwrap();
    format!(
        "L402 {}:{preimage}",
        farebox::l402::credential::encode_base64(&with_caveat(&bytes, caveat.as_bytes()))
    )
}

#[test]
fn unused_with_another_request_is_422_and_stays_valid() {
    let world = World::new();
    let (_, ticket) = world.buy(SMS);
    let answer = world.redeem(&ticket, OTHER);
    assert_eq!((answer.status, answer.code().as_str()), (422, "ticket-for-another-request"));
    assert_eq!(answer.header("www-authenticate"), None, "no new invoice is offered");
    assert_eq!(
        (answer.json()["charged"].as_bool(), answer.json()["retry"].as_str()),
        (Some(false), Some("same-ticket"))
    );
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
}

#[test]
fn used_with_another_request_is_a_fresh_402_and_the_old_ticket_is_as_before() {
    let world = World::new();
    let (first, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
    let answer = world.redeem(&ticket, OTHER);
    assert_eq!(answer.code(), "ticket-used");
    let fresh = Challenge::from(answer);
    assert_ne!(fresh.invoice, first.invoice);
    assert_eq!(world.redeem(&ticket, SMS).header("idempotent-replayed"), Some("true"));
    let second = format!("L402 {}:{}", fresh.macaroon, world.pay(&fresh));
    assert_eq!(world.redeem(&second, OTHER).status, 200);
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn forged_wrong_and_unpaid_are_402_that_say_what_is_wrong_and_send_nothing() {
    let world = World::new();
    let (challenge, ticket) = world.buy(SMS);
    let preimage = ticket.rsplit(':').next().unwrap();
    let mut forged =
        farebox::l402::credential::decode_base64(challenge.macaroon.as_bytes()).unwrap();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let forged = farebox::l402::credential::encode_base64(&forged);
    for (header, code) in [
        (format!("L402 {}:{}", challenge.macaroon, "00".repeat(32)), "wrong-preimage"),
        (format!("L402 {}:nonsense", challenge.macaroon), "preimage-unreadable"),
        (format!("L402 {}:", challenge.macaroon), "ticket-not-paid"),
        (format!("L402 {forged}:{preimage}"), "ticket-forged"),
        ("L402 AAAA:00".to_owned(), "ticket-unreadable"),
        ("L402 !!!".to_owned(), "ticket-unreadable"),
        (holder_caveat(&ticket, "send-sms_valid_until=99999999999"), "ticket-caveats"),
        (holder_caveat(&ticket, "services=other:0"), "ticket-caveats"),
        (holder_caveat(&ticket, &format!("preimage={}", "00".repeat(32))), "wrong-preimage"),
    ] {
        let answer = world.redeem(&header, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (402, code), "{header}");
        assert!(answer.header("www-authenticate").is_some());
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(world.redeem(&ticket, SMS).status, 200, "nobody is asked to pay twice");
}

/// The forged signature comes over a payment hash that was verified, and cached, a moment ago.
#[test]
fn a_verified_ticket_says_nothing_for_another_text_of_it() {
    let world = World::new();
    let (challenge, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
    let mut forged =
        farebox::l402::credential::decode_base64(challenge.macaroon.as_bytes()).unwrap();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let preimage = ticket.rsplit(':').next().unwrap();
    let answer = world.redeem(
        &format!("L402 {}:{preimage}", farebox::l402::credential::encode_base64(&forged)),
        SMS,
    );
    assert_eq!(answer.code(), "ticket-forged");
}

/// Whoever shows a preimage has paid something, perhaps this very invoice: it gets no other one.
#[test]
fn a_preimage_that_is_wrong_or_unreadable_is_never_answered_with_a_second_invoice() {
    let mut world = World::new();
    let (challenge, ticket) = world.buy(SMS);
    let wrong_caveat = holder_caveat(&ticket, &format!("preimage={}", "00".repeat(32)));
    let shown = [
        (format!("L402 {}:{}", challenge.macaroon, "00".repeat(32)), "wrong-preimage"),
        (format!("L402 {}:nonsense", challenge.macaroon), "preimage-unreadable"),
        (wrong_caveat.clone(), "wrong-preimage"),
    ];
    for (header, code) in &shown {
        let answer = world.redeem(header, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (402, *code), "{header}");
        assert_eq!(Challenge::from(answer).invoice, challenge.invoice, "{header}");
    }
    // The macaroon that is given back can be paid for, though the one handed in could not.
    let given_back = Challenge::from(world.redeem(&wrong_caveat, SMS));
    assert_eq!(given_back.macaroon, challenge.macaroon);
    world.crash_and_restart();
    for (header, code) in &shown {
        let answer = world.redeem(header, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (422, *code), "{header}");
        assert_eq!(answer.json()["retry"], "same-ticket");
        assert!(answer.header("www-authenticate").is_none());
    }
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
}

#[test]
fn a_ticket_counts_however_its_preimage_is_written_and_wherever_it_stands() {
    let world = World::new();
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
        let (challenge, ticket) = world.buy(SMS);
        let header = spelling(&challenge.macaroon, ticket.rsplit(':').next().unwrap());
        let answer = world.redeem(&header, SMS);
        assert_eq!((answer.status, world.upstream.count()), (200, n), "{header}: {answer:?}");
    }
}

#[test]
fn an_expired_ticket_is_402_but_not_once_it_was_handed_in() {
    // Ours has a grace, so that an outage at its end costs nobody a ticket; a holder's own end has
    // none.
    let world = World::with(Options {
        tickets: "lifetime = \"0s\"".into(),
        lnd: "invoice_expiry = \"10s\"".into(),
        ..Options::default()
    });
    let (_, used) = world.buy(SMS);
    let (_, unused) = world.buy(SMS);
    world.upstream.stop();
    assert_eq!(world.redeem(&used, SMS).code(), "upstream-unreachable");
    world.upstream.start_again();
    world.wait_until_upstream_is("ok");
    let end = unix_seconds() + 10;
    wait_until("the tickets' end", || unix_seconds() > end);
    let ended = |ticket| holder_caveat(ticket, &format!("send-sms_valid_until={}", end - 10));
    assert_eq!(world.redeem(&ended(&unused), SMS).code(), "ticket-expired");
    assert_eq!(
        world.redeem(&ended(&used), SMS).status,
        200,
        "it does not expire on its payer because of an outage"
    );
    assert_eq!(world.redeem(&unused, SMS).status, 200, "nor does one at its very end");
    assert_eq!(world.upstream.count(), 2);
}

/// One that is spent, or taken back, hides no good one behind it.
#[test]
fn the_good_one_of_several_paid_tickets_counts() {
    let world = World::with(Options { tickets: "replay = \"0s\"".into(), ..Options::default() });
    let (_, spent) = world.buy(SMS);
    assert_eq!(world.redeem(&spent, SMS).status, 200);
    wait_until("the end of the window", || world.redeem(&spent, SMS).status == 402);
    let (revoked_challenge, revoked) = world.buy(SMS);
    let hash = revoked_challenge.response.json()["paymentHash"].as_str().unwrap().to_owned();
    http::send(world.ops, "POST", &format!("/tickets/{hash}/revoke"), &[], b"");
    let (_, good) = world.buy(SMS);
    assert_eq!(world.redeem(&format!("{spent}, {revoked}, {good}"), SMS).status, 200);
    assert_eq!(world.redeem(&format!("{spent}, {revoked}"), SMS).code(), "ticket-spent");
    assert_eq!(world.upstream.count(), 2);
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_holder_s_earlier_end_counts_and_gives_no_second_message() {
    let world = World::new();
    let (_, ticket) = world.buy(SMS);
    let ended = holder_caveat(&ticket, "send-sms_valid_until=1000");
    assert_eq!(world.redeem(&ended, SMS).code(), "ticket-expired");
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
    assert_eq!(world.redeem(&ended, SMS).header("idempotent-replayed"), Some("true"));
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn past_the_replay_window_a_delivered_ticket_is_spent() {
    let world = World::with(Options { tickets: "replay = \"1s\"".into(), ..Options::default() });
    let (_, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
    wait_until("the end of the window", || world.redeem(&ticket, SMS).status == 402);
    assert_eq!(world.redeem(&ticket, SMS).code(), "ticket-spent");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_ticket_of_another_service_is_402_and_untouched() {
    let world = World::with(Options {
        more: r#"
[[service]]
name = "other"
method = "POST"
path = "/other"
ticket = "single-use"
price_sat = 7
upstream = "http://127.0.0.1:1/"
"#
        .into(),
        ..Options::default()
    });
    let (_, ticket) = world.buy(SMS);
    wait_until("the other service's upstream to be known as down", || {
        world.ready()["upstreams"]["other"]["status"] == "down"
    });
    let json = [("Content-Type", "application/json"), ("Authorization", ticket.as_str())];
    let answer = http::send(world.address, "POST", "/other", &json, SMS.as_bytes());
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "upstream-down"),
        "what can't be delivered is not sold"
    );
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
}

#[test]
fn while_in_flight_a_repeat_waits_for_the_answer_or_gets_409() {
    let world = World::with(Options { tickets: "wait = \"300ms\"".into(), ..Options::default() });
    world.upstream.behave(Behaviour::Stall);
    let (_, ticket) = world.buy(SMS);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.redeem(&ticket, SMS));
        wait_until("the upstream to be asked", || world.upstream.count() == 1);
        let second = world.redeem(&ticket, SMS);
        assert_eq!((second.status, second.code().as_str()), (409, "in-flight"));
        assert!(second.header("retry-after").is_some());
        let other = world.redeem(&ticket, OTHER);
        assert_eq!((other.status, other.code().as_str()), (402, "ticket-used"));
        world.upstream.release();
        assert_eq!(first.join().unwrap().text(), "Okay");
    });
    assert_eq!(world.redeem(&ticket, SMS).header("idempotent-replayed"), Some("true"));
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_retry_right_after_a_failure_is_told_when_to_come_again() {
    let world = World::new();
    world.upstream.behave(Behaviour::status(400, "no"));
    let (_, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 502);
    let soon = world.redeem(&ticket, SMS);
    assert_eq!(
        (soon.status, soon.code().as_str(), soon.header("retry-after")),
        (429, "retry-later", Some("1"))
    );
    assert_eq!(soon.json()["retry"], "same-ticket");
    world.upstream.behave(Behaviour::okay());
    wait_until("its turn", || world.redeem(&ticket, SMS).status == 200);
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn a_long_answer_is_passed_on_whole_and_then_known_by_its_status_only() {
    let world =
        World::with(Options { limits: "stored_answer = \"16KiB\"".into(), ..Options::default() });
    let long = vec![b'x'; 300_000];
    world.upstream.behave(Behaviour::Answer {
        status: 201,
        headers: "Content-Type: text/plain\r\n",
        body: long.clone(),
    });
    let (_, ticket) = world.buy(SMS);
    let first = world.redeem(&ticket, SMS);
    assert_eq!((first.status, first.body.len()), (201, long.len()));
    let again = world.redeem(&ticket, SMS);
    assert_eq!((again.status, again.code().as_str()), (201, "delivered-answer-not-kept"));
    assert_eq!(again.json()["charged"], true);
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_service_without_a_schema_takes_any_strict_json() {
    let world = World::with(Options {
        more: r#"
[[service]]
name = "any"
method = "PUT"
path = "/any"
ticket = "single-use"
price_sat = 1
upstream = "http://127.0.0.1:1/"
"#
        .into(),
        ..Options::default()
    });
    let json = [("Content-Type", "application/json")];
    assert_eq!(http::send(world.address, "PUT", "/any", &json, b"{\"a\":1,\"a\":2}").status, 400);
    assert_eq!(http::send(world.address, "POST", PATH, &json, b"[]").status, 400);
}
