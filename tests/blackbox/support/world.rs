//! A gate with all that is around it: play node, wallet, upstream.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tempfile::TempDir;

use super::config::config;
pub use super::config::{Options, PATH, SMS};
use super::http::{self, Response};
use super::payer::Payer;
pub use super::play::Play;
use super::play::shared_play;
use super::process::Process;
use super::upstream::Upstream;
use super::wait_until;

pub struct World {
    pub folder: TempDir,
    pub upstream: Upstream,
    pub gate: Process,
    pub address: SocketAddr,
    pub ops: SocketAddr,
    /// Where payers find it.
    place: Arc<Mutex<SocketAddr>>,
    wallet: Option<SocketAddr>,
    environment: Vec<(&'static str, String)>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        Self::before(Upstream::start(), options)
    }

    /// A gate that detects payments, at a play node of its own, and takes a macaroon alone for what
    /// is paid.
    pub fn watching() -> (Play, Self) {
        let play = Play::new();
        let world = Self::with(play.watched());
        world.wait_until_payments_are_detected();
        (play, world)
    }

    /// A gate of its own before an upstream.
    pub fn before(upstream: Upstream, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (node, lnd_folder, wallet) = match &options.node {
            Some((node, lnd_folder)) => (*node, lnd_folder.clone(), options.wallet),
            None => (shared_play().grpc, shared_play().folder.clone(), Some(shared_play().wallet)),
        };
        std::fs::write(
            folder.path().join("farebox.toml"),
            config(&options, node, &lnd_folder, upstream.address),
        )
        .unwrap();
        if let Some(secret) = options.master_secret {
            std::fs::create_dir(folder.path().join("state")).unwrap();
            std::fs::write(folder.path().join("state/master.secret"), secret).unwrap();
        }
        let environment = options.environment.clone();
        let (gate, address, ops) = start_gate(folder.path(), &borrowed(&environment));
        let place = Arc::new(Mutex::new(address));
        let world = Self { folder, upstream, gate, address, ops, place, wallet, environment };
        if options.node.is_none() {
            world.wait_until_node_is("ok");
        }
        world
    }

    pub fn wait_until_node_is(&self, status: &str) {
        wait_until(&format!("node: {status}"), || self.ready()["node"]["status"] == status);
    }

    pub fn wait_until_upstream_is(&self, service: &str, status: &str) {
        wait_until(&format!("the upstream of {service}: {status}"), || {
            self.ready()["upstreams"][service]["status"] == status
        });
    }

    pub fn ready(&self) -> serde_json::Value {
        http::get(self.ops, "/readyz").json()
    }

