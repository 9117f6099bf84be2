//! Promise 6: no macaroon, preimage, upstream credential, phone number or message text in a log
//! line, a metric, an invoice memo or an error body.

use std::str::FromStr as _;

use crate::support::payer::Ticket;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, http};

/// What must not get out, as far as it is known before a sale.
fn secrets(world: &World) -> Vec<String> {
    let of_the_test = ["backend-token-hunter2", "1234567890", "this is a test", "dXNlcjpwYXNz"]
        .map(str::to_owned);
    let secret = std::fs::read_to_string(world.folder.path().join("state/master.secret")).unwrap();
    of_the_test.into_iter().chain([secret.trim().to_owned()]).collect()
}

/// The error bodies of a redemption, and of requests that are malformed in every way: a peer logs
/// these whole.
fn error_bodies(world: &World, ticket: &Ticket) -> Vec<String> {
    let payer = world.payer();
    let authorization = ticket.authorization();
    let answer = payer.redeems(ticket, SMS);
    let mut bodies = Vec::new();
    if answer.status >= 400 {
        bodies.push(answer.text());
    }
    for header in [
        format!("{authorization}zz"),
        format!("L402 x{}", &authorization[5..]),
        "Basic dXNlcjpwYXNz".to_owned(),
    ] {
        let wrong = payer.hands_in(&header, r#"{"phone_number":"+1234567890","message":7}"#);
        bodies.push(wrong.text());
    }
    let elsewhere = world.payer_at("GET", "/send/+1234567890?text=this+is+a+test");
    bodies.push(elsewhere.redeems(ticket, "").text());
    bodies
}

fn nothing_secret_gets_out(log_format: &str) {
    let world = World::with(Options {
        service: "timeout = \"500ms\"".into(),
        more: format!("[log]\nformat = \"{log_format}\"\n"),
        ..Options::default()
    });
    let payer = world.payer();
    let (mut bodies, mut secrets) = (Vec::new(), secrets(&world));
    for behaviour in [
        Behaviour::okay(),
        Behaviour::status(400, "+1234567890: Hello, this is a test SMS! backend-token-hunter2"),
        Behaviour::status(500, "+1234567890 backend-token-hunter2"),
        Behaviour::CloseAfterReading,
        Behaviour::CloseBeforeReading,
    ] {
        world.upstream.behave(behaviour);
        let challenge = payer.asks(SMS);
        let ticket = payer.pays(&challenge);
        let invoice = lightning_invoice::Bolt11Invoice::from_str(&challenge.invoice).unwrap();
        assert_eq!(invoice.description().to_string(), "Send an SMS");
        bodies.extend(error_bodies(&world, &ticket));
        secrets.extend([ticket.macaroon, ticket.preimage]);
    }
    let output = world.gate.output();
    assert!(
        output.contains("upstream-refused") && output.contains("access"),
        "the access log is on:\n{output}"
    );
    let metrics = http::get(world.ops, "/metrics").text();
    let ready = http::get(world.ops, "/readyz").text();
    for secret in &secrets {
        for (place, text) in [
            ("log", &output),
            ("metrics", &metrics),
            ("readyz", &ready),
            ("error bodies", &bodies.join("\n")),
        ] {
            assert!(!text.contains(secret.as_str()), "{secret} in the {place}:\n{text}");
        }
    }
}

#[test]
fn nothing_secret_gets_out_beside_a_log_for_humans() {
    nothing_secret_gets_out("human");
}

#[test]
fn nothing_secret_gets_out_beside_a_log_in_json() {
    nothing_secret_gets_out("json");
}
