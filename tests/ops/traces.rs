//! Spans, as a collector of another make gets them (Python's gRPC, OpenTelemetry's own messages).

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::pebble::free_port;
use crate::pypi;
use crate::support::world::Options;
use crate::support::{SMS, World, wait_for};

/// What PyPI has.
const PACKAGES: [&str; 2] = ["grpcio==1.85.3", "opentelemetry-proto==1.45.2"];

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Collector {
    process: Child,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start(port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ops/collector.py");
        let mut command = Command::new(pypi::environment(&PACKAGES).join("bin/python3"));
        command.arg(script).arg(port.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "takes spans");
        let spans = Arc::new(Mutex::new(Vec::new()));
        let got = Arc::clone(&spans);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                got.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, spans }
    }

    fn gets(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let find = || self.spans.lock().unwrap().iter().find(|span| is_it(span)).cloned();
        wait_for(what, find)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn traced_to(port: u16) -> World {
    World::with(Options {
        more: format!("[log]\notlp = \"http://127.0.0.1:{port}\"\n"),
        environment: vec![("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned())],
        ..Options::default()
    })
}

#[test]
fn each_request_is_a_span_of_its_clients_trace() {
    let port = free_port();
    let collector = Collector::start(port);
    let mut world = traced_to(port);
    let payer = world.payer();
    let challenge = payer.asks(SMS);
    let (ticket, hash) = (payer.pays(&challenge), challenge.payment_hash());
    let authorization = ticket.authorization();
    let headers = [("Authorization", authorization.as_str()), ("Traceparent", PARENT)];
    assert_eq!(payer.sends(&headers, SMS).status, 200);

    let span =
        collector.gets("the redemption", |span| span["attributes"]["farebox.code"] == "delivered");
    assert_eq!(span["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span["parent"], "00f067aa0ba902b7");
    assert_eq!((&span["name"], &span["kind"]), (&"POST /api/l402/send-sms".into(), &2.into()));
    assert_eq!(span["resource"]["service.name"], "farebox");
    let attributes = &span["attributes"];
    assert_eq!(attributes["http.response.status_code"], 200);
    assert_eq!(attributes["http.request.method"], "POST");
    assert_eq!(attributes["http.route"], "/api/l402/send-sms");
    assert_eq!(attributes["farebox.service"], "send-sms");
    assert_eq!(attributes["farebox.ticket"], *hash);
    assert!(span["ns"].as_u64().unwrap() > 0);
    // The upstream's spans are below ours.
    let passed_on = world.upstream.last().header("traceparent").unwrap().to_owned();
    assert_eq!(
        passed_on,
        format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", span["span"].as_str().unwrap())
    );

    // A request without a trace begins one; one whose client doesn't sample it is left out.
    let bought = collector.gets("the sale", |span| {
        span["attributes"]["farebox.ticket"] == *hash && span["parent"] == ""
    });
    assert_eq!(bought["attributes"]["http.response.status_code"], 402);
    let silent = PARENT.replace("4bf9", "5bf9").replace("-01", "-00");
    payer.sends(&[("Traceparent", &silent)], SMS);
    payer.sends(&[("Traceparent", &PARENT.replace("4bf9", "6bf9"))], SMS);
    // An end hands over what waits.
    world.stop();
    collector.gets("the last one", |span| span["trace"].as_str().unwrap().starts_with("6bf9"));
    let spans = collector.spans.lock().unwrap();
    assert!(
        spans.iter().all(|span| !span["trace"].as_str().unwrap().starts_with("5bf9")),
        "{spans:?}"
    );
}

#[test]
fn a_collector_that_is_down_costs_payers_nothing() {
    let world = traced_to(free_port());
    let payer = world.payer();
    for _ in 0..3 {
        let ticket = payer.buys(SMS);
        assert_eq!(payer.redeems(&ticket, SMS).status, 200);
    }
}
