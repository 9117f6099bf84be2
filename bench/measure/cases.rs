//! What is measured: one case after the other in each round, so that all have the same machine.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use rustls::pki_types::CertificateDer;

use crate::growth;
use crate::load::{Outcome, Sender, Target, ours, wrk};
use crate::processes::{Folder, Process, port, proxy, until_it_listens, upstream};
use crate::table::{Round, Table};

pub const ROUNDS: usize = 5;

/// Seconds of each load by wrk.
const SECONDS: f64 = 2.0;

/// Tickets in each round of a case that uses them up.
pub const TICKETS: usize = 10_000;

const CONNECTIONS: u32 = 64;

const SMS: &str = r#"{"message":"Hello, this is a test SMS!","phone_number":"+1234567890"}"#;

/// A gate and where it listens.
pub struct Gate {
    pub process: Process,
    pub address: SocketAddr,
    ops: SocketAddr,
}

/// How a gate differs.
#[derive(Default, Clone)]
pub struct Settings<'a> {
    pub name: &'a str,
    /// Most open challenges; none at 0.
    pub open: u32,
    pub tls: bool,
    pub mint_ahead: u32,
    pub postgres: Option<&'a str>,
}

pub struct Bench<'a> {
    farebox: &'a str,
    pub folder: &'a Path,
    upstream: u16,
    grpc: u16,
    wallet: SocketAddr,
    roots: Arc<rustls::ClientConfig>,
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Bench<'_> {
    pub async fn gate(&self, settings: &Settings<'_>) -> Gate {
        let (listen, ops) = (port(), port());
        let Settings { name, open, tls, mint_ahead, postgres } = settings;
        let open = if *open == 0 { 10_000_000 } else { *open };
        let listener =
            if *tls { "certificate = \"tls.crt\"\nkey = \"tls.key\"" } else { "plain_http = true" };
        let ledger = postgres
            .map_or(String::new(), |_| "[ledger]\npostgres = { env = \"LEDGER\" }".to_owned());
        let (upstream, grpc) = (self.upstream, self.grpc);
        let config = format!(
            r#"state_dir = "state-{name}"
[listen]
address = "127.0.0.1:{listen}"
{listener}
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
"#
        );
        let file = self.folder.join(format!("{name}.toml"));
        fs::write(&file, config).unwrap();
        if postgres.is_some() {
            let state = self.folder.join(format!("state-{name}"));
            fs::create_dir_all(&state).unwrap();
            fs::write(state.join("master.secret"), "01".repeat(32)).unwrap();
        }
        let mut command = Command::new(self.farebox);
        command.args(["serve", "--config"]).arg(&file);
        command.env("LEDGER", postgres.unwrap_or_default());
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
    fn floor(&self, name: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(name).args(arguments);
        Process::start(command, &self.folder.join(format!("{name}.log")))
    }

    async fn until_it_sells(&self, gate: &Gate, tls: bool) {
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
        let (bought, left) =
            (Rc::new(RefCell::new(Vec::with_capacity(count))), Rc::new(Cell::new(count)));
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
                    left.set(left.get() - 1);
                    let (status, body) = seller.send(make(None)).await;
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
                    bought.borrow_mut().push(format!("L402 {}:{preimage}", text("macaroon")));
                }
            });
        }
        local.await;
        bought.take()
    }

    async fn order(&self, words: &'static str) {
        let mut wallet =
            Sender::connect(&Target { address: self.wallet, from: None, tls: None, http2: false })
                .await;
        let order =
            Request::post("/node").header("host", "wallet").body(Full::from(words)).unwrap();
        assert_eq!(wallet.send(order).await.0, 200);
    }
}

pub fn post(ticket: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::post("/sms")
        .header("host", "localhost")
        .header("content-type", "application/json");
    if let Some(ticket) = ticket {
        request = request.header("authorization", ticket);
    }
    request.body(Full::from(SMS)).unwrap()
}

fn no_call() -> Request<Full<Bytes>> {
    let mut request = post(None);
    *request.uri_mut() = "/no-call".parse().unwrap();
    request
}

fn get(path: &'static str, ticket: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::get(path).header("host", "localhost");
    if let Some(ticket) = ticket {
        request = request.header("authorization", ticket);
    }
    request.body(Full::default()).unwrap()
}

pub fn get_pass(ticket: Option<&str>) -> Request<Full<Bytes>> {
    get("/pass", ticket)
}

pub async fn measured(process: &Process, load: impl Future<Output = Outcome>) -> Round {
    let before = process.cpu();
    let outcome = load.await;
    Round { cpu: (process.cpu() - before) as f64 / outcome.requests as f64, outcome }
}

