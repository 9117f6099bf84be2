//! Promises 1, 2, 3, 4, 5 and 9: an order that its backend will never take costs its payer nothing:
//! another one may take its place, once, and nobody else buys for its number.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use crate::support::http;
use crate::support::http::Response;
use crate::support::payer::Payer;
use crate::support::postgres::Postgres;
use crate::support::world::{Options, Play};
use crate::support::{Behaviour, World, wait_until};

const SERVICE: &str = r#"
[[service]]
name = "send"
method = "POST"
path = "/send"
ticket = "single-use"
upstream = "http://UPSTREAM"
price = { table = "TABLE", per = "PER" }
sms = { to = "to", text = "text", max_segments = 3, MORE }

[service.backend]
preset = "twilio"
account_sid = "AC1"
auth_token = { env = "SECRET" }
from = "+15005550006"
"#;

/// A gate before a backend that refuses numbers for good.
struct Gate {
    folder: TempDir,
    world: World,
}

impl Gate {
    fn new() -> Self {
        Self::with("", Options::default())
    }

    fn with(sms: &str, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("prices.csv");
        std::fs::write(&table, "prefix,price\n+49,20\n+44,20\n+1,10\n+33,21\n").unwrap();
        Self { world: Self::world(&table, sms, options), folder }
    }

    fn world(table: &std::path::Path, sms: &str, options: Options) -> World {
        World::with(options_of(table, sms, options))
    }

    fn table(&self) -> PathBuf {
        self.folder.path().join("prices.csv")
    }

    fn payer(&self) -> Payer {
        self.world.payer_at("POST", "/send")
    }

