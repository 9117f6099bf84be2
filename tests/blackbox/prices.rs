//! Promises 1, 5, 8 and 9: what a message costs by its number and its length, the same in quote,
//! challenge and books, and frozen once it was said.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::http;
use crate::support::payer::Payer;
use crate::support::upstream::Upstream;
use crate::support::world::Options;
use crate::support::{Behaviour, World, wait_until};

const SERVICE: &str = r#"
[[service]]
name = "world"
method = "POST"
path = "/world"
ticket = "single-use"
upstream = "http://UPSTREAM/send"
price = { table = "TABLE", CURRENCY }
sms = { to = "to", text = "text", suffix = " +x" }

[service.input]
type = "object"
required = ["to", "text"]
additionalProperties = false
properties = { to = { type = "string" }, text = { type = "string" } }
"#;

/// A gate with a price list, which lies in a folder of its own.
struct Priced {
    folder: TempDir,
    world: World,
}

impl Priced {
    fn with(prices: &str, words: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("prices.csv");
        std::fs::write(&table, prices).unwrap();
        let service = SERVICE.replace("TABLE", table.to_str().unwrap()).replace("CURRENCY", words);
        let more = format!("{more}\n{service}");
        let world = World::with(Options { more, ..Options::default() });
        Self { folder, world }
    }

    fn table(&self) -> PathBuf {
        self.folder.path().join("prices.csv")
    }

    /// Replaces the list as an editor does: a new file in the place of the old one.
    fn lists(&self, prices: &str) {
        let new = self.folder.path().join("new.csv");
        std::fs::write(&new, prices).unwrap();
        std::fs::rename(new, self.table()).unwrap();
    }

    fn payer(&self) -> Payer {
        self.world.payer_at("POST", "/world")
    }

    fn quotes(&self, order: &str) -> Value {
        let json = [("Content-Type", "application/json")];
        let path = "/l402/quote/world";
        http::send(self.world.address, "POST", path, &json, order.as_bytes()).json()
    }

    fn trouble(&self) -> String {
        self.world.ready()["upstreams"]["world"]["why"].as_str().unwrap_or_default().to_owned()
    }
}

fn order(to: &str, text: &str) -> String {
    json!({ "to": to, "text": text }).to_string()
}

const GERMAN: &str = "+491701234567";
const DOMINICAN: &str = "+18095550000";

#[test]
fn a_price_is_the_same_in_quote_challenge_and_books() {
    let prices = "prefix,price,cost\n+49,20,12\n+1,10,4\n+1809,300,250\n";
    let priced = Priced::with(prices, "per = \"segment\"", "");
    let payer = priced.payer();
    for (to, text, sat) in [
        (GERMAN, "x".to_owned(), 20),
        ("+12025550123", "x".to_owned(), 10),
        (DOMINICAN, "x".to_owned(), 300),
        // 157 characters and the three behind them fit into one segment; one more doesn't.
        (GERMAN, "x".repeat(157), 20),
        (GERMAN, "x".repeat(158), 40),
        (GERMAN, "😀".repeat(67), 60),
    ] {
        let order = order(to, &text);
        let challenge = payer.asks(&order);
        assert_eq!(challenge.response.json()["priceSats"], sat, "{to} {text}");
        assert_eq!(priced.quotes(&order)["price_sat"], sat, "{to} {text}");
        let ticket = payer.pays(&challenge);
        payer.redeems(&ticket, &order).is_delivered("Okay");
        let row = priced.world.row_of(&ticket.payment_hash());
        assert_eq!(row["priceMsat"], sat * 1000, "{to} {text}");
    }
    let challenged = "farebox_challenged_msat_total{service=\"world\"}";
    assert_eq!(priced.world.metric(challenged), 450_000.0);
    for to in ["+441234567890", "+861234567890"] {
        let refused = payer.tries_to_buy(&order(to, "x")).in_case(to);
        refused.is(400, "invalid-input").bears_no_challenge();
        let fault = &refused.json()["errors"][0];
        assert_eq!((&fault["field"], &fault["rule"]), (&"to".into(), &"price".into()));
    }
    // Without a request there is no price to be told.
    let asked = http::send(
        priced.world.address,
        "POST",
        "/l402/quote",
        &[("Content-Type", "application/json")],
        br#"{"service":"world"}"#,
    );
    asked.is(400, "bad-request");
    let manifest = http::get(priced.world.address, "/.well-known/l402.json").json();
    let services = manifest["services"].as_array().unwrap();
    let found = services.iter().find(|service| service["name"] == "world").unwrap();
    assert_eq!(found["resources"][0]["pricing"], json!({ "model": "dynamic" }));
    let openapi = http::get(priced.world.address, "/openapi.json").json();
    let price = &openapi["paths"]["/world"]["post"]["x-payment-info"]["price"];
    let expected = json!({ "mode": "dynamic", "currency": "BTC", "min": "0.00000010",
        "max": "0.00003000" });
    assert_eq!(price, &expected);
    let page = http::get(priced.world.address, "/services/world").text();
    assert!(page.contains("10 to 300 sat for each segment, by where the message goes"), "{page}");
}