/// Requests made by a function, so many of them.
pub fn times(
    count: usize,
    make: impl Fn(usize) -> Request<Full<Bytes>> + 'static,
) -> impl Fn() -> Option<Request<Full<Bytes>>> + 'static {
    let next = Cell::new(0);
    move || {
        let n = next.get();
        next.set(n + 1);
        (n < count).then(|| make(n))
    }
}

fn certificate(folder: &Path) -> Arc<rustls::ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// A server of its own, if its programs are there.
fn postgres(folder: &Path, port: u16) -> Option<(Process, String)> {
    let bin = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .max()?;
    let data = folder.join("postgres");
    let prepare = format!(
        "chmod 755 {folder} && mkdir {data} && chown postgres {data} && setpriv --reuid postgres \
         --regid postgres --clear-groups {bin}/initdb -D {data} -A trust -U postgres >/dev/null",
        folder = folder.display(),
        data = data.display(),
        bin = bin.display()
    );
    Command::new("sh")
        .args(["-c", &prepare])
        .status()
        .ok()
        .filter(std::process::ExitStatus::success)?;
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"])
        .arg(bin.join("postgres"));
    command.arg("-D").arg(&data).args([
        "-p",
        &port.to_string(),
        "-c",
        "listen_addresses=127.0.0.1",
        "-k",
        "",
    ]);
    Some((
        Process::start(command, &folder.join("postgres.log")),
        format!("postgresql://postgres@127.0.0.1:{port}/postgres"),
    ))
}

/// Measures the cases whose names have one of the words, or all.
pub async fn run(farebox: &str, words: &[String]) {
    let wanted =
        |case: &str| words.is_empty() || words.iter().any(|word| case.contains(word.as_str()));
    let folder = Folder::new();
    let roots = certificate(&folder.0);
    let (up, plain, tls, grpc, wallet) = (port(), port(), port(), port(), port());
    let _upstream = upstream(&folder.0, up);
    let nginx = proxy(&folder.0, plain, tls, up);
    until_it_listens(up).await;
    until_it_listens(tls).await;
    let mut play = Command::new(farebox);
    play.args(["play", "--dir"]).arg(folder.0.join("lnd"));
    play.args(["--grpc", &at(grpc).to_string(), "--wallet", &at(wallet).to_string()]);
    let _play = Process::start(play, &folder.0.join("play.log"));
    until_it_listens(wallet).await;
    let bench = Bench { farebox, folder: &folder.0, upstream: up, grpc, wallet: at(wallet), roots };
    let mut table = Table::default();
    let size = fs::metadata(farebox).unwrap().len();
    println!("binary: {:.1} MB", size as f64 / 1e6);
    let nginx_at = Nginx { process: &nginx, plain, tls };
    in_the_clear(&bench, &nginx_at, &mut table, &wanted).await;
    over_tls(&bench, &nginx_at, &mut table, &wanted).await;
    beside_buyers(&bench, &mut table, &wanted).await;
    with_postgres(&bench, &nginx_at, &mut table, &wanted).await;
    if wanted("flood") {
        growth::flood(&bench, &mut table).await;
    }
    if wanted("cached") {
        growth::cached(&bench, &mut table).await;
    }
    if wanted("million") {
        growth::ten_million(&bench, &mut table).await;
    }
    table.notes.push(format!("nginx: peak {} KiB", nginx.peak()));
    table.print();
}

struct Nginx<'a> {
    process: &'a Process,
    plain: u16,
    tls: u16,
}

impl Nginx<'_> {
    async fn plain(&self) -> Round {
        measured(
            self.process,
            wrk(&format!("http://127.0.0.1:{}/free", self.plain), CONNECTIONS, SECONDS, &[], None),
        )
        .await
    }
}

