//! Promises 4, 5, 6, 7 and 9: so many messages to one number and in a day, counted over restarts
//! and instances: above that nothing is sold, and what is paid waits.

use serde_json::json;

use crate::support::http::{self, Response};
use crate::support::payer::Payer;
use crate::support::postgres::Postgres;
use crate::support::world::Options;
use crate::support::{Behaviour, World, wait_until};

const SERVICE: &str = r#"
[[service]]
name = "send"
method = "POST"
path = "/send"
ticket = "single-use"
price_sat = 10
upstream = "http://UPSTREAM/x"
sms = { to = "to", text = "text", LIMITS }

[service.input]
type = "object"
required = ["to", "text"]
additionalProperties = false
properties = { to = { type = "string" }, text = { type = "string" } }
"#;

fn options(limits: &str, options: Options) -> Options {
    let more = format!("{}\n{}", options.more, SERVICE.replace("LIMITS", limits));
    Options { more, ..options }
}

fn world(limits: &str) -> World {
    World::with(options(limits, Options::default()))
}

fn payer(world: &World) -> Payer {
    world.payer_at("POST", "/send")
}

fn order(to: &str, text: &str) -> String {
    json!({ "to": to, "text": text }).to_string()
}

fn quote(world: &World, order: &str) -> Response {
    let json = [("Content-Type", "application/json")];
    http::send(world.address, "POST", "/l402/quote/send", &json, order.as_bytes())
}

const VICTIM: &str = "+491701234567";
const OTHER: &str = "+447700900123";

fn retry_after(response: &Response) -> u64 {
    response.header("retry-after").unwrap().parse().unwrap()
}

#[test]
fn a_number_gets_so_many_messages_in_a_time() {
    let mut world = world("per_number = \"2/24h\"");
    let holder = payer(&world);
    let orders: Vec<String> = (0..4).map(|n| order(VICTIM, &format!("{n}"))).collect();
    // Unpaid challenges don't count: anybody can have them.
    let tickets: Vec<_> = orders.iter().map(|order| holder.buys(order)).collect();
    for n in 0..2 {
        holder.redeems(&tickets[n], &orders[n]).is_delivered("Okay");
    }
    for refused in [holder.tries_to_buy(&order(VICTIM, "more")), quote(&world, &orders[3])] {
        refused.is(429, "message-limit").bears_no_challenge().advises("new-ticket");
        assert!((86_000..=86_400).contains(&retry_after(&refused)), "{refused:?}");
        assert!(!refused.text().contains("49170"));
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("room again in about 24 hours"), "{detail}");
    }
    // What is paid waits, and isn't lost.
    let waits = holder.redeems(&tickets[2], &orders[2]);
    waits.is(429, "message-limit").charges_nothing().advises("same-ticket");
    assert!((86_000..=86_400).contains(&retry_after(&waits)), "{waits:?}");
    // Its own answer comes back all the same, and other numbers get theirs.
    assert!(holder.redeems(&tickets[0], &orders[0]).was_replayed());
    let other = order(OTHER, "x");
    holder.redeems(&holder.buys(&other), &other).is_delivered("Okay");
    world.crash_and_restart();
    let holder = payer(&world);
    holder.redeems(&tickets[2], &orders[2]).is(429, "message-limit");
    assert_eq!(world.upstream.count(), 3);
}

#[test]
fn after_that_time_what_waited_is_sent() {
    let world = world("per_number = \"1/6s\"");
    let holder = payer(&world);
    let (first, second) = (order(VICTIM, "1"), order(VICTIM, "2"));
    let tickets = [holder.buys(&first), holder.buys(&second)];
    holder.redeems(&tickets[0], &first).is_delivered("Okay");
    let waits = holder.redeems(&tickets[1], &second);
    waits.is(429, "message-limit");
    assert!(retry_after(&waits) <= 6);
    wait_until("room for it", || holder.redeems(&tickets[1], &second).status == 200);
    assert_eq!(world.upstream.count(), 2);
}

/// A try that did nothing counts for its own ticket once, and for nobody twice.
#[test]
fn a_ticket_is_not_kept_waiting_by_itself() {
    let world = world("per_number = \"1/24h\"");
    let holder = payer(&world);
    let (first, second) = (order(VICTIM, "1"), order(VICTIM, "2"));
    let tickets = [holder.buys(&first), holder.buys(&second)];
    world.upstream.behave(Behaviour::status(429, "not now"));
    holder.redeems(&tickets[0], &first).is(502, "upstream-refused");
    world.upstream.behave(Behaviour::okay());
    holder.redeems(&tickets[1], &second).is(429, "message-limit");
    holder.redeems_in_the_end(&tickets[0], &first);
    holder.redeems(&tickets[1], &second).is(429, "message-limit");
}

