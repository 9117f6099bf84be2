//! A real Prometheus, with the rules of deploy/prometheus, before Fareboxes in trouble; and what
//! the dashboard asks for.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::pebble::free_port;
use crate::support::http;
use crate::support::world::{Options, Play};
use crate::support::{
    Behaviour, SMS, World, install_if_missing, ledger_file, wait_for, wait_until,
};

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deployed(name)).unwrap()
}

#[test]
fn promtool_finds_nothing_wrong_and_each_alert_fires_and_clears() {
    install_if_missing("/usr/bin/promtool", "prometheus");
    for arguments in [
        &["check", "config", "prometheus.yml"][..],
        &["check", "rules", "alerts.yml", "recording.yml"],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let folder = deployed("prometheus");
        let ended = Command::new("promtool").args(arguments).current_dir(folder).output();
        let ended = ended.expect("promtool, of Debian's package prometheus");
        let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert!(ended.status.success(), "{arguments:?}: {said}");
    }
}

/// A Prometheus that looks every second, and waits for nothing.
pub struct Prometheus {
    _folder: TempDir,
    address: SocketAddr,
    process: Child,
}

impl Prometheus {
    pub fn start(targets: &[SocketAddr]) -> Self {
        install_if_missing("/usr/bin/prometheus", "prometheus");
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text);
        let targets: Vec<String> = targets.iter().map(|at| format!("\"{at}\"")).collect();
        let config = read("prometheus/prometheus.yml").replace("15s", "1s");
        write("prometheus.yml", config.replace("\"127.0.0.1:9402\"", &targets.join(", "))).unwrap();
        // What has to last is looked at by promtool: here it is seconds.
        let hasty = |name: &str| {
            let text = read(name);
            let lines = text.lines().map(|line| match line.trim().starts_with("for: ") {
                true => "        for: 0s\n".to_owned(),
                false => line.replace("[5m]", "[10s]").replace("[15m]", "[10s]") + "\n",
            });
            lines.collect::<String>()
        };
        write("alerts.yml", hasty("prometheus/alerts.yml")).unwrap();
        write("recording.yml", hasty("prometheus/recording.yml")).unwrap();
        let port = free_port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until("prometheus", || {
            http::try_send(address, "GET", "/-/ready", &[], b"").is_some_and(|it| it.status == 200)
        });
        Self { _folder: folder, address, process }
    }

    fn get(&self, target: &str) -> Value {
        http::get(self.address, target).json()["data"].clone()
    }

    /// What a query gives now.
    fn query(&self, expr: &str) -> Vec<Value> {
        let query: String = form_urlencoded::byte_serialize(expr.as_bytes()).collect();
        let data = self.get(&format!("/api/v1/query?query={query}"));
        data["result"].as_array().unwrap_or_else(|| panic!("{expr}: {data}")).clone()
    }

    pub fn is_firing(&self, alert: &str) -> bool {
        let alerts = self.get("/api/v1/alerts")["alerts"].clone();
        let fires = |one: &Value| one["labels"]["alertname"] == alert && one["state"] == "firing";
        alerts.as_array().is_some_and(|all| all.iter().any(fires))
    }

    pub fn waits_for(&self, alert: &str, is_firing: bool) {
        wait_until(&format!("{alert}, firing: {is_firing}"), || self.is_firing(alert) == is_firing);
    }

    /// It fires once this was done, and clears once that was.
    pub fn fires_and_clears(&self, alert: &str, trouble: impl FnOnce(), mended: impl FnOnce()) {
        trouble();
        self.waits_for(alert, true);
        mended();
        self.waits_for(alert, false);
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Something of everything that the dashboard shows.
fn some_business(world: &World) {
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    world.upstream.behave(Behaviour::status(400, "no"));
    payer.redeems(&payer.buys(SMS), SMS).has_status(502);
    world.upstream.behave(Behaviour::okay());
    http::get(world.address, "/status").has_status(200);
    some_message(world);
}

/// Of which its backend reports.
fn some_message(world: &World) {
    let payer = world.payer_at("POST", "/sms");
    let order = r#"{"to":"+491701234567","text":"hello"}"#;
    world.upstream.behave(Behaviour::status(202, "0: Accepted for delivery"));
    payer.redeems(&payer.buys(order), order).has_status(200);
    world.upstream.behave(Behaviour::okay());
    let line = world.upstream.last().line;
    let query = line.split(['?', ' ']).nth(2).unwrap();
    let mut parts = form_urlencoded::parse(query.as_bytes());
    let (_, address) = parts.find(|(name, _)| name == "dlr-url").unwrap();
    let path = address.strip_prefix("http://gate.example").unwrap().replace("%d", "1");
    http::get(world.address, &path).has_status(204);
}

const MESSAGES: &str = r#"
[[service]]
name = "messages"
method = "POST"
path = "/sms"
ticket = "single-use"
price_sat = 7
upstream = "http://UPSTREAM"
sms = { to = "to", text = "text" }
backend = { preset = "kannel", username = "u", password = { env = "SECRET" } }
"#;

#[test]
fn every_query_of_the_dashboard_returns_data() {
    let play = Play::new();
    let mut options = play.watched();
    options.environment.push(("SECRET", "pw-of-kannel".to_owned()));
    let listen = "public_url = \"http://gate.example\"".to_owned();
    let world = World::with(Options { more: MESSAGES.to_owned(), listen, ..options });
    world.wait_until_payments_are_detected();
    let prometheus = Prometheus::start(&[world.ops]);
    let dashboard: Value = serde_json::from_str(&read("grafana/farebox.json")).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter();
    let targets = targets.filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut queries: Vec<String> =
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    assert!(queries.len() > 40, "{}", queries.len());
    for name in ["job", "instance", "service"] {
        queries.iter_mut().for_each(|query| *query = query.replace(&format!("${name}"), ".*"));
    }
    assert!(queries.iter().all(|query| !query.contains('$')), "another variable");
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let (series, _) = query.trim_start_matches("label_values(").rsplit_once(", ").unwrap();
            queries.push(series.replace("$job", ".*"));
        }
    }
    for query in queries {
        wait_until(&format!("data for {query}"), || {
            some_business(&world);
            let found = prometheus.query(&query);
            found.iter().any(|one| one["value"][1] != "NaN")
        });
    }
}

