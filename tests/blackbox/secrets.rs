//! No macaroon, preimage, upstream credential, phone number or message text in a log line, a
//! metric, an invoice memo or an error body.

use std::str::FromStr as _;

use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, http};

#[test]
fn nothing_secret_gets_out() {
    for format in ["human", "json"] {
        let world = World::with(Options {
            service: "timeout = \"500ms\"".into(),
            more: format!("[log]\nformat = \"{format}\"\n"),
            ..Options::default()
        });
        let mut bodies = Vec::new();
        let mut secrets = vec![
            "backend-token-hunter2".to_owned(),
            "1234567890".to_owned(),
            "this is a test".to_owned(),
            "dXNlcjpwYXNz".to_owned(),
        ];
        secrets.extend(
            std::fs::read_to_string(world.folder.path().join("state/master.secret"))
                .map(|s| s.trim().to_owned()),
        );
        for behaviour in [
            Behaviour::okay(),
            Behaviour::status(400, "+1234567890: Hello, this is a test SMS! backend-token-hunter2"),
            Behaviour::status(500, "+1234567890 backend-token-hunter2"),
            Behaviour::CloseAfterReading,
            Behaviour::CloseBeforeReading,
        ] {
            world.upstream.behave(behaviour);
            let (challenge, ticket) = world.buy(SMS);
            let invoice = lightning_invoice::Bolt11Invoice::from_str(&challenge.invoice).unwrap();
            assert_eq!(invoice.description().to_string(), "Send an SMS");
            let preimage = ticket.rsplit(':').next().unwrap().to_owned();
            let answer = world.redeem(&ticket, SMS);
            if answer.status >= 400 {
                bodies.push(answer.text());
            }
            // Malformed in every way: a peer logs these whole.
            for header in [
                format!("{ticket}zz"),
                format!("L402 x{}", &ticket[5..]),
                "Basic dXNlcjpwYXNz".to_owned(),
            ] {
                let wrong = world.redeem(&header, r#"{"phone_number":"+1234567890","message":7}"#);
                bodies.push(wrong.text());
            }
            bodies.push(
                http::send(
                    world.address,
                    "GET",
                    "/send/+1234567890?text=this+is+a+test",
                    &[("Authorization", &ticket)],
                    b"",
                )
                .text(),
            );
            secrets.extend([challenge.macaroon, preimage]);
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
}
