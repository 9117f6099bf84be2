//! Promise 9: what operators watch is so, and what isn't known is absent instead of zero.

use crate::support::http::{self, Connection};
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, wait_until};

fn text(world: &World) -> String {
    http::get(world.ops, "/metrics").text()
}

#[test]
fn tickets_that_wait_are_counted_by_what_they_wait_for() {
    let mut world = World::new();
    let payer = world.payer();
    let is = |world: &World, state: &str, count: f64| {
        let line = format!("farebox_tickets{{service=\"send-sms\",state=\"{state}\"}}");
        wait_until(&line, || {
            let text = text(world);
            let found = text.lines().find(|found| found.starts_with(&line));
            found.is_some_and(|found| found.ends_with(&format!(" {count}")))
        });
    };
    is(&world, "parked", 0.0);
    is(&world, "free", 0.0);
    world.upstream.behave(Behaviour::CloseAfterReading);
    payer.redeems(&payer.buys(SMS), SMS).is(504, "outcome-unknown");
    world.upstream.behave(Behaviour::status(400, "no"));
    payer.redeems(&payer.buys(SMS), SMS).has_status(502);
    is(&world, "parked", 1.0);
    is(&world, "free", 1.0);
    world.crash_and_restart();
    is(&world, "parked", 1.0);
}

#[test]
fn what_is_not_known_is_absent() {
    let world = World::new();
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    let text = text(&world);
    for name in [
        "farebox_unredeemed_payments",
        "farebox_unredeemed_msat",
        "farebox_payment_detection_up",
        "farebox_macaroon_expiry_timestamp_seconds",
        "farebox_certificate_expiry_timestamp_seconds{certificate=\"listen\"}",
    ] {
        assert!(!text.lines().any(|line| line.starts_with(name)), "{name}");
    }
    let version = format!("farebox_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version));
    assert!(text.contains("process_resident_memory_bytes"));
    assert!(
        world.metric("farebox_certificate_expiry_timestamp_seconds{certificate=\"lnd\"}") > 1e9
    );
    assert!(world.metric("farebox_disk_free_bytes") <= world.metric("farebox_disk_size_bytes"));
    assert!(world.metric("farebox_upstream_seconds_count{service=\"send-sms\"}") >= 1.0);
}

#[test]
fn money_is_counted_where_payments_are_detected() {
    let (_play, world) = World::watching();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    wait_until("the payment", || {
        world.metric("farebox_paid_msat_total{service=\"send-sms\"}") == 100_000.0
    });
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    assert_eq!(world.metric("farebox_delivered_msat_total{service=\"send-sms\"}"), 100_000.0);
    assert!(world.metric("farebox_unredeemed_payments{service=\"send-sms\"}") >= 0.0);
    let unpaid = payer.asks(SMS);
    payer.sends_macaroon_alone(&unpaid, SMS).asks_to_pay("ticket-not-paid");
    assert_eq!(world.metric("farebox_challenges_reused_total{service=\"send-sms\"}"), 1.0);
}

#[test]
fn a_sale_that_stopped_and_connections_are_seen() {
    let world = World::with(Options { limits: "connections = 7".into(), ..Options::default() });
    let sells = || world.metric("farebox_selling{service=\"send-sms\"}");
    world.wait_until_it_sells();
    assert_eq!(sells(), 1.0);
    assert!(!text(&world).contains("farebox_selling{service=\"free\"}"));
    world.upstream.stop();
    world.payer().redeems(&world.payer().buys(SMS), SMS).has_status(503);
    assert_eq!(sells(), 0.0);
    assert_eq!(world.metric("farebox_connections_max"), 7.0);
    let before = world.metric("farebox_connections ");
    let _held = [(); 2].map(|()| Connection::open(world.address));
    wait_until("two more", || world.metric("farebox_connections ") == before + 2.0);
}

/// Instances that sell other things, or at other prices, are seen by it.
#[test]
fn the_number_of_a_config_changes_with_what_it_sells() {
    let world = World::new();
    let hash = || world.metric("farebox_config_hash");
    let first = hash();
    world.write_config(
        "farebox.toml",
        &[("[tickets]", "# cheap\n[log]\nlevel = \"warn\"\n[tickets]")],
    );
    world.reloads();
    assert_eq!(hash(), first);
    world.write_config("farebox.toml", &[("price_sat = 100", "price_sat = 101")]);
    world.reloads();
    assert_ne!(hash(), first);
}
