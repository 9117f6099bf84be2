//! The gates that are measured, and what is around them.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use rustls::pki_types::CertificateDer;

use crate::load::{Outcome, Sender, Target};
use crate::processes::{Process, port, until_it_listens};
use crate::requests::{get, post};
use crate::table::Round;

/// A gate and where it listens.
pub struct Gate {
    pub process: Process,
    pub address: SocketAddr,
    pub ops: SocketAddr,
}

/// How a gate differs.
#[derive(Default, Clone)]
pub struct GateSettings<'a> {
    pub name: &'a str,
    /// Most open challenges; none at 0.
    pub open: u32,
    pub tls: bool,
    pub mint_ahead: u32,
    pub postgres: Option<&'a str>,
    /// A further service.
    pub more: &'a str,
}

pub struct Bench<'a> {
    pub farebox: &'a str,
    pub folder: &'a Path,
    pub upstream: u16,
    pub grpc: u16,
    pub wallet: SocketAddr,
    pub roots: Arc<rustls::ClientConfig>,
}

pub fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Bench<'_> {
    pub async fn gate(&self, settings: &GateSettings<'_>) -> Gate {
        let (listen, ops) = (port(), port());
        let GateSettings { name, tls, postgres, .. } = settings;
        let config = config(settings, listen, ops, self.upstream, self.grpc);
        let file = self.folder.join(format!("{name}.toml"));
        fs::write(&file, config).unwrap();
        if postgres.is_some() {
            let state = self.folder.join(format!("state-{name}"));
            fs::create_dir_all(&state).unwrap();
            fs::write(state.join("master.secret"), "01".repeat(32)).unwrap();
        }
        let mut command = Command::new(self.farebox);
        command.args(["serve", "--config"]).arg(&file);
        command.env("LEDGER", postgres.unwrap_or_default()).env("SECRET", "secret");
        let started = Instant::now();
        let process = Process::start(command, &self.folder.join(format!("{name}.log")));
        until_it_listens(listen).await;
        let gate = Gate { process, address: at(listen), ops: at(ops) };
        if *name == "plain" {
            println!("start: listens after {:.0} ms", started.elapsed().as_secs_f64() * 1000.0);
        }
        self.until_it_sells(&gate, *tls).await;
        gate
    }

    /// A program that does the least that could be called the same.
    pub fn floor(&self, name: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(name).args(arguments);
        Process::start(command, &self.folder.join(format!("{name}.log")))
    }

    pub async fn until_it_sells(&self, gate: &Gate, tls: bool) {
        let mut sender = Sender::connect(&self.target(gate, tls, false)).await;
        while sender.send(post(None)).await.0 != 402 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn target(&self, gate: &Gate, tls: bool, http2: bool) -> Target {
        Target {
            address: gate.address,
            from: None,
            tls: tls.then(|| Arc::clone(&self.roots)),
            http2,
        }
    }

    /// Buys tickets: challenges from the gate, paid with the play node's wallet.
    pub async fn buy(
        &self,
        gate: &Gate,
        tls: bool,
        count: usize,
        make: fn(Option<&str>) -> Request<Full<Bytes>>,
    ) -> Vec<String> {
        self.buy_each(gate, tls, count, move |_, ticket| make(ticket)).await
    }

    /// The same, each for a request of its own, by number.
    pub async fn buy_each(
        &self,
        gate: &Gate,
        tls: bool,
        count: usize,
        make: impl Fn(usize, Option<&str>) -> Request<Full<Bytes>> + Copy + 'static,
    ) -> Vec<String> {
        let (bought, left) =
            (Rc::new(RefCell::new(vec![String::new(); count])), Rc::new(Cell::new(count)));
        let local = tokio::task::LocalSet::new();
        for _ in 0..8 {
            let (bought, left) = (Rc::clone(&bought), Rc::clone(&left));
            let mut seller = Sender::connect(&self.target(gate, tls, false)).await;
            let mut wallet = Sender::connect(&Target {
                address: self.wallet,
                from: None,
                tls: None,
                http2: false,
            })
            .await;
            local.spawn_local(async move {
                while left.get() > 0 {
                    let number = left.get() - 1;
                    left.set(number);
                    let (status, body) = seller.send(make(number, None)).await;
                    assert_eq!(status, 402, "{body:?}");
                    let challenge: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    let text = |name: &str| challenge[name].as_str().unwrap().to_owned();
                    let pay = Request::post("/pay")
                        .header("host", "wallet")
                        .body(Full::from(text("invoice")))
                        .unwrap();
                    let (status, preimage) = wallet.send(pay).await;
                    assert_eq!(status, 200, "{preimage:?}");
                    let preimage = String::from_utf8_lossy(&preimage).trim().to_owned();
                    let ticket = format!("L402 {}:{preimage}", text("macaroon"));
                    bought.borrow_mut()[number] = ticket;
                }
            });
        }
        local.await;
        bought.take()
    }

    pub async fn order(&self, words: &'static str) {
        let mut wallet =
            Sender::connect(&Target { address: self.wallet, from: None, tls: None, http2: false })
                .await;
        let order =
            Request::post("/node").header("host", "wallet").body(Full::from(words)).unwrap();
        assert_eq!(wallet.send(order).await.0, 200);
    }
}