    pub fn metric(&self, line_start: &str) -> f64 {
        let text = http::get(self.ops, "/metrics").text();
        let line = text.lines().find(|line| line.starts_with(line_start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no {line_start} in\n{text}"))
    }

    /// `kill -9`, then a new process on the same state.
    pub fn crash_and_restart(&mut self) {
        self.gate.kill();
        self.restart();
    }

    /// A new process, without waiting for its node.
    pub fn start_again(&mut self) {
        self.start_with(&[]);
    }

    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    pub fn restart_with(&mut self, environment: &[(&str, &str)]) {
        self.start_with(environment);
        self.wait_until_node_is("ok");
    }

    fn start_with(&mut self, environment: &[(&str, &str)]) {
        let all = [borrowed(&self.environment).as_slice(), environment].concat();
        (self.gate, self.address, self.ops) = start_gate(self.folder.path(), &all);
        *self.place.lock().unwrap() = self.address;
    }

    /// An orderly stop.
    pub fn stop(&mut self) {
        self.gate.signal("TERM");
        assert!(self.gate.wait().success());
    }

    /// A new process at a socket that listens already.
    pub fn restart_at_socket(&mut self, socket: &TcpListener) {
        let arguments = ["serve", "--config", "farebox.toml"];
        let folder = self.folder.path();
        let environment = borrowed(&self.environment);
        self.gate = Process::start_at_socket(&arguments, folder, &environment, socket);
        self.address = self.gate.word_after("gate=").parse().unwrap();
        self.ops = self.gate.word_after("ops=").parse().unwrap();
        *self.place.lock().unwrap() = self.address;
        self.wait_until_node_is("ok");
    }

    /// From now on the gate keeps its port over restarts.
    pub fn pin_port(&self) {
        let address = format!("\"{}\"", self.address);
        self.write_config("farebox.toml", &[("\"127.0.0.1:0\"", &address)]);
    }

    /// The text of `farebox.toml`.
    pub fn config(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("farebox.toml")).unwrap()
    }

    /// Writes a file with the text of `farebox.toml`, in which the first of each is changed.
    #[track_caller]
    pub fn write_config(&self, name: &str, changes: &[(&str, &str)]) {
        let mut text = self.config();
        for (old, new) in changes {
            assert!(text.contains(old), "{old}");
            text = text.replacen(old, new, 1);
        }
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// The config of the running gate as `ops.toml`, with the port that its second listener got.
    pub fn write_ops_config(&self) {
        let address = format!("[ops]\naddress = \"{}\"", self.ops);
        self.write_config("ops.toml", &[("[ops]\naddress = \"127.0.0.1:0\"", &address)]);
    }

    /// Has the running gate take up what its config says now.
    #[track_caller]
    pub fn reloads(&self) {
        let answer = self.operator_posts("/reload");
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!((&answer["applied"], &answer["needs_restart"]), (&true.into(), &json!([])));
    }

    /// The same of what it can't take up; what it says of it.
    #[track_caller]
    pub fn refuses_to_reload(&self) -> serde_json::Value {
        let answer = self.operator_posts("/reload");
        assert_eq!(answer.status, 422, "{answer:?}");
        answer.json()
    }

    /// Runs a command of Farebox to its end, in this gate's folder and environment.
    pub fn farebox(&self, arguments: &str) -> (ExitStatus, String) {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        Process::run_with(&arguments, self.folder.path(), &borrowed(&self.environment))
    }

    /// A payer that wants to send an SMS.
    pub fn payer(&self) -> Payer {
        self.payer_at("POST", PATH)
    }

    /// A payer of another service.
    pub fn payer_at(&self, method: &'static str, path: &str) -> Payer {
        let (gate, wallet) = (Arc::clone(&self.place), self.wallet);
        Payer { gate, wallet, method, path: path.to_owned() }
    }

    /// One that reaches the gate by way of something else.
    pub fn payer_by_way_of(&self, address: SocketAddr) -> Payer {
        Payer { gate: Arc::new(Mutex::new(address)), ..self.payer() }
    }

    pub fn wait_until_it_sells(&self) {
        wait_until("the sale to open", || self.payer().tries_to_buy(SMS).status == 402);
    }

    /// Free services are there, whatever is sold.
    #[track_caller]
    pub fn serves_what_is_free(&self) {
        assert_eq!(http::get(self.address, "/status").status, 200, "free services go on");
    }

    /// What an operator sends to the second listener.
    pub fn operator_posts(&self, target: &str) -> Response {
        http::send(self.ops, "POST", target, &[], b"")
    }

    /// The operator says that the backend is well, whatever it has parked or refused.
    pub fn opens_sales(&self) {
        self.operator_posts("/services/send-sms/open").has_status(200);
    }

    /// What an operator orders there of one ticket: `delivered`, `release` or `revoke`.
    pub fn operator_orders(&self, payment_hash: &str, order: &str) -> Response {
        self.operator_posts(&format!("/tickets/{payment_hash}/{order}"))
    }

    /// What an operator reads there of a ticket.
    pub fn row_of(&self, payment_hash: &str) -> serde_json::Value {
        http::get(self.ops, &format!("/tickets/{payment_hash}")).json()
    }

    /// The tickets that an operator reads there.
    pub fn tickets(&self) -> Vec<serde_json::Value> {
        http::get(self.ops, "/tickets").json().as_array().unwrap().clone()
    }

    /// Of these, the ones in this state.
    pub fn tickets_that_are(&self, state: &str) -> Vec<serde_json::Value> {
        let list = http::get(self.ops, &format!("/tickets?state={state}")).json();
        list.as_array().unwrap().clone()
    }

    /// The accounts of the latest day.
    pub fn accounts(&self) -> serde_json::Value {
        http::get(self.ops, "/tickets/stats?days=2").json()[0].clone()
    }

    pub fn wait_until_minted(&self, challenges: u64) {
        wait_until("the challenges to be on record", || self.accounts()["minted"] == challenges);
    }

    pub fn wait_until_payments_are_detected(&self) {
        wait_until("payments to be detected", || self.ready()["payments"]["status"] == "ok");
    }

    /// 503: nothing can be redeemed.
    pub fn wait_until_it_is_not_ready(&self) {
        wait_until("the gate not to be ready", || http::get(self.ops, "/readyz").status == 503);
    }
}

fn borrowed<'a>(environment: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn start_gate(folder: &Path, environment: &[(&str, &str)]) -> (Process, SocketAddr, SocketAddr) {
    let gate = Process::start_with(&["serve", "--config", "farebox.toml"], folder, environment);
    let address = gate.word_after("gate=").parse().unwrap();
    let ops = gate.word_after("ops=").parse().unwrap();
    (gate, address, ops)
}