#[test]
fn alerts_fire_and_clear_as_troubles_come_and_go() {
    let play = Play::new();
    let limits = "unpaid_per_client = 1000".into();
    let world = World::with(Options { limits, ..play.watched() });
    world.wait_until_payments_are_detected();
    let other = World::with(play.watched());
    let prometheus = Prometheus::start(&[world.ops, other.ops]);
    let payer = world.payer();
    wait_for("both to be scraped", || (prometheus.query("up == 1").len() == 2).then_some(()));
    prometheus.waits_for("FareboxSellingStopped", false);

    prometheus.fires_and_clears(
        "FareboxNodeDown",
        || play.order("down"),
        || {
            prometheus.waits_for("FareboxSellingStopped", true);
            prometheus.waits_for("FareboxPaymentsNotDetected", true);
            play.order("up");
        },
    );
    prometheus.waits_for("FareboxSellingStopped", false);
    prometheus.waits_for("FareboxPaymentsNotDetected", false);

    let parked = payer.buys(SMS);
    prometheus.fires_and_clears(
        "FareboxTicketsParked",
        || {
            world.upstream.behave(Behaviour::CloseAfterReading);
            payer.redeems(&parked, SMS).is(504, "outcome-unknown");
            world.upstream.behave(Behaviour::okay());
        },
        || drop(world.operator_orders(&parked.payment_hash(), "delivered")),
    );

    let unpaid = payer.asks(SMS);
    prometheus.fires_and_clears(
        "FareboxPaidNeverRedeemed",
        || drop(play.pays(&unpaid)),
        || {
            payer.sends_macaroon_alone(&unpaid, SMS).is_delivered("Okay");
        },
    );

    prometheus.fires_and_clears(
        "FareboxRefusedAfterPayment",
        || {
            world.upstream.behave(Behaviour::status(400, "no"));
            wait_until("refusals", || {
                payer.redeems(&payer.buys(SMS), SMS).has_status(502);
                prometheus.is_firing("FareboxRefusedAfterPayment")
            });
        },
        || world.upstream.behave(Behaviour::okay()),
    );
}

