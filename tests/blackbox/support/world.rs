//! A gate with all that is around it: play node, wallet, upstream, and a payer's three steps.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::http::{self, Response};
use super::process::Process;
use super::upstream::Upstream;
use super::wait_until;

/// The request of the README.
pub const SMS: &str = r#"{"phone_number":"+1234567890","message":"Hello, this is a test SMS!"}"#;

pub const PATH: &str = "/api/l402/send-sms";

/// A play node in a process of its own.
pub struct Play {
    /// Ends with this.
    _process: Process,
    pub grpc: SocketAddr,
    pub wallet: SocketAddr,
    pub folder: PathBuf,
}

impl Play {
    pub fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0")
    }

    pub fn start_at(folder: &Path, grpc: &str) -> Self {
        Self::of(
            Process::start(
                &["play", "--dir", "lnd", "--grpc", grpc, "--wallet", "127.0.0.1:0"],
                folder,
            ),
            folder,
        )
    }

    fn of(process: Process, folder: &Path) -> Self {
        let grpc = process.word_after("gRPC").parse().unwrap();
        let wallet =
            process.word_after("wallet       http://").trim_end_matches("/pay").parse().unwrap();
        Self { _process: process, grpc, wallet, folder: folder.join("lnd") }
    }

    pub fn pay(&self, invoice: &str) -> Response {
        http::send(self.wallet, "POST", "/pay", &[], invoice.as_bytes())
    }

    /// Has the node be in some condition.
    pub fn order(&self, words: &str) {
        let answer = http::send(self.wallet, "POST", "/node", &[], words.as_bytes());
        assert_eq!(answer.status, 200, "{words}: {answer:?}");
    }

    /// A world at this node.
    pub fn options(&self) -> Options {
        Options {
            node: Some((self.grpc, self.folder.clone())),
            wallet: Some(self.wallet),
            ..Options::default()
        }
    }

    /// One in which payments are detected.
    pub fn watched(&self) -> Options {
        Options {
            lnd: "detect_payments = true\ntimeout = \"2s\"".into(),
            service: "without_preimage = true".into(),
            ..self.options()
        }
    }
}

/// One play node serves all tests that don't harm it.
fn shared_play() -> &'static Play {
    static PLAY: OnceLock<Play> = OnceLock::new();
    PLAY.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("farebox-test-play-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let arguments =
            ["play", "--dir", "lnd", "--grpc", "127.0.0.1:0", "--wallet", "127.0.0.1:0"];
        Play::of(Process::start_until_we_end(&arguments, &folder), &folder)
    })
}

/// What a 402 said.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub macaroon: String,
    pub invoice: String,
    pub response: Response,
}

impl Challenge {
    pub fn from(response: Response) -> Self {
        assert_eq!(response.status, 402, "{response:?}");
        let body = response.json();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self { macaroon: text("macaroon"), invoice: text("invoice"), response }
    }
}

/// How a world differs from the usual one.
#[derive(Default, Clone)]
pub struct Options {
    /// Lines for the sections of the config.
    pub listen: String,
    pub lnd: String,
    pub tickets: String,
    pub limits: String,
    pub service: String,
    /// Whole further sections; `UPSTREAM` stands for the upstream's address.
    pub more: String,
    /// Where LND is, if not at the shared play node.
    pub node: Option<(SocketAddr, PathBuf)>,
    /// That node's wallet.
    pub wallet: Option<SocketAddr>,
    /// The macaroon that is shown to it, if not the one for invoices.
    pub macaroon: Option<PathBuf>,
    pub plain_http: Option<bool>,
    /// Further environment variables of the gate.
    pub environment: Vec<(&'static str, String)>,
    /// The master secret, if it is not to be made.
    pub master_secret: Option<&'static str>,
}

/// A master secret for several instances.
pub const SECRET: &str = "0101010101010101010101010101010101010101010101010101010101010101";

impl Options {
    /// A gate with its ledger in PostgreSQL.
    pub fn postgres(url: &str) -> Self {
        Self {
            more: "[ledger]\npostgres = { env = \"FAREBOX_LEDGER\" }\n".to_owned(),
            environment: vec![("FAREBOX_LEDGER", url.to_owned())],
            master_secret: Some(SECRET),
            ..Self::default()
        }
    }
}

pub struct World {
    pub folder: TempDir,
    pub upstream: Upstream,
    pub gate: Process,
    pub address: SocketAddr,
    pub ops: SocketAddr,
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
        let world = Self { folder, upstream, gate, address, ops, wallet, environment };
        if options.node.is_none() {
            world.wait_until_node_is("ok");
        }
        world
    }

