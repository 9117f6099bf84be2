//! Promise 8: a stop lets what is under way end, and a restart loses no request.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::http::{self, Connection};
use crate::support::process::Process;
use crate::support::world::Options;
use crate::support::{Behaviour, SMS, World, wait_until};

#[test]
fn a_stop_answers_those_who_have_connected_already() {
    let mut world = World::new();
    // Stopped, it accepts nobody: the kernel has them wait.
    world.gate.signal("STOP");
    let mut waiting: Vec<_> = (0..20).map(|_| Connection::open(world.address)).collect();
    for connection in &mut waiting {
        connection.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    world.gate.signal("TERM");
    world.gate.signal("CONT");
    for connection in &mut waiting {
        connection.read().unwrap().has_status(200);
    }
    assert!(world.gate.wait().success());
}

/// As a load balancer keeps them.
#[test]
fn a_stop_answers_what_comes_on_a_connection_that_was_idle() {
    let mut world = World::new();
    let mut kept = Connection::open(world.address);
    let request = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    kept.write(request);
    assert_eq!(kept.read().unwrap().header("connection"), None);
    world.gate.signal("TERM");
    wait_until("the drain", || world.ready()["status"] == "draining");
    kept.write(request);
    assert_eq!(kept.read().unwrap().header("connection"), Some("close"));
    assert!(world.gate.wait().success());
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_under_way() {
    let mut world = World::with(Options { listen: "drain = \"10m\"".into(), ..Options::default() });
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    world.upstream.behave(Behaviour::Stall);
    let _connection = payer.starts_to_redeem(&ticket, SMS);
    world.upstream.wait_until_asked();
    world.gate.signal("TERM");
    wait_until("the drain", || world.ready()["status"] == "draining");
    wait_until("the port to be closed", || TcpStream::connect(world.address).is_err());
    let began = Instant::now();
    world.gate.signal("TERM");
    assert_eq!(world.gate.wait().code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(9), "the upstream may take ten");
    assert!(world.gate.output_to_its_end().contains("stopped in the middle of these"));
}

/// By a socket that another process holds, as systemd does.
#[test]
fn a_restart_at_an_inherited_socket_fails_no_request() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = "unpaid_per_client = 100000\nunpaid_total = 100000".into();
    let mut world = World::with(Options { limits, ..Options::default() });
    world.stop();
    let address = format!("address = \"{}\"", socket.local_addr().unwrap());
    world.write_config("farebox.toml", &[("address = \"127.0.0.1:0\"", &address)]);
    world.restart_at_socket(&socket);
    assert_eq!(world.address, socket.local_addr().unwrap());
    let payer = world.payer();
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            let payer = payer.clone();
            let (is_over, served) = (&is_over, &served);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let challenge = payer.tries_to_buy(SMS);
                    // A node that was just started isn't known yet.
                    if challenge.code() == "node-down" {
                        continue;
                    }
                    let ticket = payer.pays(&challenge.asks_to_pay("payment-required"));
                    payer.redeems(&ticket, SMS).is_delivered("Okay");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..5 {
            let before = served.load(Ordering::SeqCst);
            wait_until("some to be served", || served.load(Ordering::SeqCst) > before + 5);
            world.stop();
            world.restart_at_socket(&socket);
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(world.upstream.count(), served.into_inner());
}

/// `ListenStream=9402` in a unit means every address.
#[test]
fn a_passed_socket_for_operators_that_all_can_reach_needs_a_token() {
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut world = World::new();
    world.stop();
    let address = format!("[ops]\naddress = \"127.0.0.1:{}\"", socket.local_addr().unwrap().port());
    world.write_config("farebox.toml", &[("[ops]\naddress = \"127.0.0.1:0\"", &address)]);
    let arguments = ["serve", "--config", "farebox.toml"];
    let mut gate = Process::start_at_socket(&arguments, world.folder.path(), &[], &socket);
    assert!(!gate.wait().success());
    let said = gate.output_to_its_end();
    assert!(said.contains("`ops.token`") && said.contains("ListenStream=127.0.0.1"), "{said}");
}

#[test]
fn systemd_is_told_how_things_stand() {
    let mut world = World::new();
    world.stop();
    let path = world.folder.path().join("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hears = |words: &str| {
        let mut text = [0; 1024];
        loop {
            let length = told.recv(&mut text).unwrap_or_else(|_| panic!("not told: {words}"));
            let text = String::from_utf8_lossy(&text[..length]).into_owned();
            if text.contains(words) {
                return text;
            }
        }
    };
    let path = path.to_str().unwrap().to_owned();
    let environment = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "600000")];
    world.restart_with(&environment);
    hears("READY=1");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    world.gate.signal("HUP");
    assert!(hears("RELOADING=1").contains("MONOTONIC_USEC="));
    hears("READY=1");
    std::fs::remove_file(world.folder.path().join("farebox.toml")).unwrap();
    world.gate.signal("HUP");
    hears("RELOADING=1");
    assert!(hears("READY=1").contains("the last reload failed"));
    http::get(world.address, "/status").has_status(200);
    world.gate.signal("TERM");
    assert!(hears("STOPPING=1").contains("EXTEND_TIMEOUT_USEC=40000000"));
    assert!(world.gate.wait().success());
}