#[test]
fn so_many_go_in_a_day_of_all_and_to_a_prefix() {
    let world = world("per_day = { all = 3, \"+49\" = 1, \"+4917\" = 2 }");
    let holder = payer(&world);
    let mut number = 0;
    let mut sends = |prefix: &str| {
        number += 1;
        let order = order(&format!("{prefix}{:07}", 1_000_000 + number), "x");
        match holder.tries_to_buy(&order) {
            response if response.status == 402 => {
                let ticket = holder.buys(&order);
                holder.redeems(&ticket, &order).status
            }
            response => {
                response.is(429, "message-limit");
                response.status
            }
        }
    };
    // The longest prefix counts alone.
    assert_eq!([sends("+4930"), sends("+4930")], [200, 429]);
    assert_eq!([sends("+4917"), sends("+4917"), sends("+4917")], [200, 200, 429]);
    assert_eq!(sends("+4420"), 429, "all of them");
}

/// Promise 3: a ticket that was handed in doesn't run out while it waits for its turn.
#[test]
fn a_ticket_that_waits_has_a_row() {
    let world = world("per_number = \"1/24h\"");
    let holder = payer(&world);
    let (first, second) = (order(VICTIM, "1"), order(VICTIM, "2"));
    let tickets = [holder.buys(&first), holder.buys(&second)];
    holder.redeems(&tickets[0], &first).is_delivered("Okay");
    holder.redeems(&tickets[1], &second).is(429, "message-limit");
    assert_eq!(world.row_of(&tickets[1].payment_hash())["state"], "free");
    holder.redeems(&tickets[1], &second).is(429, "message-limit");
    // Nor is a number another one by being written in another way.
    let other = order("+4901701234567", "x");
    holder.tries_to_buy(&other).is(400, "invalid-input").bears_no_challenge();
}

#[test]
fn instances_count_together() {
    let postgres = Postgres::start();
    let of = || options("per_number = \"3/24h\"", Options::postgres(&postgres.url()));
    let one = World::with(of());
    let two = World::before(one.upstream.clone(), of());
    let payers = [payer(&one), payer(&two)];
    let orders: Vec<String> = (0..12).map(|n| order(VICTIM, &format!("{n}"))).collect();
    let tickets: Vec<_> = orders.iter().map(|order| payers[0].buys(order)).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let redeem = |n: usize| {
            let (payer, ticket, order) = (&payers[n % 2], &tickets[n], &orders[n]);
            scope.spawn(move || payer.redeems(ticket, order).status)
        };
        let all: Vec<_> = (0..12).map(redeem).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let sent = statuses.iter().filter(|status| **status == 200).count();
    let waits = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((sent, waits, one.upstream.count()), (3, 9, 3), "{statuses:?}");
    for world in [&one, &two] {
        quote(world, &orders[0]).is(429, "message-limit");
    }
}

/// Promise 3: what is paid is never lost by it, nor sent twice, wherever the gate dies.
#[test]
fn a_crash_counts_a_message_once() {
    for (place, then) in [("before-commit", 200), ("after-claim", 504), ("after-settle", 200)] {
        let mut world = world("per_number = \"1/24h\"");
        let (first, second) = (order(VICTIM, "1"), order(VICTIM, "2"));
        let tickets = [payer(&world).buys(&first), payer(&world).buys(&second)];
        world.gate.kill();
        world.restart_with(&[("FAREBOX_CRASH_AT", place)]);
        assert!(payer(&world).tries_to_redeem(&tickets[0], &first).is_none(), "{place}");
        world.gate.wait();
        world.restart();
        payer(&world).redeems(&tickets[0], &first).in_case(place).has_status(then);
        payer(&world).redeems(&tickets[1], &second).in_case(place).is(429, "message-limit");
    }
}

#[test]
fn mistakes_in_the_limits_are_said() {
    let lifetime = Options { tickets: "lifetime = \"2d\"".to_owned(), ..Options::default() };
    let world = World::with(options("per_number = \"2/24h\"", lifetime));
    for (bad, said) in [
        ("per_number = \"2\"", "`sms.per_number` is how many"),
        ("per_number = \"0/24h\"", "`sms.per_number` is how many"),
        ("per_number = \"2/40d\"", "`sms.per_number` is how many"),
        ("per_number = \"2/3d\"", "the limit lasts longer than `tickets.lifetime`"),
        ("per_day = 0", "`sms.per_day` of 0 would send nothing"),
        ("per_day = {}", "`sms.per_day` has a limit for `all`"),
        ("per_day = { x = 1 }", "has `x`, which is neither `all` nor a prefix"),
        ("refused_for = \"2d\"", "`sms.refused_for` has no meaning here"),
    ] {
        world.write_config("bad.toml", &[("per_number = \"2/24h\"", bad)]);
        let (status, output) = world.farebox("check --config bad.toml");
        assert_eq!(status.code(), Some(1), "{bad}: {output}");
        assert!(output.contains(said) && output.contains("bad.toml:"), "{bad}: {output}");
    }
}