#[test]
fn a_changed_list_changes_no_open_challenge_and_a_bad_one_nothing() {
    let priced = Priced::with("prefix,price\n+49,20\n", "per = \"message\"", "");
    let payer = priced.payer();
    let (order, other) = (order(GERMAN, "one"), order(GERMAN, "two"));
    let (before, later) = (payer.asks(&order), payer.asks(&other));
    priced.lists("prefix,price\n+49,35\n");
    wait_until("the new price", || priced.quotes(&order)["price_sat"] == 35);
    // What was said holds, also where it is shown again.
    let again = payer.sends_macaroon_alone(&before, &order);
    assert_eq!(again.json()["priceSats"], 20);
    payer.redeems(&payer.pays(&before), &order).is_delivered("Okay");
    assert_eq!(payer.asks(&other).response.json()["priceSats"], 35);

    priced.lists("prefix,price\n+49,4O\n");
    wait_until("the trouble", || priced.trouble().contains("prices.csv:2: `price` of +49"));
    assert_eq!(priced.quotes(&order)["price_sat"], 35);
    assert!(priced.world.refuses_to_reload()["detail"].as_str().unwrap().contains("prices.csv:2"));
    std::fs::remove_file(priced.table()).unwrap();
    wait_until("the trouble", || priced.trouble().contains("No such file"));
    assert_eq!(priced.quotes(&order)["price_sat"], 35);

    // What isn't listed any more isn't sold; what was sold is sent all the same.
    priced.lists("prefix,price\n+1,10\n");
    wait_until("the end of a price", || priced.quotes(&order)["status"] == 400);
    assert_eq!(priced.trouble(), "");
    payer.redeems(&payer.pays(&later), &other).is_delivered("Okay");
    assert_eq!(priced.world.upstream.count(), 2);
}

#[test]
fn invoices_are_made_ahead_over_the_prices_that_sell() {
    let prices = "prefix,price\n+49,20\n+1,10\n";
    let priced = Priced::with(prices, "per = \"message\"", "");
    let payer = priced.payer();
    let stock = || priced.world.metric("farebox_stock{service=\"world\"}");
    let hits = || priced.world.metric("farebox_stock_total{result=\"hit\",service=\"world\"}");
    for to in [GERMAN, GERMAN, "+12025550123"] {
        payer.asks(&order(to, "x"));
    }
    wait_until("a stock", || stock() == 3.0);
    let before = hits();
    for (to, sat) in [("+12025550123", 10), (GERMAN, 20), (GERMAN, 20)] {
        let order = order(to, "x");
        let challenge = payer.asks(&order);
        assert_eq!(challenge.response.json()["priceSats"], sat);
        payer.redeems(&payer.pays(&challenge), &order).is_delivered("Okay");
    }
    assert_eq!(hits() - before, 3.0);
}

fn rate_at(source: &Upstream) -> String {
    format!(
        "[rate]\ncurrency = \"USD\"\nurl = \"http://{}/price\"\njson = \"/data/amount\"\nevery = \
         \"5s\"\nmax_age = \"10s\"\n",
        source.address
    )
}

