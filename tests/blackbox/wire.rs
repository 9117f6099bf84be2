//! Promise 9: the header line, read by the literal rules of the clients that are out there; and
//! what clients hand in.

use regex::Regex;

use crate::support::payer::with_caveat;
use crate::support::{Behaviour, SMS, World, http};

#[test]
fn every_client_reads_the_challenge() {
    let world = World::new();
    let challenge = world.payer().asks(SMS);
    let lines: Vec<&(String, String)> = challenge
        .response
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"))
        .collect();
    assert_eq!(lines.len(), 1, "one client reads the first line only");
    let line = lines[0].1.as_str();
    let (macaroon, invoice) = (challenge.macaroon.as_str(), challenge.invoice.as_str());
    assert_eq!(
        line,
        format!(
            "L402 macaroon=\"{macaroon}\", invoice=\"{invoice}\", version=\"0\", \
             token=\"{macaroon}\""
        )
    );
    // The patterns of clients, from the narrowest on.
    for pattern in [
        r#"(?:LSAT|L402) macaroon="(.*?)", invoice="(.*?)""#,
        r#"^L402 macaroon="([^"]+)", invoice="([^"]+)""#,
        r#"macaroon="?([A-Za-z0-9+/=_-]+)"?,\s*invoice="?([a-z0-9]+)"?"#,
        r#"^(?i:l402)\s+macaroon="([^"]*)"\s*,\s*invoice="([^"]*)""#,
    ] {
        let found =
            Regex::new(pattern).unwrap().captures(line).unwrap_or_else(|| panic!("{pattern}"));
        assert_eq!((&found[1], &found[2]), (macaroon, invoice), "{pattern}");
    }
    // Some split at the comma and the space, then at the first equals sign, and strip quotes.
    let parameters: std::collections::HashMap<&str, &str> = line["L402 ".len()..]
        .split(", ")
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(k, v)| (k, v.trim_matches('"')))
        .collect();
    assert_eq!((parameters["macaroon"], parameters["invoice"]), (macaroon, invoice));
    let standard = Regex::new("^[A-Za-z0-9+/]+={0,2}$").unwrap();
    assert!(
        standard.is_match(macaroon) && macaroon.len() % 4 == 0,
        "standard base64 with padding: {macaroon}"
    );
}

#[test]
fn no_answer_of_an_upstream_bears_a_challenge() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    world.upstream.behave(Behaviour::Answer {
        status: 200,
        headers: "WWW-Authenticate: L402 macaroon=\"x\", invoice=\"y\"\r\nSet-Cookie: \
                  a=b\r\nX-Id: 7\r\n",
        body: b"Okay".to_vec(),
    });
    let paid = payer.redeems(&ticket, SMS);
    paid.is_delivered("Okay");
    assert_eq!((paid.header("set-cookie"), paid.header("x-id")), (None, Some("7")));
    http::get(world.address, "/status").has_status(200).bears_no_challenge();
}

#[test]
fn no_error_but_a_402_bears_a_challenge() {
    let world = World::new();
    for answer in [
        http::get(world.address, "/nowhere"),
        http::get(world.address, "/api/l402/send-sms"),
        world.payer().tries_to_buy("{}"),
    ] {
        assert!(answer.bears_no_challenge().status >= 400, "{answer:?}");
    }
}

#[test]
fn every_spelling_of_a_ticket_is_one_ticket() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    let (macaroon, preimage) = (ticket.macaroon.as_str(), ticket.preimage.as_str());
    let whole = ticket.authorization();
    let url_safe = macaroon.replace('+', "-").replace('/', "_");
    let unpadded = url_safe.trim_end_matches('=');
    let first = format!("l402 {unpadded}:{}", preimage.to_uppercase());
    payer.hands_in(&first, SMS).is_delivered("Okay");
    let garbage = "L402 AAAA:0000000000000000000000000000000000000000000000000000000000000000";
    for spelling in [
        vec![("Authorization", format!("LSAT {macaroon}:{preimage}"))],
        vec![("Authorization", format!("L402 {url_safe}:{preimage}"))],
        vec![("Authorization", "Bearer x".to_owned()), ("Authorization", whole.clone())],
        vec![("Authorization", garbage.to_owned()), ("Authorization", whole.clone())],
        vec![("Authorization", format!("L402 AAAA,{macaroon}:{preimage}"))],
        vec![("Macaroon", hex_with_preimage(macaroon, preimage))],
        vec![("Grpc-Metadata-Macaroon", hex_with_preimage(macaroon, preimage))],
        vec![(
            "Authorization",
            format!("L402 {}:{preimage}", base64_of(&hex_with_preimage(macaroon, preimage))),
        )],
    ] {
        let headers: Vec<(&str, &str)> =
            spelling.iter().map(|(name, value)| (*name, value.as_str())).collect();
        payer.sends(&headers, SMS).in_case(format!("{spelling:?}")).is_replayed("Okay");
    }
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn another_scheme_is_no_ticket() {
    let world = World::new();
    for header in ["Bearer abc", "Basic dXNlcjpwYXNz", "Payment abc"] {
        world.payer().hands_in(header, SMS).in_case(header).asks_to_pay("payment-required");
    }
}

#[test]
fn a_browser_may_ask_from_any_page() {
    let world = World::new();
    let preflight = http::send(
        world.address,
        "OPTIONS",
        "/api/l402/send-sms",
        &[
            ("Origin", "https://wallet.test"),
            ("Access-Control-Request-Method", "POST"),
            // The second is what Alby's client sends.
            ("Access-Control-Request-Headers", "authorization,accept-authenticate"),
        ],
        b"",
    );
    preflight.has_status(204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("authorization,accept-authenticate")
    );
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
    let challenge = world.payer().asks(SMS).response;
    assert!(
        challenge.header("access-control-expose-headers").unwrap().contains("WWW-Authenticate")
    );
    assert_eq!(world.upstream.count(), 0);
}

/// What lnget and the gRPC clients do: append `preimage=<hex>` as a caveat of their own.
fn hex_with_preimage(macaroon: &str, preimage: &str) -> String {
    let bytes = farebox::l402::credential::decode_base64(macaroon.as_bytes()).unwrap();
    hex::encode(with_caveat(&bytes, format!("preimage={preimage}").as_bytes()))
}

fn base64_of(hex_text: &str) -> String {
    farebox::l402::credential::encode_base64(&hex::decode(hex_text).unwrap())
}