#[test]
fn alerts_about_what_stops_everything_fire_and_clear() {
    let limits = "unpaid_per_client = 1000\nconnections = 20\nconnections_per_client = 20".into();
    let folder = tempfile::tempdir().unwrap();
    let deny = folder.path().join("deny.txt");
    std::fs::write(&deny, "").unwrap();
    let members = "to = \"phone_number\", text = \"message\"";
    let service = format!("sms = {{ {members}, deny = \"{}\" }}", deny.display());
    let world = World::with(Options { limits, service, ..Options::default() });
    let (prometheus, payer) = (Prometheus::start(&[world.ops]), world.payer());

    let tickets = [1, 2, 3].map(|_| payer.buys(SMS));
    prometheus.fires_and_clears(
        "FareboxBackendRefuses",
        || {
            world.upstream.behave(Behaviour::status(401, "who?"));
            tickets.iter().for_each(|ticket| drop(payer.redeems(ticket, SMS)));
        },
        || {
            world.upstream.behave(Behaviour::okay());
            world.operator_posts("/services/send-sms/open").has_status(200);
        },
    );

    prometheus.fires_and_clears(
        "FareboxListUnreadable",
        || std::fs::write(&deny, "nobody\n").unwrap(),
        || std::fs::write(&deny, "+881\n").unwrap(),
    );

    let held: Vec<_> = (0..20)
        .map(|_| {
            let mut connection = http::Connection::open(world.address);
            connection.write(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
            connection.read().unwrap();
            connection
        })
        .collect();
    prometheus.waits_for("FareboxConnectionsShort", true);
    drop(held);
    prometheus.waits_for("FareboxConnectionsShort", false);

    let ticket = payer.buys(SMS);
    let rival = ledger_file::hold(&world);
    payer.redeems(&ticket, SMS).is(503, "ledger-down");
    prometheus.waits_for("FareboxLedgerDown", true);
    drop(rival);
    prometheus.waits_for("FareboxLedgerDown", false);
}

#[test]
fn alerts_about_configs_logs_and_processes_fire_and_clear() {
    let (one, mut two) = (World::new(), World::new());
    two.write_config("farebox.toml", &[("upstream = ", "timeout = \"9s\"\nupstream = ")]);
    let address = format!("[ops]\naddress = \"{}\"", two.ops);
    two.write_config("farebox.toml", &[("[ops]\naddress = \"127.0.0.1:0\"", &address)]);
    two.stop();
    two.restart();
    let same = one.config();
    let prometheus = Prometheus::start(&[one.ops, two.ops]);
    prometheus.waits_for("FareboxConfigsDiffer", true);
    let mine = std::fs::read_to_string(two.folder.path().join("farebox.toml")).unwrap();
    let sells = |text: &str| text[text.find("[limits]").unwrap()..].to_owned();
    let head = mine[..mine.find("[limits]").unwrap()].to_owned();
    std::fs::write(two.folder.path().join("farebox.toml"), head + &sells(&same)).unwrap();
    two.reloads();
    prometheus.waits_for("FareboxConfigsDiffer", false);

    let good = one.config();
    prometheus.fires_and_clears(
        "FareboxReloadFailed",
        || {
            one.write_config("farebox.toml", &[("price_sat = 100", "price_sat = \"much\"")]);
            one.refuses_to_reload();
        },
        || std::fs::write(one.folder.path().join("farebox.toml"), good).unwrap(),
    );

    one.gate.stop_reading();
    wait_until("lines to be dropped", || {
        // More than the pipe and the lines that wait for it can hold.
        (0..1000).for_each(|_| drop(http::get(one.address, "/status")));
        prometheus.is_firing("FareboxLogDropped")
    });
    prometheus.waits_for("FareboxLogDropped", false);

    two.stop();
    prometheus.waits_for("FareboxDown", true);
    two.restart();
    prometheus.waits_for("FareboxDown", false);
}

#[test]
fn a_certificate_that_ends_is_told_of_until_it_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = |year: i32| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let signed = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("gate.crt"), signed.pem()).unwrap();
        std::fs::write(folder.path().join("gate.key"), key.serialize_pem()).unwrap();
    };
    certificate(2026);
    let at = folder.path().display();
    let listen = format!("certificate = \"{at}/gate.crt\"\nkey = \"{at}/gate.key\"");
    let world = World::with(Options { listen, plain_http: Some(false), ..Options::default() });
    let prometheus = Prometheus::start(&[world.ops]);
    prometheus.waits_for("FareboxCertificateEnds", true);
    assert_eq!(world.ready()["certificate"]["status"], "expired");
    certificate(2100);
    prometheus.waits_for("FareboxCertificateEnds", false);
}