#[test]
fn past_its_time_a_rate_prices_nothing_and_what_was_sold_is_sent() {
    let source = Upstream::start();
    source.behave(Behaviour::status(200, r#"{"data":{"amount":"100000.00"}}"#));
    let words = "currency = \"USD\", per = \"segment\", maximum_sat = 100";
    let prices = "prefix,price\n+49,0.0123\n+1,0.2\n";
    let priced = Priced::with(prices, words, &rate_at(&source));
    let (payer, order) = (priced.payer(), order(GERMAN, "x"));
    wait_until("a price", || payer.tries_to_buy(&order).status == 402);
    let quoted = priced.quotes(&order);
    assert_eq!((&quoted["price_sat"], &quoted["fiat"]["currency"]), (&13.into(), &"USD".into()));
    assert_eq!(quoted["fiat"]["amount"], "0.0123");
    // Twice the segments, rounded once.
    let long = self::order(GERMAN, &"x".repeat(200));
    assert_eq!(priced.quotes(&long)["price_sat"], 25);
    let ticket = payer.buys(&order);
    let dear = payer.tries_to_buy(&self::order("+12025550123", "x"));
    dear.is(400, "invalid-input").bears_no_challenge();
    assert!(dear.text().contains("at most 100 sat"), "{dear:?}");

    source.behave(Behaviour::status(500, "out of order"));
    wait_until("the end of the rate", || payer.tries_to_buy(&order).status == 503);
    payer.tries_to_buy(&order).is(503, "price-unknown").bears_no_challenge();
    assert_eq!(priced.quotes(&order)["code"], "price-unknown");
    assert!(priced.trouble().contains("in USD is not known: the answer has the status 500"));
    assert_eq!(priced.world.ready()["upstreams"]["world"]["status"], "price-unknown");
    assert_eq!(priced.world.metric("farebox_selling{service=\"world\"}"), 0.0);
    payer.redeems(&ticket, &order).is_delivered("Okay");

    source.behave(Behaviour::status(200, r#"{"data":{"amount":50000}}"#));
    wait_until("the other rate", || priced.quotes(&order)["price_sat"] == 25);
    payer.redeems(&payer.buys(&order), &order).is_delivered("Okay");
    // A reload forgets nothing of it.
    source.stop();
    priced.world.reloads();
    assert_eq!(priced.quotes(&order)["price_sat"], 25);
}

#[test]
fn check_tells_of_the_list_and_of_the_rate() {
    let source = Upstream::start();
    source.behave(Behaviour::status(200, r#"{"data":{"amount":"100000"}}"#));
    let prices = "prefix,price,cost\n+49,0.0123,0.01\n+1,0.2,0.3\n+1809,2,\n";
    let priced = Priced::with(prices, "currency = \"USD\"", &rate_at(&source));
    let (_, said) = priced.world.farebox("check --config farebox.toml");
    let table = "prices.csv: 3 prefix(es), from 0.0123 USD for +49 to 2 USD for +1809";
    for part in [
        "ok       rate: a bitcoin costs 100000 USD",
        table,
        "the price is below the cost for +1:",
        "more than 1000 sat for +1809,",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    std::fs::write(priced.world.folder.path().join("order.json"), order("+33612345678", "x"))
        .unwrap();
    let send = "check --config farebox.toml --service world --send order.json";
    let (status, said) = priced.world.farebox(send);
    let what = "order.json: `to` has to be a number in a country or network that is sold here";
    assert!(!status.success() && said.contains(what), "{said}");
    assert_eq!(priced.world.upstream.count(), 0);
    what_never_happens_is_noted(&priced.world);
    source.behave(Behaviour::status(200, "{}"));
    let (_, said) = priced.world.farebox("check --config farebox.toml");
    assert!(said.contains("FAILED   rate: the answer has no number at `/data/amount`"), "{said}");
    a_mistaken_line_is_named(&priced.world);
}

fn what_never_happens_is_noted(world: &World) {
    let limits = "suffix = \" +x\", per_number = \"3/1h\", per_day = { all = 9, \"+49\" = 10 }";
    for (old, new, said) in [
        (
            "currency = \"USD\" }",
            "currency = \"USD\", maximum_sat = 1000 }",
            "nothing is sold to +1809, which costs more than",
        ),
        (
            "path = \"/world\"",
            "path = \"/world\"\nexample = { to = \"+33612345678\", text = \"x\" }",
            "the example that pages show isn't sold (`to` has to be a number in a country",
        ),
        ("suffix = \" +x\"", limits, "+49 has more than `all`"),
        ("suffix = \" +x\"", limits, "without `sms.strict` some phones have several numbers"),
    ] {
        world.write_config("odd.toml", &[(old, new)]);
        let (_, output) = world.farebox("check --config odd.toml");
        assert!(output.contains("note     service world: ") && output.contains(said), "{output}");
    }
}

fn a_mistaken_line_is_named(world: &World) {
    for (old, new, said) in [
        ("currency = \"USD\" }", "currency = \"EUR\" }", "[rate] is of \"USD\""),
        ("prices.csv\"", "none.csv\"", "none.csv: No such file"),
        ("every = \"5s\"", "every = \"1s\"", "`rate.every` should be at least \"5s\""),
        ("url = \"http://127.0.0.1", "url = \"http://rates.example", "whoever stands between"),
        ("json = \"/data", "json = \"data", "is no JSON pointer"),
        ("sms = { to = \"to\", text = \"text\", suffix = \" +x\" }", "", "needs [service.sms]"),
        ("path = \"/world\"", "path = \"/world\"\nprobe = true", "at one price"),
        ("path = \"/world\"", "path = \"/world\"\nprice_sat = 5", "keep one of the two"),
    ] {
        world.write_config("wrong.toml", &[(old, new)]);
        let (status, output) = world.farebox("check --config wrong.toml");
        assert!(!status.success() && output.contains(said), "{old} -> {new}: {output}");
        assert!(output.contains("wrong.toml:"), "{output}");
    }
}

/// Priced by the segment, so that more of them could be sold: no more are sent than were.
#[test]
fn a_longer_suffix_costs_no_segment_that_was_not_priced() {
    let priced = Priced::with("prefix,price\n+49,20\n", "per = \"segment\"", "");
    let payer = priced.payer();
    let [one, two] = [150, 160].map(|count| order(GERMAN, &"x".repeat(count)));
    let tickets = [payer.buys(&one), payer.buys(&two)];
    priced.world.write_config("farebox.toml", &[("\" +x\"", "\" by way of an example\"")]);
    priced.world.reloads();
    for (ticket, order, sent) in [
        (&tickets[0], &one, "x".repeat(150)),
        (&tickets[1], &two, "x".repeat(160) + " by way of an example"),
    ] {
        payer.redeems(ticket, order).is_delivered("Okay");
        let last: Value = serde_json::from_slice(&priced.world.upstream.last().body).unwrap();
        assert_eq!(last["text"], sent);
    }
}