async fn in_the_clear(
    bench: &Bench<'_>,
    nginx: &Nginx<'_>,
    table: &mut Table,
    wanted: &dyn Fn(&str) -> bool,
) {
    let cases = ["free", "bare", "pass", "single-use", "replay", "challenge", "challenge, stock"];
    if !cases.iter().any(|case| wanted(case)) {
        return;
    }
    let gate = bench.gate(&Settings { name: "plain", ..Settings::default() }).await;
    let stocked =
        bench.gate(&Settings { name: "stocked", mint_ahead: 2000, ..Settings::default() }).await;
    let floor = at(port());
    let bare = bench.floor("bare", &[&floor.to_string(), &at(bench.upstream).to_string()]);
    let shop = at(port());
    let node = bench.folder.join("lnd");
    let seller = bench.floor(
        "seller",
        &[&shop.to_string(), &at(bench.grpc).to_string(), &node.to_string_lossy()],
    );
    until_it_listens(floor.port()).await;
    until_it_listens(shop.port()).await;
    let target = bench.target(&gate, false, false);
    let url = |path: &str| format!("http://{}{path}", gate.address);
    table.notes.push(format!("memory: {} KiB after the start", gate.process.resident()));
    let pass = bench.buy(&gate, false, 1, get_pass).await.remove(0);
    let spent = bench.buy(&gate, false, 1, post).await.remove(0);
    let mut sender = Sender::connect(&target).await;
    assert_eq!(sender.send(post(Some(&spent))).await.0, 200);
    for _ in 0..ROUNDS {
        table.add("nginx", "-", nginx.plain().await);
        if wanted("free") || wanted("bare") {
            table.add(
                "bare hyper",
                "nginx",
                measured(
                    &bare,
                    wrk(&format!("http://{floor}/free"), CONNECTIONS, SECONDS, &[], None),
                )
                .await,
            );
        }
        if wanted("free") {
            table.add(
                "free",
                "nginx",
                measured(&gate.process, wrk(&url("/free"), CONNECTIONS, SECONDS, &[], None)).await,
            );
        }
        if wanted("pass") {
            let headers = [("Authorization", pass.as_str())];
            table.add(
                "pass",
                "nginx",
                measured(&gate.process, wrk(&url("/pass"), CONNECTIONS, SECONDS, &headers, None))
                    .await,
            );
        }
        if wanted("single-use") {
            let tickets = bench.buy(&gate, false, TICKETS, post).await;
            let load =
                ours(&target, 128, &[200], None, times(TICKETS, move |n| post(Some(&tickets[n]))));
            table.add("single-use", "nginx", measured(&gate.process, load).await);
        }
        if wanted("replay") {
            let headers = [("Authorization", spent.as_str()), ("Content-Type", "application/json")];
            table.add(
                "replay",
                "nginx",
                measured(
                    &gate.process,
                    wrk(&url("/sms"), CONNECTIONS, SECONDS, &headers, Some(SMS)),
                )
                .await,
            );
        }
        if wanted("challenge") {
            let shop = Target { address: shop, ..target.clone() };
            let load = ours(&shop, 16, &[402], None, times(TICKETS, |_| post(None)));
            let sold = measured(&seller, load).await;
            table.add("bare seller", "nginx", sold);
            let load = ours(&shop, 16, &[402], None, times(TICKETS, |_| no_call()));
            let call = sold.cpu - measured(&seller, load).await.cpu;
            let load = ours(&target, 16, &[402], None, times(TICKETS, |_| post(None)));
            let challenge = measured(&gate.process, load).await;
            table.add("challenge", "nginx", challenge);
            table.add(
                "challenge, without the call",
                "nginx",
                Round { cpu: challenge.cpu - call, ..challenge },
            );
        }
        if wanted("challenge, stock") {
            stock(bench, &gate, &stocked, table).await;
        }
    }
    if wanted("single-use") {
        table.notes.push(format!(
            "memory: {} KiB at the most, with {} tickets redeemed",
            gate.process.peak(),
            ROUNDS * TICKETS
        ));
    }
}

