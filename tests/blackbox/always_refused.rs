//! Promises 5 and 9: what a backend refuses to everybody isn't sold on.

use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, wait_until};

const MISCONFIGURED: &str = "farebox_upstream_misconfigured{service=\"send-sms\"}";

fn refuses(status: u16) -> Behaviour {
    Behaviour::status(status, "no")
}

/// Sells to so many buyers, each of whom is refused.
fn refuse_buyers(world: &World, buyers: usize) -> Vec<crate::support::payer::Ticket> {
    let payer = world.payer();
    let buy = |_| {
        let ticket = payer.buys(SMS);
        let answer = payer.redeems(&ticket, SMS);
        assert!(answer.status >= 500, "{}", answer.status);
        ticket
    };
    (0..buyers).map(buy).collect()
}

#[test]
fn the_sale_closes_after_several_and_opens_by_an_old_ticket() {
    let world = World::new();
    let payer = world.payer();
    for status in [401, 402, 403, 404, 405, 407] {
        world.upstream.behave(refuses(status));
        let tickets = refuse_buyers(&world, 3);
        let closed = payer.tries_to_buy(SMS).in_case(status);
        closed.is(503, "upstream-misconfigured").bears_no_challenge();
        let wait: u64 = closed.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        let ready = world.ready();
        assert_eq!(ready["upstreams"]["send-sms"]["status"], "upstream-misconfigured");
        assert_eq!(ready["status"], "degraded");
        assert_eq!(world.metric(MISCONFIGURED), 1.0);

        world.upstream.behave(Behaviour::okay());
        payer.redeems_in_the_end(&tickets[0], SMS);
        assert_eq!(payer.tries_to_buy(SMS).status, 402);
        assert_eq!(world.metric(MISCONFIGURED), 0.0);
        assert_eq!(world.ready()["upstreams"]["send-sms"]["status"], "ok");
    }
    let lines = world.gate.output();
    assert_eq!(lines.matches("Sales stop until one is delivered").count(), 6, "one line each");
}

#[test]
fn it_opens_half_for_a_few_and_wholly_by_a_new_ticket() {
    let world = World::new();
    let payer = world.payer();
    world.upstream.behave(refuses(403));
    refuse_buyers(&world, 3);
    assert_eq!(payer.tries_to_buy(SMS).status, 503);
    let ask = |client: &str| payer.sends(&[("X-Forwarded-For", client)], SMS);
    wait_until("a few challenges", || ask("192.0.2.1").status == 402);
    ask("192.0.2.1").is(503, "upstream-misconfigured");
    assert_eq!(ask("192.0.2.2").status, 402, "one buyer doesn't have them all");
    let ticket = payer.buys(SMS);
    ask("192.0.2.3").is(503, "upstream-misconfigured");
    world.upstream.behave(Behaviour::okay());
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    (0..5).for_each(|_| assert_eq!(payer.tries_to_buy(SMS).status, 402));
}

#[test]
fn one_ticket_or_a_success_between_closes_nothing() {
    let world = World::new();
    let payer = world.payer();
    world.upstream.behave(refuses(403));
    let stubborn = payer.buys(SMS);
    for _ in 0..4 {
        payer.redeems(&stubborn, SMS);
    }
    refuse_buyers(&world, 1);
    world.upstream.behave(Behaviour::okay());
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    world.upstream.behave(refuses(403));
    refuse_buyers(&world, 2);
    assert_eq!(payer.tries_to_buy(SMS).status, 402);
    // These are about the request.
    world.upstream.behave(refuses(422));
    refuse_buyers(&world, 5);
    assert_eq!(payer.tries_to_buy(SMS).status, 402);
}

#[test]
fn a_service_says_itself_what_its_trouble_is() {
    let service = "delivered = { json = { \"/status\" = \"0\" } }\nnot_sent = { json = { \
                   \"/status\" = \"4\" } }\ntrouble = { json = { \"/status\" = \"4\" } }\n";
    let world = World::with(Options { service: service.into(), ..Options::default() });
    world.upstream.behave(Behaviour::status(200, "{\"status\":\"4\"}"));
    refuse_buyers(&world, 3);
    world.payer().tries_to_buy(SMS).is(503, "upstream-misconfigured");
    let world = World::with(Options {
        service: "trouble = { status = [418] }".into(),
        ..Options::default()
    });
    world.upstream.behave(refuses(403));
    refuse_buyers(&world, 4);
    world.upstream.behave(refuses(418));
    refuse_buyers(&world, 3);
    world.payer().tries_to_buy(SMS).is(503, "upstream-misconfigured");
}

