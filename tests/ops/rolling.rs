//! Two instances on one ledger behind a load balancer, restarted one after the other under load.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::Over;
use crate::pebble::free_port;
use crate::support::http::{self, Response};
use crate::support::postgres::Postgres;
use crate::support::world::{Options, PATH};
use crate::support::{Challenge, SMS, World, install_if_missing, wait_until};

/// HAProxy, by the example that operators get.
struct LoadBalancer {
    _folder: TempDir,
    address: SocketAddr,
    process: Child,
}

impl LoadBalancer {
    fn start(instances: [&World; 2]) -> Self {
        install_if_missing("/usr/sbin/haproxy", "haproxy");
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/haproxy/haproxy.cfg");
        let mut config = std::fs::read_to_string(path).unwrap();
        let mut put = |old: &str, new: String| {
            assert!(config.contains(old), "{old}");
            config = config.replace(old, &new);
        };
        put(
            "bind :443 ssl crt /etc/haproxy/sms.example.com.pem alpn h2,http/1.1",
            format!("bind 127.0.0.1:{port}"),
        );
        put("bind :80", format!("bind 127.0.0.1:{}", free_port()));
        for (name, world) in ["10.0.0.11", "10.0.0.12"].iter().zip(instances) {
            put(&format!("{name}:8402"), world.address.to_string());
            put(
                &format!("addr {name} port 9402"),
                format!("addr {} port {}", world.ops.ip(), world.ops.port()),
            );
        }
        // As many files as a test may open.
        put("maxconn 20000", "maxconn 500".to_owned());
        put("inter 2s", "inter 100ms".to_owned());
        std::fs::write(folder.path().join("haproxy.cfg"), config).unwrap();
        let process = Command::new("haproxy")
            .args(["-db", "-f", "haproxy.cfg"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("haproxy, of Debian's package");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until("haproxy", || std::net::TcpStream::connect(address).is_ok());
        Self { _folder: folder, address, process }
    }

    fn posts(&self, headers: &[(&str, &str)], body: &str) -> Response {
        let json = [&[("Content-Type", "application/json")], headers].concat();
        http::send(self.address, "POST", PATH, &json, body.as_bytes())
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Its addresses stay, whoever restarts it.
fn pinned(world: &mut World) {
    world.pin_port();
    let ops = format!("[ops]\naddress = \"{}\"", world.ops);
    world.write_config("farebox.toml", &[("[ops]\naddress = \"127.0.0.1:0\"", &ops)]);
}

#[test]
fn a_rolling_restart_behind_a_load_balancer_fails_no_paid_request() {
    let postgres = Postgres::start();
    let limits = "unpaid_per_client = 100000\nunpaid_total = 100000".to_owned();
    let options = Options { limits, ..Options::postgres(&postgres.url()) };
    let mut one = World::with(options.clone());
    let mut two = World::before(one.upstream.clone(), options);
    pinned(&mut one);
    pinned(&mut two);
    let balancer = LoadBalancer::start([&one, &two]);
    let wallet = one.payer();
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    wait_until("both to be known", || balancer.posts(&[], SMS).status == 402);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let challenge = Challenge::from(balancer.posts(&[], SMS));
                    let ticket = wallet.pays(&challenge);
                    let authorization = ticket.authorization();
                    let paid = balancer.posts(&[("Authorization", &authorization)], SMS);
                    assert!(paid.status == 200 && paid.text() == "Okay", "{paid:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _over = Over(&is_over);
        for _ in 0..3 {
            for world in [&mut one, &mut two] {
                let before = served.load(Ordering::SeqCst);
                wait_until("some to be served", || served.load(Ordering::SeqCst) > before + 20);
                world.stop();
                world.restart();
                wait_until("it to be known as well", || {
                    let ready = world.ready();
                    if ready["status"] != "ok" {
                        println!("{ready}");
                    }
                    ready["status"] == "ok"
                });
            }
        }
    });
    assert_eq!(one.upstream.count(), served.into_inner(), "each once");
}