    pub fn wait_until_node_is(&self, status: &str) {
        wait_until(&format!("node: {status}"), || self.ready()["node"]["status"] == status);
    }

    pub fn wait_until_upstream_is(&self, status: &str) {
        wait_until(&format!("upstream: {status}"), || {
            self.ready()["upstreams"]["send-sms"]["status"] == status
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
        (self.gate, self.address, self.ops) =
            start_gate(self.folder.path(), &borrowed(&self.environment));
    }

    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    pub fn restart_with(&mut self, environment: &[(&str, &str)]) {
        let all = [borrowed(&self.environment).as_slice(), environment].concat();
        (self.gate, self.address, self.ops) = start_gate(self.folder.path(), &all);
        self.wait_until_node_is("ok");
    }

    /// From now on the gate keeps its port over restarts.
    pub fn pin_port(&self) {
        let path = self.folder.path().join("farebox.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(
            path,
            config.replacen("\"127.0.0.1:0\"", &format!("\"{}\"", self.address), 1),
        )
        .unwrap();
    }

    pub fn post(&self, headers: &[(&str, &str)], body: &str) -> Response {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend(headers);
        http::send(self.address, "POST", PATH, &all, body.as_bytes())
    }

    pub fn ask(&self, body: &str) -> Challenge {
        Challenge::from(self.post(&[], body))
    }

    pub fn pay(&self, challenge: &Challenge) -> String {
        let answer =
            http::send(self.wallet.unwrap(), "POST", "/pay", &[], challenge.invoice.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text().trim().to_owned()
    }

    /// A challenge for `body`, and the `Authorization` that its payment gives.
    pub fn buy(&self, body: &str) -> (Challenge, String) {
        let challenge = self.ask(body);
        let ticket = format!("L402 {}:{}", challenge.macaroon, self.pay(&challenge));
        (challenge, ticket)
    }

    pub fn redeem(&self, ticket: &str, body: &str) -> Response {
        self.post(&[("Authorization", ticket)], body)
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

fn config(options: &Options, node: SocketAddr, lnd: &Path, upstream: SocketAddr) -> String {
    let Options { listen, lnd: lnd_lines, tickets, limits, service, .. } = options;
    let more = options.more.replace("UPSTREAM", &upstream.to_string());
    let plain = options.plain_http.unwrap_or(true);
    let macaroon = options
        .macaroon
        .clone()
        .unwrap_or_else(|| lnd.join("data/chain/bitcoin/regtest/invoice.macaroon"));
    let (lnd, macaroon) = (lnd.display(), macaroon.display());
    format!(
        r#"state_dir = "state"

[listen]
address = "127.0.0.1:0"
plain_http = {plain}
{listen}

[ops]
address = "127.0.0.1:0"

[lnd]
address = "{node}"
certificate = "{lnd}/tls.cert"
macaroon = "{macaroon}"
network = "regtest"
{lnd_lines}

[tickets]
{tickets}

[limits]
trusted_proxies = ["127.0.0.1"]
{limits}

[[service]]
name = "send-sms"
title = "Send an SMS"
method = "POST"
path = "{PATH}"
ticket = "single-use"
price_sat = 100
upstream = "http://{upstream}/send?account=7"
upstream_headers = {{ Authorization = {{ env = "SMS_BACKEND_TOKEN" }}, X-Gate = "farebox" }}
{service}

[service.input]
type = "object"
required = ["phone_number", "message"]
additionalProperties = false

[service.input.properties.phone_number]
type = "string"
format = "e164"

[service.input.properties.message]
type = "string"
minLength = 1
maxLength = 120

[[service]]
name = "free"
method = "POST"
path = "/free"
ticket = "free"
upstream = "http://{upstream}/free"

[[service]]
name = "status"
method = "GET"
path = "/status"
ticket = "free"
upstream = "http://{upstream}/status"

{more}
"#
    )
}
