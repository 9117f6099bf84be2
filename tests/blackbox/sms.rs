//! Promises 1, 4 and 5: text messages are judged before the sale as the network counts them, and
//! sent with the operator's words behind them.

use serde_json::{Value, json};

use crate::support::http::{self, Response};
use crate::support::kannel::Kannel;
use crate::support::world::Options;
use crate::support::{Behaviour, World, wait_until};

const RULES: &str = "sms = { to = \"phone_number\", text = \"message\", suffix = \" via example\", \
                     encoding = \"gsm7\", refuse = [\"https?://\"] }";

fn world() -> World {
    World::with(Options { service: RULES.into(), ..Options::default() })
}

fn order(text: &str) -> String {
    json!({"phone_number": "+1234567890", "message": text}).to_string()
}

fn quote(world: &World, order: &str) -> Response {
    let json = [("Content-Type", "application/json")];
    http::send(world.address, "POST", "/l402/quote/send-sms", &json, order.as_bytes())
}

/// What was sent of an order, as the upstream got it.
fn sent(world: &World) -> Value {
    serde_json::from_slice(&world.upstream.last().body).unwrap()
}

#[test]
fn what_a_phone_would_not_show_as_it_was_written_is_refused_before_the_sale() {
    let world = world();
    for (text, rule, words) in [
        ("it’s `here`", "encoding", "\u{201c}’\u{201d} (U+2019), \u{201c}`\u{201d} (U+0060)"),
        ("Привет", "encoding", "and others"),
        ("see HTTPS://a.example", "refuse", "such as links"),
        (&"€".repeat(75), "maxSegments", "at most 1 segment(s), the 12 characters behind it"),
    ] {
        let order = order(text);
        let (sold, quoted) = (world.payer().tries_to_buy(&order), quote(&world, &order));
        sold.is(400, "invalid-input").bears_no_challenge();
        assert_eq!((quoted.status, quoted.json()), (400, sold.json()), "{text}");
        let fault = &sold.json()["errors"][0];
        assert_eq!((&fault["field"], &fault["rule"]), (&"message".into(), &rule.into()), "{text}");
        assert!(fault["expected"].as_str().unwrap().contains(words), "{text}: {fault}");
    }
    assert_eq!(world.metric("farebox_unpaid_challenges"), 0.0);
}

#[test]
fn a_quote_says_what_a_text_is_to_the_network() {
    let world = world();
    let of = |text: &str| quote(&world, &order(text)).json();
    let expected = json!({
        "service": "send-sms", "price_sat": 100, "price_msat": 100_000,
        "encoding": "gsm7", "characters": 17, "segments": 1, "max_segments": 1,
    });
    assert_eq!(of("a [b]"), expected, "with the suffix");
}

#[test]
fn the_suffix_of_today_is_sent_behind_what_was_bought() {
    let world = world();
    let payer = world.payer();
    let [now, later, never] = ["one", "two", "three"].map(order);
    let (first, second, third) = (payer.buys(&now), payer.buys(&later), payer.buys(&never));
    payer.redeems(&first, &now).is_delivered("Okay");
    let expected = json!({"phone_number": "+1234567890", "message": "one via example"});
    assert_eq!(sent(&world), expected);
    payer.redeems(&first, &now).is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
    for (from, to, ticket, order, text) in [
        (" via example", " / example", &second, &later, "two / example"),
        ("suffix = \" / example\", ", "", &third, &never, "three"),
    ] {
        world.write_config("farebox.toml", &[(from, to)]);
        world.reloads();
        payer.redeems(ticket, order).is_delivered("Okay");
        assert_eq!(sent(&world)["message"], text);
    }
    // What an operator is shown of a parked ticket is what the backend may have.
    world.write_config("farebox.toml", &[("encoding = \"gsm7\"", "suffix = \" (ad)\"")]);
    world.reloads();
    let parked = payer.buys(&now);
    world.upstream.behave(Behaviour::status(500, "oops"));
    payer.redeems(&parked, &now).is(504, "outcome-unknown");
    world.write_ops_config();
    let show = format!("tickets --config ops.toml show {}", parked.payment_hash());
    let (_, shown) = world.farebox(&show);
    assert!(shown.contains("one (ad)"), "{shown}");
    // The suffix is none of the payer's text.
    payer.redeems(&payer.buys(&now), &order("one via example")).has_status(422);
}

