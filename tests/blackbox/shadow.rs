//! Promise 9: a service that only watches lets everything through, and counts what it would have
//! sold.

use crate::support::http::{self, Connection};
use crate::support::world::{Options, PATH};
use crate::support::{SMS, World};

fn counted(world: &World, would: &str) -> f64 {
    let service = "service=\"send-sms\"";
    world.metric(&format!("farebox_shadow_requests_total{{{service},would=\"{would}\"}}"))
}

#[test]
fn everything_passes_and_is_counted() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    world.write_config("farebox.toml", &[("price_sat = 100", "price_sat = 100\nshadow = true")]);
    let answer = world.operator_posts("/reload").json();
    assert!(answer["warnings"][0].as_str().unwrap().contains("unpaid"), "{answer}");
    let metrics = http::get(world.ops, "/metrics").text();
    assert!(!metrics.contains("farebox_selling{service=\"send-sms\"}"), "it sells nothing");
    payer.tries_to_buy(SMS).is_delivered("Okay");
    let sent = world.upstream.last();
    assert_eq!(sent.body, SMS.as_bytes(), "as it came");
    payer.tries_to_buy("{\"message\":\"\"}").is_delivered("Okay");
    payer.tries_to_buy("not even JSON").is_delivered("Okay");
    let zipped = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    http::send(world.address, "POST", PATH, &zipped, SMS.as_bytes()).is_delivered("Okay");
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    payer.redeems(&ticket, &SMS.replace("Hello", "Hi")).is_delivered("Okay");
    assert!(world.upstream.last().header("authorization").is_some_and(|it| !it.contains("L402")));
    // In pieces.
    let mut connection = Connection::open(world.address);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    connection.write(head.as_bytes());
    for part in [&SMS[..10], &SMS[10..]] {
        connection.write(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes());
    }
    connection.write(b"0\r\n\r\n");
    connection.read().unwrap().is_delivered("Okay");
    let found = ["sold", "redeemed", "refused"].map(|would| counted(&world, would));
    assert_eq!(found, [3.0, 1.0, 3.0], "another request than a ticket's own would be sold anew");
    assert_eq!(world.upstream.count(), 7);
    // It is no service that is paid for.
    let page = [("Accept", "text/html")];
    assert!(!http::send(world.address, "GET", "/", &page, b"").text().contains("send-sms"));
    http::send(world.address, "POST", "/l402/quote/send-sms", &[], SMS.as_bytes()).has_status(404);
    // The ticket was not spent.
    world.write_config("farebox.toml", &[("\nshadow = true", "")]);
    world.reloads();
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    payer.redeems(&ticket, SMS).is_replayed("Okay");
}

/// It is genuine, and still worth something.
#[test]
fn the_holder_of_a_ticket_is_told_how_it_stands() {
    let (_play, world) = World::watching();
    let ticket = world.payer().buys(SMS);
    world.payer().waits_until(&ticket, "paid");
    world.write_config("farebox.toml", &[("price_sat = 100", "price_sat = 100\nshadow = true")]);
    world.operator_posts("/reload").has_status(200);
    assert_eq!(world.payer().state_of(&ticket), "paid");
}

#[test]
fn a_free_service_has_nothing_to_watch() {
    let world = World::with(Options::default());
    world.write_config("bad.toml", &[("ticket = \"free\"", "ticket = \"free\"\nshadow = true")]);
    let (status, said) = world.farebox("check --config bad.toml");
    assert!(!status.success() && said.contains("`shadow` is for paid services"), "{said}");
}