    fn takes(&self) {
        self.world.upstream.behave(Behaviour::status(201, r#"{"sid":"SM1"}"#));
    }

    fn refuses(&self) {
        let refusal = r#"{"code":21610,"message":"unsubscribed recipient"}"#;
        self.world.upstream.behave(Behaviour::status(400, refusal));
    }

    fn quotes(&self, order: &str) -> Response {
        let json = [("Content-Type", "application/json")];
        http::send(self.world.address, "POST", "/l402/quote/send", &json, order.as_bytes())
    }

    fn sent_to(&self) -> Vec<String> {
        let of = |body: &[u8]| {
            form_urlencoded::parse(body).find(|(name, _)| name == "To").unwrap().1.into_owned()
        };
        self.world.upstream.requests().iter().map(|request| of(&request.body)).collect()
    }
}

fn options_of(table: &std::path::Path, sms: &str, options: Options) -> Options {
    let (sms, per) = match sms {
        "per_segment" => ("", "segment"),
        _ => (sms, "message"),
    };
    let more = SERVICE.replace("TABLE", table.to_str().unwrap()).replace("MORE", sms);
    let more = more.replace("PER", per);
    let mut environment = options.environment.clone();
    environment.push(("SECRET", "a-secret-token".to_owned()));
    let more = format!("{}\n{}", options.more, more.replace(", }", " }"));
    Options { more, environment, ..options }
}

fn order(to: &str) -> String {
    json!({ "to": to, "text": "hello" }).to_string()
}

const FIRST: &str = "+491701234567";
const SECOND: &str = "+447700900123";
const THIRD: &str = "+12025550123";
const DEARER: &str = "+33612345678";

#[test]
fn another_order_takes_the_place_of_a_refused_one_once() {
    let gate = Gate::new();
    let payer = gate.payer();
    let ticket = payer.buys(&order(FIRST));
    gate.refuses();
    let refused = payer.redeems(&ticket, &order(FIRST));
    refused.is(422, "order-refused").charges_nothing().advises("changed-request");
    assert_eq!(refused.json()["upstreamStatus"], 400);
    assert!(refused.json()["upstreamSays"].as_str().unwrap().contains("unsubscribed"));
    gate.takes();
    // Its answer stays, and the backend isn't asked again.
    payer.redeems(&ticket, &order(FIRST)).is(422, "order-refused").advises("changed-request");
    let row = gate.world.row_of(&ticket.payment_hash());
    assert_eq!((&row["state"], &row["mayChange"]), (&json!("refused"), &json!(true)));
    let waiting = "farebox_tickets{service=\"send\",state=\"refused\"}";
    wait_until("it to be counted", || gate.world.metric(waiting) == 1.0);
    let counted = "farebox_redemptions_total{outcome=\"refused\",service=\"send\"}";
    assert_eq!(gate.world.metric(counted), 1.0);
    // What isn't sold doesn't take its place, and changes nothing.
    for (bad, status, code) in [
        (order(DEARER), 422, "order-refused"),
        (order("+861234567890"), 400, "invalid-input"),
        (order("nobody"), 400, "invalid-input"),
    ] {
        let told = payer.redeems(&ticket, &bad).in_case(&bad);
        told.is(status, code).charges_nothing().advises("changed-request");
    }
    assert_eq!(gate.sent_to(), [FIRST]);
    let sent = payer.redeems(&ticket, &order(SECOND));
    let expected = json!({ "status": "accepted", "id": "SM1", "segments": 1 });
    assert_eq!((sent.status, sent.json()), (200, expected));
    assert!(payer.redeems(&ticket, &order(SECOND)).was_replayed());
    // Its first one isn't sold to anybody any more.
    payer.redeems(&ticket, &order(FIRST)).is(400, "invalid-input");
    payer.redeems(&ticket, &order(THIRD)).asks_to_pay("ticket-used");
    assert_eq!(gate.sent_to(), [FIRST, SECOND]);
    let row = gate.world.row_of(&ticket.payment_hash());
    assert_eq!((&row["state"], &row["priceMsat"]), (&json!("delivered"), &json!(20_000)));
}

#[test]
fn refused_twice_it_is_for_the_operator() {
    let gate = Gate::new();
    let payer = gate.payer();
    let ticket = payer.buys(&order(FIRST));
    gate.refuses();
    payer.redeems(&ticket, &order(FIRST)).is(422, "order-refused");
    let again = payer.redeems(&ticket, &order(SECOND));
    again.is(422, "order-refused").has_charged().advises("never");
    payer.redeems(&ticket, &order(SECOND)).is(422, "order-refused").advises("never");
    payer.redeems(&ticket, &order(THIRD)).asks_to_pay("ticket-used");
    assert_eq!(gate.sent_to(), [FIRST, SECOND]);
    assert_eq!(gate.world.row_of(&ticket.payment_hash())["mayChange"], false);
    gate.world.write_ops_config();
    let (_, told) = gate.world.farebox("tickets --config ops.toml list --output table");
    assert!(told.contains("refused twice"), "{told}");
    // Who may say that it is sent after all.
    gate.takes();
    let hash = ticket.payment_hash();
    gate.world.operator_orders(&hash, "delivered").has_status(409);
    gate.world.operator_orders(&hash, "release").has_status(200);
    payer.redeems(&ticket, &order(SECOND)).has_status(200);
    assert_eq!(gate.sent_to(), [FIRST, SECOND, SECOND]);
}

/// Promise 1: what was priced of the other order is what is sent of it, whatever the suffix is by
/// then.
#[test]
fn the_other_order_sends_no_segment_that_was_not_priced() {
    let gate = Gate::with("per_segment", Options::default());
    let payer = gate.payer();
    let ticket = payer.buys(&order(FIRST));
    gate.refuses();
    payer.redeems(&ticket, &order(FIRST)).is(422, "order-refused");
    // Two segments at half the price each; three cost more than was paid.
    let of = |length| json!({ "to": THIRD, "text": "x".repeat(length) }).to_string();
    payer.redeems(&ticket, &of(307)).is(422, "order-refused").advises("changed-request");
    gate.world.upstream.behave(Behaviour::status(429, r#"{"code":20429}"#));
    payer.redeems(&ticket, &of(300)).is(502, "upstream-refused");
    let suffix = format!("max_segments = 3, suffix = \"{}\"", " by example.com".repeat(3));
    gate.world.write_config("farebox.toml", &[("max_segments = 3", &suffix)]);
    gate.world.reloads();
    gate.takes();
    wait_until("it to be sent", || payer.redeems(&ticket, &of(300)).status == 200);
    let body = gate.world.upstream.last().body;
    let text = form_urlencoded::parse(&body).find(|(name, _)| name == "Body").unwrap().1;
    assert_eq!(text.len(), 300, "without the words that nobody priced");
}

/// Promise 5: what can't be delivered isn't sold, over a restart too, until the number's time ends.
#[test]
fn nobody_else_buys_for_a_number_that_gets_no_messages() {
    let mut gate = Gate::with("refused_for = \"2d\"", Options::default());
    let payer = gate.payer();
    let ticket = payer.buys(&order(FIRST));
    gate.refuses();
    payer.redeems(&ticket, &order(FIRST)).is(422, "order-refused");
    gate.takes();
    let is_refused = |gate: &Gate| {
        for refused in [gate.payer().tries_to_buy(&order(FIRST)), gate.quotes(&order(FIRST))] {
            refused.is(400, "invalid-input").bears_no_challenge();
            let fault = &refused.json()["errors"][0];
            assert_eq!((&fault["field"], &fault["rule"]), (&json!("to"), &json!("refused")));
            assert!(fault["expected"].as_str().unwrap().contains("until 20"), "{fault}");
            assert!(!refused.text().contains("49170"), "{refused:?}");
        }
        gate.quotes(&order(SECOND)).has_status(200);
    };
    is_refused(&gate);
    // Nor does it take the place of another one.
    let other = payer.buys(&order(SECOND));
    gate.refuses();
    payer.redeems(&other, &order(SECOND)).is(422, "order-refused");
    gate.takes();
    payer.redeems(&other, &order(FIRST)).is(400, "invalid-input");
    gate.world.crash_and_restart();
    let refused = gate.payer().tries_to_buy(&order(FIRST));
    refused.is(400, "invalid-input");
    gate.payer().redeems(&other, &order(THIRD)).has_status(200);
    assert_eq!(gate.sent_to(), [FIRST, SECOND, THIRD]);
}

/// Promises 3 and 5: what is refused to everybody says nothing of an order: it isn't sold on, and
/// who paid keeps the order.
#[test]
fn what_is_refused_to_everybody_is_no_order_s_fault() {
    let gate = Gate::new();
    let payer = gate.payer();
    let to = |n: usize| order(&format!("+49170123450{n}"));
    let tickets: Vec<_> = (0..7).map(|n| payer.buys(&to(n))).collect();
    gate.refuses();
    for (n, ticket) in tickets[..4].iter().enumerate() {
        payer.redeems(ticket, &to(n)).is(422, "order-refused");
    }
    payer.redeems(&tickets[0], &order(SECOND)).is(422, "order-refused").has_charged();
    payer.asks(&order(THIRD));
    payer.redeems(&tickets[4], &to(4)).is(502, "upstream-refused").charges_nothing();
    payer.tries_to_buy(&order(THIRD)).is(503, "upstream-misconfigured").bears_no_challenge();
    assert_eq!(gate.world.metric("farebox_selling{service=\"send\"}"), 0.0);
    let why = gate.world.ready()["upstreams"]["send"]["why"].to_string();
    assert!(why.contains("5 orders") && why.contains("400"), "{why}");
    // Nor are those lost that were told otherwise before, or that were bought before.
    payer.redeems(&tickets[1], &to(1)).is(502, "upstream-refused").charges_nothing();
    payer.redeems(&tickets[5], &to(5)).is(502, "upstream-refused").charges_nothing();
    gate.takes();
    payer.redeems(&tickets[6], &to(6)).has_status(200);
    for (ticket, order) in
        [(0, order(SECOND)), (1, to(1)), (2, to(2)), (3, order(THIRD)), (4, to(4)), (5, to(5))]
    {
        wait_until("it to be sent", || payer.redeems(&tickets[ticket], &order).status == 200);
    }
    // Whose number was refused meanwhile isn't remembered.
    payer.asks(&to(4));
    gate.quotes(&to(3)).is(400, "invalid-input");
}

/// Promises 1 and 2: of many other orders at the same moment one takes the place.
#[test]
fn of_many_other_orders_at_once_one_is_sent() {
    let postgres = Postgres::start();
    let gate = Gate::with("", Options::postgres(&postgres.url()));
    let options = options_of(&gate.table(), "", Options::postgres(&postgres.url()));
    let second = World::before(gate.world.upstream.clone(), options);
    let payers = [gate.payer(), second.payer_at("POST", "/send")];
    for round in 0..5 {
        let first = format!("+4917012345{round}0");
        let ticket = payers[0].buys(&order(&first));
        gate.refuses();
        payers[round % 2].redeems(&ticket, &order(&first)).is(422, "order-refused");
        gate.takes();
        let before = gate.world.upstream.count();
        let delivered = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (ticket, delivered) = (&ticket, &delivered);
                let payer = &payers[n % 2];
                let other = format!("+44770090{round}{n:02}0");
                scope.spawn(move || {
                    let answer = payer.redeems(ticket, &order(&other));
                    match answer.status {
                        200 => drop(delivered.fetch_add(1, Ordering::SeqCst)),
                        402 => drop(answer.asks_to_pay("ticket-used")),
                        409 => drop(answer.is(409, "in-flight")),
                        _ => panic!("{answer:?}"),
                    }
                });
            }
        });
        assert_eq!(delivered.load(Ordering::SeqCst), 1, "round {round}");
        assert_eq!(gate.world.upstream.count(), before + 1, "round {round}");
    }
}

/// Promises 2 and 3: wherever the gate dies over the other order, it is sent at most once, and the
/// ticket is worth what it was.
#[test]
fn a_crash_over_the_other_order_loses_and_doubles_nothing() {
    for (place, asked, then) in [
        ("before-claim", 1, 200),
        ("before-commit", 1, 200),
        ("after-commit", 1, 504),
        ("after-claim", 1, 504),
        ("after-send", 2, 504),
        ("before-settle-commit", 2, 504),
        ("after-settle", 2, 200),
    ] {
        let mut gate = Gate::new();
        let payer = gate.payer();
        let ticket = payer.buys(&order(FIRST));
        gate.refuses();
        payer.redeems(&ticket, &order(FIRST)).is(422, "order-refused");
        gate.takes();
        gate.world.gate.kill();
        gate.world.restart_with(&[("FAREBOX_CRASH_AT", place)]);
        let died = gate.payer().tries_to_redeem(&ticket, &order(SECOND));
        assert!(died.is_none(), "{place}: {died:?}");
        gate.world.gate.wait();
        assert_eq!(gate.world.upstream.count(), asked, "{place}");
        gate.world.restart();
        let payer = gate.payer();
        for _ in 0..2 {
            payer.redeems(&ticket, &order(SECOND)).in_case(place).has_status(then);
        }
        payer.redeems(&ticket, &order(THIRD)).in_case(place).asks_to_pay("ticket-used");
        payer.redeems(&ticket, &order(FIRST)).in_case(place).is(400, "invalid-input");
        let expected = if then == 200 { 2 } else { asked };
        assert_eq!(gate.world.upstream.count(), expected, "{place}");
    }
}

/// The refusal itself is durable before it is told.
#[test]
fn a_crash_over_the_refusal_parks_or_keeps_it() {
    for (place, state) in [("after-send", "parked"), ("after-settle", "refused")] {
        let mut gate = Gate::new();
        let ticket = gate.payer().buys(&order(FIRST));
        gate.refuses();
        gate.world.gate.kill();
        gate.world.restart_with(&[("FAREBOX_CRASH_AT", place)]);
        assert!(gate.payer().tries_to_redeem(&ticket, &order(FIRST)).is_none(), "{place}");
        gate.world.gate.wait();
        gate.world.restart();
        assert_eq!(gate.world.row_of(&ticket.payment_hash())["state"], state, "{place}");
        let other = gate.payer().redeems(&ticket, &order(SECOND)).in_case(place);
        if state == "parked" {
            other.asks_to_pay("ticket-used");
        } else {
            other.is(422, "order-refused");
        }
    }
}

/// `/l402/status` says so, and that it isn't the end.
#[test]
fn its_holder_is_told() {
    let play = Play::new();
    let gate = Gate::with("", play.watched());
    gate.world.wait_until_payments_are_detected();
    let payer = gate.payer();
    let challenge = payer.asks(&order(FIRST));
    let ticket = play.pays(&challenge);
    payer.waits_until(&ticket, "paid");
    gate.refuses();
    payer.redeems(&ticket, &order(FIRST)).is(422, "order-refused");
    let told = payer.asks_for_status(&ticket).json();
    assert_eq!((&told["state"], &told["retry"]), (&json!("refused"), &json!("changed-request")));
    gate.takes();
    payer.redeems(&ticket, &order(SECOND)).has_status(200);
    wait_until("it to be delivered", || payer.state_of(&ticket) == "delivered");
}