fn config(settings: &GateSettings<'_>, listen: u16, ops: u16, upstream: u16, grpc: u16) -> String {
    let GateSettings { name, open, tls, mint_ahead, postgres, more } = settings;
    let open = if *open == 0 { 10_000_000 } else { *open };
    let listener =
        if *tls { "certificate = \"tls.crt\"\nkey = \"tls.key\"" } else { "plain_http = true" };
    let ledger =
        postgres.map_or(String::new(), |_| "[ledger]\npostgres = { env = \"LEDGER\" }".to_owned());
    let more = more.replace("UPSTREAM", &at(upstream).to_string());
    format!(
        r#"state_dir = "state-{name}"
[listen]
address = "127.0.0.1:{listen}"
{listener}
public_url = "https://sms.example.com"
[ops]
address = "127.0.0.1:{ops}"
[lnd]
address = "127.0.0.1:{grpc}"
certificate = "lnd/tls.cert"
macaroon = "lnd/data/chain/bitcoin/regtest/invoice.macaroon"
network = "regtest"
mint_ahead = {mint_ahead}
{ledger}
[limits]
unpaid_per_client = {open}
unpaid_total = {open}
[[service]]
name = "free"
method = "GET"
path = "/free"
ticket = "free"
upstream = "http://127.0.0.1:{upstream}/"
[[service]]
name = "pass"
method = "GET"
path = "/pass"
ticket = "pass"
pass_time = "1d"
price_sat = 10
upstream = "http://127.0.0.1:{upstream}/"
[[service]]
name = "sms"
method = "POST"
path = "/sms"
ticket = "single-use"
price_sat = 100
upstream = "http://127.0.0.1:{upstream}/"
[service.input]
type = "object"
required = ["phone_number", "message"]
additionalProperties = false
[service.input.properties]
phone_number = {{ type = "string", format = "e164" }}
message = {{ type = "string", minLength = 1, maxLength = 120 }}
{more}
"#
    )
}

pub async fn measured(process: &Process, load: impl Future<Output = Outcome>) -> Round {
    let before = process.cpu();
    let outcome = load.await;
    Round { cpu: (process.cpu() - before) as f64 / outcome.requests as f64, outcome }
}

pub fn certificate(folder: &Path) -> Arc<rustls::ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

pub async fn metric(ops: SocketAddr, name: &str) -> f64 {
    let mut sender =
        Sender::connect(&Target { address: ops, from: None, tls: None, http2: false }).await;
    let (_, text) = sender.send(get("/metrics", None)).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
}