#[test]
fn nothing_is_sold_to_a_number_that_is_denied_or_is_none_and_what_was_sold_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deny.txt");
    std::fs::write(&path, "# nobody yet\n").unwrap();
    let service = format!(
        "sms = {{ to = \"phone_number\", text = \"message\", strict = true, deny = \"{}\" }}",
        path.display()
    );
    let world = World::with(Options { service, ..Options::default() });
    let payer = world.payer();
    let order_to = |to: &str| json!({"phone_number": to, "message": "x"}).to_string();
    let fault = |to: &str| {
        let refused = payer.tries_to_buy(&order_to(to)).in_case(to);
        refused.is(400, "invalid-input").bears_no_challenge();
        refused.json()["errors"][0]["rule"].as_str().unwrap().to_owned()
    };
    assert_eq!(fault("+1234567890"), "strict");
    assert_eq!(fault("+1 2025550123"), "format");
    let order = order_to("+12025550123");
    let ticket = payer.buys(&order);

    std::fs::write(&path, "+12025550123\n+49 # Germany\n").unwrap();
    wait_until("the list", || quote(&world, &order).status == 400);
    assert_eq!((fault("+12025550123"), fault("+491701234567")), ("deny".into(), "deny".into()));
    assert_eq!(quote(&world, &order).json()["errors"][0]["rule"], "deny");
    payer.asks(&order_to("+12025550124"));
    payer.redeems(&ticket, &order).is_delivered("Okay");

    std::fs::write(&path, "12025550124\n").unwrap();
    let upstream = || world.ready()["upstreams"]["send-sms"].clone();
    wait_until("the trouble", || upstream()["status"] == "list-unreadable");
    assert!(upstream()["why"].as_str().unwrap().contains("deny.txt:1: `12025550124` is no number"));
    assert_eq!(fault("+491701234567"), "deny", "what it said before holds");
    payer.asks(&order_to("+12025550124"));
}

const BY_QUERY: &str = r#"
[[service]]
name = "kannel"
method = "GET"
path = "/sms"
ticket = "single-use"
price_sat = 10
upstream = "http://KANNEL/cgi-bin/sendsms?username=tester"
upstream_query = { password = "foobar-of-kannel", charset = "UTF-8" }
delivered = { status = [202], body = "^0:" }
sms = { to = "to", text = "text", suffix = " +x", encoding = "gsm7" }

[service.input]
type = "object"
required = ["to", "text"]
additionalProperties = false
properties = { to = { type = "string" }, text = { type = "string" } }
"#;

/// The schema lets any text pass for a number: that it is one is no matter of the schema.
#[test]
fn no_number_is_two_and_kannel_sends_what_was_bought() {
    let kannel = Kannel::start();
    let more = BY_QUERY.replace("KANNEL", &kannel.sendsms.to_string());
    let world = World::with(Options { more, ..Options::default() });
    world.wait_until_upstream_is("kannel", "ok");
    let payer = world.payer_at("GET", "/sms");
    for number in ["111+222", "%2B1234567890+%2B1999999999", "%2B1234567890,", "", "%2B１234567890"]
    {
        let refused = payer.tries_to_buy(&format!("?to={number}&text=x"));
        refused.in_case(number).is(400, "invalid-input").bears_no_challenge();
    }
    for text in ["Grüße: 5 € [Ñ] @{Ω}", "£¥èÇØøÅåΔ_ΦΓΛΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà", "^{}\\[~]|"]
    {
        let written: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let query = format!("?to=%2B1234567890&text={written}");
        let before = kannel.sent().len();
        assert_eq!(payer.redeems(&payer.buys(&query), &query).status, 202, "{text}");
        wait_until("the message at the centre", || kannel.sent().len() == before + 1);
        let line = kannel.sent().pop().unwrap();
        assert!(line.contains(&format!("+1234567890 text {text} +x")), "{text}: {line}");
    }
}