#[test]
fn a_limit_of_the_backend_s_is_waited_for() {
    let world = World::new();
    let payer = world.payer();
    let headers = "Retry-After: 2\r\n";
    world.upstream.behave(Behaviour::Answer { status: 429, headers, body: Vec::new() });
    let ticket = payer.buys(SMS);
    let refused = payer.redeems(&ticket, SMS);
    assert_eq!(refused.is(502, "upstream-refused").header("retry-after"), Some("2"));
    payer.tries_to_buy(SMS).is(503, "upstream-down");
    assert_eq!(world.ready()["upstreams"]["send-sms"]["status"], "limited");
    world.upstream.behave(Behaviour::okay());
    wait_until("the sale to open", || payer.tries_to_buy(SMS).status == 402);
    payer.redeems_in_the_end(&ticket, SMS);
}

/// Kannel's, say, while its SMS centre is away.
#[test]
fn answers_that_park_each_ticket_close_it_until_one_is_delivered() {
    let service = "delivered = { status = [202], body = \"^0:\" }".into();
    let world = World::with(Options { service, ..Options::default() });
    let payer = world.payer();
    let queued = Behaviour::status(202, "3: Queued for later delivery");
    for unknown in [queued, Behaviour::status(500, "oops"), Behaviour::CloseAfterReading] {
        world.upstream.behave(Behaviour::status(202, "0: Accepted for delivery"));
        let kept = payer.buys(SMS);
        world.upstream.behave(unknown);
        for _ in 0..3 {
            payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
        }
        payer.tries_to_buy(SMS).is(503, "upstream-misconfigured").bears_no_challenge();
        let why = world.ready()["upstreams"]["send-sms"]["why"].to_string();
        assert!(
            why.contains("3 tickets since the last delivery") && why.contains("`not_sent`"),
            "{why}"
        );
        world.upstream.behave(Behaviour::status(202, "0: Accepted for delivery"));
        assert_eq!(payer.redeems(&kept, SMS).status, 202);
        assert_eq!(payer.tries_to_buy(SMS).status, 402);
    }
    assert_eq!(world.tickets_that_are("parked").len(), 9);
}

#[test]
fn what_the_operator_finds_out_of_a_parked_ticket_opens_it() {
    let world = World::new();
    let payer = world.payer();
    world.upstream.behave(Behaviour::status(500, "oops"));
    let tickets = refuse_buyers(&world, 3);
    payer.tries_to_buy(SMS).is(503, "upstream-misconfigured");
    let says = |ticket: usize, word| {
        world.operator_orders(&tickets[ticket].payment_hash(), word).has_status(200);
        payer.tries_to_buy(SMS).status
    };
    assert_eq!((says(0, "release"), says(1, "delivered")), (503, 402));
}

#[test]
fn a_redirect_closes_the_sale_until_the_operator_opens_it() {
    let world = World::new();
    let payer = world.payer();
    let headers = "Location: https://sms.example.com/v2/send?account=7\r\n";
    world.upstream.behave(Behaviour::Answer { status: 307, headers, body: Vec::new() });
    let parked = payer.buys(SMS);
    let waiting = payer.buys(SMS);
    payer.redeems(&parked, SMS).is(504, "outcome-unknown");
    payer.tries_to_buy(SMS).is(503, "upstream-misconfigured").bears_no_challenge();
    let why = world.ready()["upstreams"]["send-sms"]["why"].to_string();
    assert!(why.contains("write `upstream = \\\"https://sms.example.com/v2/send\\\"`"), "{why}");
    assert!(!why.contains("account"), "{why}");
    // No success opens it: the operator has the last word.
    world.upstream.behave(Behaviour::okay());
    payer.redeems(&waiting, SMS).is_delivered("Okay");
    payer.tries_to_buy(SMS).is(503, "upstream-misconfigured");
    world.operator_posts("/services/unheard-of/open").has_status(404);
    world.operator_posts("/services/send-sms/open").has_status(200);
    assert_eq!(payer.tries_to_buy(SMS).status, 402);
}
