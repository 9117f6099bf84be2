//! Promise 8: reloads under load, and crashes in the middle of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::config::PASS;
use crate::support::http::{self, Connection};
use crate::support::tls_bridge::{Certificate, TlsBridge};
use crate::support::upstream::Upstream;
use crate::support::world::Options;
use crate::support::{SMS, World};

const PRICE: &str = "price_sat = 100";

#[test]
fn a_crash_in_the_middle_of_reloads_loses_nothing() {
    let mut world = World::new();
    let payer = world.payer();
    world.pin_port();
    let mut tickets = Vec::new();
    for round in 0..6 {
        tickets.push((payer.buys(SMS), payer.buys(SMS)));
        payer.redeems(&tickets[round].0, SMS).is_delivered("Okay");
        let (old, new) = (format!("price_sat = {}", 100 + round), 101 + round);
        world.write_config("farebox.toml", &[(&old, &format!("price_sat = {new}"))]);
        for _ in 0..4 {
            world.gate.signal("HUP");
        }
        thread::sleep(Duration::from_millis(round as u64 * 3));
        world.crash_and_restart();
        let body = payer.asks(SMS).response.json();
        assert_eq!(body["priceSats"], 101 + round as u64);
    }
    for (spent, fresh) in &tickets {
        payer.redeems(spent, SMS).is_replayed("Okay");
        payer.redeems(fresh, SMS).is_delivered("Okay");
    }
    assert_eq!(world.upstream.count(), 12);
}

/// The config of the nth reload: prices, services, backends, limits and levels change, and beside
/// it the certificate.
fn variant(good: &str, world: &World, other: &Upstream, n: usize) -> String {
    let mut text = good.replace(PRICE, &format!("price_sat = {}", 100 + n % 7));
    if n % 2 == 1 {
        text.push_str(&PASS.replace("UPSTREAM", &world.upstream.address.to_string()));
    }
    if n % 3 == 1 {
        let here = format!("{}/send", world.upstream.address);
        text = text.replace(&here, &format!("{}/send", other.address));
    }
    if n % 5 == 1 {
        text = text.replace("[tickets]\n", "[log]\nlevel = \"warn\"\n\n[tickets]\n");
        text = text.replace("trusted_proxies", "connections = 50\ntrusted_proxies");
    }
    text
}

/// What payers and others do until it is over; how many messages were delivered.
struct Load {
    is_over: AtomicBool,
    delivered: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn payers(&self, world: &World, at: SocketAddr) {
        let payer = world.payer_by_way_of(at);
        while self.goes_on() {
            let ticket = payer.buys(SMS);
            payer.redeems(&ticket, SMS).is_delivered("Okay");
            self.delivered.fetch_add(1, Ordering::SeqCst);
            payer.redeems(&ticket, SMS).is_replayed("Okay");
            http::get(at, "/openapi.json").has_status(200);
        }
    }

    /// One connection sees all of it.
    fn a_connection_that_stays(&self, at: SocketAddr) {
        let mut connection = Connection::open(at);
        while self.goes_on() {
            connection.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
            connection.read().unwrap().has_status(200);
        }
    }
}

/// Ends the load however the reloads end.
struct Over<'a>(&'a Load);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

#[test]
fn three_hundred_reloads_under_load_fail_no_request_and_let_no_memory_grow() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = [(); 2].map(|()| Certificate::made());
    certificates[0].put_into(folder.path());
    let at = folder.path().display();
    let listen = format!("certificate = \"{at}/shown.crt\"\nkey = \"{at}/shown.key\"");
    let limits = "unpaid_per_client = 100000\nunpaid_total = 100000".into();
    let world =
        World::with(Options { limits, listen, plain_http: Some(false), ..Options::default() });
    let bridge = TlsBridge::start(world.address, &certificates);
    let (good, other) = (world.config(), Upstream::start());
    let load = Load { is_over: AtomicBool::new(false), delivered: AtomicUsize::new(0) };
    let reload = |n| {
        let text = variant(&good, &world, &other, n);
        std::fs::write(world.folder.path().join("farebox.toml"), text).unwrap();
        certificates[n % 2].put_into(folder.path());
        world.reloads();
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load.payers(&world, bridge.address));
        }
        scope.spawn(|| load.a_connection_that_stays(bridge.address));
        let over = Over(&load);
        (0..60).for_each(reload);
        let settled = world.gate.resident_bytes();
        (60..300).for_each(reload);
        let grown = world.gate.resident_bytes().saturating_sub(settled);
        assert!(grown < 24 << 20, "{grown} bytes more after 240 reloads");
        drop(over);
    });
    let delivered = load.delivered.into_inner();
    assert!(delivered > 50, "payers had a turn");
    assert!(bridge.were_shown() == [true, true], "each certificate");
    assert_eq!(world.upstream.posts().len() + other.posts().len(), delivered);
    assert_eq!(world.metric("farebox_config_reloads_total{outcome=\"ok\"}"), 300.0);
    assert_eq!(world.metric("farebox_config_reloads_total{outcome=\"failed\"}"), 0.0);
}
