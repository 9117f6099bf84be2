//! The header line, read by the literal rules of the clients that are out there; and what clients
//! hand in.

use regex::Regex;

use crate::support::{SMS, World, http};

#[test]
fn every_client_reads_the_challenge() {
    let world = World::new();
    let challenge = world.ask(SMS);
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
fn no_answer_but_a_402_bears_a_challenge() {
    let world = World::new();
    let (_, ticket) = world.buy(SMS);
    world.upstream.behave(crate::support::Behaviour::Answer {
        status: 200,
        headers: "WWW-Authenticate: L402 macaroon=\"x\", invoice=\"y\"\r\nSet-Cookie: \
                  a=b\r\nX-Id: 7\r\n",
        body: b"Okay".to_vec(),
    });
    let paid = world.redeem(&ticket, SMS);
    assert_eq!(
        (paid.status, paid.header("www-authenticate"), paid.header("set-cookie")),
        (200, None, None)
    );
    assert_eq!(paid.header("x-id"), Some("7"));
    let free = http::get(world.address, "/status");
    assert_eq!((free.status, free.header("www-authenticate")), (200, None));
    for response in [
        http::get(world.address, "/nowhere"),
        http::get(world.address, "/api/l402/send-sms"),
        world.post(&[], "{}"),
    ] {
        assert!(
            response.status >= 400 && response.header("www-authenticate").is_none(),
            "{response:?}"
        );
    }
}

#[test]
fn every_spelling_of_a_ticket_is_one_ticket() {
    let world = World::new();
    let (challenge, ticket) = world.buy(SMS);
    let preimage = ticket.rsplit(':').next().unwrap();
    let macaroon = challenge.macaroon.as_str();
    let url_safe = macaroon.replace('+', "-").replace('/', "_");
    let unpadded = url_safe.trim_end_matches('=');
    assert_eq!(
        world.redeem(&format!("l402 {unpadded}:{}", preimage.to_uppercase()), SMS).status,
        200
    );
    let garbage = "L402 AAAA:0000000000000000000000000000000000000000000000000000000000000000";
    for spelling in [
        vec![("Authorization", format!("LSAT {macaroon}:{preimage}"))],
        vec![("Authorization", format!("L402 {url_safe}:{preimage}"))],
        vec![("Authorization", "Bearer x".to_owned()), ("Authorization", ticket.clone())],
        vec![("Authorization", garbage.to_owned()), ("Authorization", ticket.clone())],
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
        let answer = world.post(&headers, SMS);
        assert_eq!(
            (answer.status, answer.header("idempotent-replayed")),
            (200, Some("true")),
            "{spelling:?}"
        );
    }
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn another_scheme_is_no_ticket() {
    let world = World::new();
    for header in ["Bearer abc", "Basic dXNlcjpwYXNz", "Payment abc"] {
        let answer = world.redeem(header, SMS);
        assert_eq!((answer.status, answer.code().as_str()), (402, "payment-required"), "{header}");
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
            ("Access-Control-Request-Headers", "authorization"),
        ],
        b"",
    );
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
    let challenge = world.ask(SMS).response;
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

/// Appends a caveat as any holder can: the old signature is the key of the new one.
pub fn with_caveat(macaroon: &[u8], caveat: &[u8]) -> Vec<u8> {
    let (body, signature) = macaroon.split_at(macaroon.len() - 35);
    let signature = farebox::hmac::hmac_sha256(signature[3..].try_into().unwrap(), &[caveat]);
    assert!(caveat.len() < 128);
    [body, &[2, caveat.len() as u8], caveat, &[0, 0, 6, 32], &signature].concat()
}