/// A burst at a fixed rate that is no larger than the stock, against free requests at the same
/// rate.
async fn stock(bench: &Bench<'_>, gate: &Gate, stocked: &Gate, table: &mut Table) {
    const BURST: usize = 1000;
    let pace = Some(Duration::from_millis(1));
    let there = || metric(stocked.ops, "farebox_stock{service=\"sms\"}");
    // What was sold once is in stock for the next time.
    if there().await < BURST as f64 {
        ours(&bench.target(stocked, false, false), 16, &[402], None, times(BURST, |_| post(None)))
            .await;
        while there().await < BURST as f64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (plain, from_stock) =
        (bench.target(gate, false, false), bench.target(stocked, false, false));
    let free = ours(&plain, 16, &[200], pace, times(BURST, |_| get("/free", None)));
    table.add("free, 1000/s", "-", measured(&gate.process, free).await);
    let burst = ours(&from_stock, 16, &[402], pace, times(BURST, |_| post(None)));
    // The stock is filled again meanwhile: that is part of it.
    table.add("challenge, stock, 1000/s", "free, 1000/s", measured(&stocked.process, burst).await);
    while there().await < BURST as f64 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn over_tls(
    bench: &Bench<'_>,
    nginx: &Nginx<'_>,
    table: &mut Table,
    wanted: &dyn Fn(&str) -> bool,
) {
    if !wanted("tls") {
        return;
    }
    const REQUESTS: usize = 20_000;
    let gate = bench.gate(&Settings { name: "tls", tls: true, ..Settings::default() }).await;
    let pass = bench.buy(&gate, true, 1, get_pass).await.remove(0);
    for _ in 0..ROUNDS {
        for http2 in [false, true] {
            let version = if http2 { "tls h2" } else { "tls h1" };
            let (target, connections) = (bench.target(&gate, true, http2), 64);
            let base = Target { address: at(nginx.tls), ..target.clone() };
            let named = |case: &str| format!("{version}, {case}");
            let load =
                ours(&base, connections, &[200], None, times(REQUESTS, |_| get("/free", None)));
            table.add(&named("nginx"), "-", measured(nginx.process, load).await);
            let load =
                ours(&target, connections, &[200], None, times(REQUESTS, |_| get("/free", None)));
            table.add(&named("free"), &named("nginx"), measured(&gate.process, load).await);
            let ticket = pass.clone();
            let load = ours(
                &target,
                connections,
                &[200],
                None,
                times(REQUESTS, move |_| get("/pass", Some(&ticket))),
            );
            table.add(&named("pass"), &named("nginx"), measured(&gate.process, load).await);
            let tickets = bench.buy(&gate, true, TICKETS, post).await;
            let load =
                ours(&target, 128, &[200], None, times(TICKETS, move |n| post(Some(&tickets[n]))));
            table.add(&named("single-use"), &named("nginx"), measured(&gate.process, load).await);
        }
    }
}

/// Free and replayed requests while others buy, from many addresses, and while the node says
/// nothing.
async fn beside_buyers(bench: &Bench<'_>, table: &mut Table, wanted: &dyn Fn(&str) -> bool) {
    if !wanted("beside") {
        return;
    }
    let gate = bench.gate(&Settings { name: "beside", ..Settings::default() }).await;
    // What the machine does by itself: the same buyers, who ask another process.
    let elsewhere = bench.gate(&Settings { name: "elsewhere", ..Settings::default() }).await;
    let target = bench.target(&gate, false, false);
    let spent = bench.buy(&gate, false, 1, post).await.remove(0);
    assert_eq!(Sender::connect(&target).await.send(post(Some(&spent))).await.0, 200);
    // A rate that leaves the machine air: at its limit everything waits for everything.
    const REQUESTS: usize = 2000;
    let pace = Some(Duration::from_millis(1));
    let before = gate.process.resident();
    for _ in 0..ROUNDS {
        for condition in
            ["quiet", "beside buyers", "buyers at another gate", "beside a silent node"]
        {
            if condition == "beside a silent node" {
                bench.order("silent").await;
            }
            let buys = condition != "quiet";
            let stop = Rc::new(Cell::new(false));
            let buying = async {
                if buys {
                    let stopped = Rc::clone(&stop);
                    let asked =
                        if condition == "buyers at another gate" { &elsewhere } else { &gate };
                    let from = Target {
                        from: Some(IpAddr::V4(Ipv4Addr::new(127, 0, 3, 7))),
                        ..bench.target(asked, false, false)
                    };
                    let every = Some(Duration::from_millis(5));
                    ours(&from, 16, &[402, 429, 503], every, move || {
                        (!stopped.get()).then(|| post(None))
                    })
                    .await;
                }
            };
            let free = async {
                let free = measured(
                    &gate.process,
                    ours(&target, 8, &[200], pace, times(REQUESTS, |_| get("/free", None))),
                )
                .await;
                let ticket = spent.clone();
                let replay =
                    ours(&target, 8, &[200], pace, times(REQUESTS, move |_| post(Some(&ticket))));
                let replay = measured(&gate.process, replay).await;
                stop.set(true);
                (free, replay)
            };
            let ((free, replay), ()) = tokio::join!(free, buying);
            table.add(&format!("free, {condition}"), "free, quiet", free);
            table.add(&format!("replay, {condition}"), "replay, quiet", replay);
            if condition == "beside a silent node" {
                bench.order("up").await;
                bench.until_it_sells(&gate, false).await;
            }
        }
    }
    growth::challenges(bench, &gate, table, before).await;
}

async fn with_postgres(
    bench: &Bench<'_>,
    nginx: &Nginx<'_>,
    table: &mut Table,
    wanted: &dyn Fn(&str) -> bool,
) {
    if !wanted("postgres") {
        return;
    }
    let database = port();
    let Some((_server, url)) = postgres(bench.folder, database) else {
        table.notes.push("postgres: not measured, its programs are not here".to_owned());
        return;
    };
    until_it_listens(database).await;
    let gate = bench
        .gate(&Settings { name: "postgres", postgres: Some(&url), ..Settings::default() })
        .await;
    for _ in 0..ROUNDS {
        table.add("nginx, beside postgres", "-", nginx.plain().await);
        let tickets = bench.buy(&gate, false, TICKETS / 4, post).await;
        let target = bench.target(&gate, false, false);
        let load =
            ours(&target, 128, &[200], None, times(TICKETS / 4, move |n| post(Some(&tickets[n]))));
        table.add(
            "postgres, single-use",
            "nginx, beside postgres",
            measured(&gate.process, load).await,
        );
    }
}

async fn metric(ops: SocketAddr, name: &str) -> f64 {
    let mut sender =
        Sender::connect(&Target { address: ops, from: None, tls: None, http2: false }).await;
    let (_, text) = sender.send(get("/metrics", None)).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
}
