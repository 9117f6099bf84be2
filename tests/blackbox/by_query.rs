//! Promise 1: a service whose input is the query is sold as exactly as one whose input is a body.

use crate::support::World;
use crate::support::world::Options;

const SERVICE: &str = r#"
[[service]]
name = "sms-by-query"
method = "GET"
path = "/sendsms"
ticket = "single-use"
price_sat = 10
upstream = "http://UPSTREAM/cgi-bin/sendsms?username=gate&charset=UTF-8"
upstream_query = { password = { env = "SMS_BACKEND_TOKEN" } }

[service.input]
type = "object"
required = ["to", "text"]
additionalProperties = false

[service.input.properties.to]
type = "string"
format = "e164"

[service.input.properties.text]
type = "string"
minLength = 1
maxLength = 160
"#;

fn world() -> World {
    World::with(Options { more: SERVICE.into(), ..Options::default() })
}

#[test]
fn a_query_that_the_service_would_refuse_gets_no_invoice() {
    let world = world();
    let payer = world.payer_at("GET", "/sendsms");
    for bad in [
        "",
        "?to=%2B1234567890",
        "?to=%2B1234567890+%2B1999999999&text=x",
        "?to=%2B1234567890&to=%2B1999999999&text=x",
        "?to=%2B1234567890&text=x&password=mine",
        "?to=+1234567890&text=x",
    ] {
        payer.tries_to_buy(bad).in_case(bad).has_status(400).bears_no_challenge();
    }
}

#[test]
fn a_ticket_opens_its_query_however_that_is_written_and_no_other() {
    let world = world();
    let payer = world.payer_at("GET", "/sendsms");
    let challenge = payer.asks("?to=%2B1234567890&text=a+b");
    let next = challenge.response.json()["next"].as_str().unwrap().to_owned();
    assert!(next.contains("'http://localhost:8402/sendsms?text=a+b&to=%2B1234567890'"), "{next}");
    let ticket = payer.pays(&challenge);
    let another = payer.redeems(&ticket, "?to=%2B1234567891&text=a+b");
    another.is(422, "ticket-for-another-request");
    // Another way to write the same.
    payer.redeems(&ticket, "?text=a%20b&to=%2b1234567890").is_delivered("Okay");
    payer.redeems(&ticket, "?to=%2B1234567890&text=a+b").is_replayed("Okay");
    let seen: Vec<_> = world.upstream.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(
        seen,
        ["GET /cgi-bin/sendsms?username=gate&charset=UTF-8\
             &password=Bearer+backend-token-hunter2&text=a+b&to=%2B1234567890 HTTP/1.1"]
    );
}
