//! Promise 9: a quote says what the sale would say, makes no invoice, and has a limit.

use serde_json::json;

use crate::support::http::{self, Response};

use crate::support::world::{Options, Play, SMS};
use crate::support::{World, wait_until};

const JSON: (&str, &str) = ("Content-Type", "application/json");

const QUERY: &str = r#"
[[service]]
name = "by-query"
method = "GET"
path = "/by-query"
ticket = "single-use"
price_msat = 2500
upstream = "http://UPSTREAM/q"
input = { type = "object", required = ["q"], properties = { q = { type = "string" } } }

[[service]]
name = "elsewhere"
method = "GET"
path = "/elsewhere"
host = "other.example.com"
ticket = "single-use"
price_sat = 1
upstream = "http://UPSTREAM/q"
"#;

fn world() -> World {
    World::with(Options { more: QUERY.into(), ..Options::default() })
}

fn quote(world: &World, body: &str) -> Response {
    http::send(world.address, "POST", "/l402/quote/send-sms", &[JSON], body.as_bytes())
}

#[test]
fn a_quote_says_what_the_sale_would_say_and_makes_no_invoice() {
    let world = world();
    let answer = quote(&world, SMS);
    assert_eq!((answer.status, answer.header("www-authenticate")), (200, None));
    let expected = json!({"service": "send-sms", "price_sat": 100, "price_msat": 100_000});
    assert_eq!(answer.json(), expected);
    for bad in ["", "{", "[]", r#"{"phone_number":"1","message":""}"#, "{\"a\":\"\\u0000\"}"] {
        let (quoted, sold) = (quote(&world, bad), world.payer().tries_to_buy(bad));
        assert_eq!((quoted.status, quoted.json()), (sold.status, sold.json()), "{bad}");
        assert_eq!(quoted.status, 400, "{bad}");
    }
    let untyped = http::send(world.address, "POST", "/l402/quote/send-sms", &[], SMS.as_bytes());
    assert_eq!((untyped.status, untyped.code().as_str()), (415, "unsupported-media-type"));
    assert_eq!(world.metric("farebox_unpaid_challenges"), 0.0);
}

#[test]
fn a_query_is_quoted_by_get_and_by_post() {
    let world = world();
    let by = |method: &str, target: &str| http::send(world.address, method, target, &[], b"");
    let expected = json!({"service": "by-query", "price_sat": 3, "price_msat": 2500});
    assert_eq!(by("GET", "/l402/quote/by-query?q=1").json(), expected);
    assert_eq!(by("POST", "/l402/quote/by-query?q=1").json(), expected);
    let refused = by("GET", "/l402/quote/by-query");
    assert_eq!(refused.json(), by("GET", "/by-query").json());
    assert_eq!(refused.json()["errors"][0]["field"], "q");
    assert_eq!(by("GET", "/l402/quote/send-sms").status, 405);
    assert_eq!(by("DELETE", "/l402/quote/by-query?q=1").status, 405);
    for unknown in ["nothing", "free", "elsewhere", "", "send-sms/x"] {
        assert_eq!(by("GET", &format!("/l402/quote/{unknown}")).status, 404, "{unknown}");
    }
    let other = [("Host", "other.example.com")];
    let there = http::send(world.address, "GET", "/l402/quote/elsewhere", &other, b"");
    assert_eq!(there.status, 200);
}

#[test]
fn a_service_and_its_request_may_be_told_of_in_json() {
    let world = world();
    let ask = |body: serde_json::Value| {
        http::send(world.address, "POST", "/l402/quote", &[JSON], body.to_string().as_bytes())
    };
    let sms: serde_json::Value = serde_json::from_str(SMS).unwrap();
    assert_eq!(ask(json!({"service": "send-sms", "request": sms})).json()["price_sat"], 100);
    assert_eq!(ask(json!({"service": "by-query", "request": {"q": "1"}})).json()["price_sat"], 3);
    let by_draft = json!({"service": "send-sms", "constraints": {}, "max_price_msat": 5});
    assert_eq!(ask(by_draft).json()["price_msat"], 100_000, "what any request costs");
    let wrong = ask(json!({"service": "send-sms", "request": {"message": ""}}));
    assert_eq!((wrong.status, wrong.json()["errors"].as_array().unwrap().len()), (400, 2));
    let no_texts = ask(json!({"service": "by-query", "request": {"q": 1}}));
    assert_eq!(no_texts.status, 400);
    assert_eq!(ask(json!({"service": "nothing"})).status, 404);
    assert_eq!(ask(json!({"request": {}})).status, 400);
    assert_eq!(ask(json!([1])).status, 400);
}

#[test]
fn what_can_not_be_bought_has_no_price() {
    let play = Play::new();
    let world = World::with(play.options());
    wait_until("a price", || quote(&world, SMS).status == 200);
    play.order("down");
    wait_until("no price", || quote(&world, SMS).code() == "node-down");
    assert_eq!(world.payer().tries_to_buy(SMS).code(), "node-down");
}

#[test]
fn one_client_asks_so_often_and_no_other_is_kept_from_it() {
    let world = world();
    let ask = |client: &str| {
        let headers = [JSON, ("X-Forwarded-For", client)];
        http::send(world.address, "POST", "/l402/quote/send-sms", &headers, SMS.as_bytes())
    };
    let refused = (0..400).map(|_| ask("192.0.2.1")).find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (429, "too-many-questions"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(ask("192.0.2.2").status, 200);
    let _ = world.payer().asks(SMS);
}

#[test]
fn all_faults_of_a_request_are_told_at_once() {
    let world = World::new();
    let wrong = r#"{"phone_number":"secret","more":"secret"}"#;
    let answer = world.payer().tries_to_buy(wrong);
    answer.is(400, "invalid-input").bears_no_challenge();
    let body = answer.json();
    let mut errors: Vec<(String, String)> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            assert!(!error["expected"].as_str().unwrap().is_empty());
            let text = |key: &str| error[key].as_str().unwrap().to_owned();
            (text("field"), text("rule"))
        })
        .collect();
    errors.sort();
    let expected =
        [("", "additionalProperties"), ("message", "required"), ("phone_number", "format")];
    let expected = expected.map(|(field, rule)| (field.to_owned(), rule.to_owned()));
    assert_eq!(errors, expected);
    assert!(!answer.text().contains("secret"), "{body}");
}

/// Programs read where to ask, and what they can rely on.
#[test]
fn a_challenge_says_where_there_is_more() {
    let (_play, world) = World::watching();
    let response = world.payer().asks(SMS).response;
    let body = response.json();
    let base = "http://localhost:8402";
    assert_eq!(body["statusUrl"], format!("{base}/l402/status"));
    assert_eq!(body["quoteUrl"], format!("{base}/l402/quote/send-sms"));
    assert_eq!(body["docs"], format!("{base}/llms.txt"));
    let policy = body["retryPolicy"].as_str().unwrap();
    assert!(policy.contains("same ticket") && policy.contains("do not pay again"), "{policy}");
    let links = response.header("link").unwrap();
    for link in [
        format!("<{base}/openapi.json>; rel=\"service-desc\""),
        format!("<{base}/.well-known/l402.json>; rel=\"l402-manifest\""),
    ] {
        assert!(links.contains(&link), "{links}");
    }
    for path in ["/llms.txt", "/openapi.json", "/.well-known/l402.json"] {
        assert_eq!(http::get(world.address, path).status, 200, "{path}");
    }
    let undetected = World::new().payer().asks(SMS).response.json();
    assert_eq!(undetected.get("statusUrl"), None);
}
