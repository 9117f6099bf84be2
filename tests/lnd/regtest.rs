//! A Lightning network of our own on loopback: a chain (btcd), the operator's node and a payer's
//! with a channel between them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::support::ports::free_port;
use crate::support::{send_signal, wait_until};

/// Where the programs are; built if they aren't there.
pub fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lnd/build");
        let built = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(built.status.success(), "tests/lnd/build failed; it needs Go");
        PathBuf::from(String::from_utf8(built.stdout).unwrap().trim())
    })
}

/// A program that ends when this process does, however that ends.
pub struct Daemon {
    guard: Child,
    id: PathBuf,
}

impl Daemon {
    pub fn start(folder: &Path, name: &str, program: &str, arguments: &[String]) -> Self {
        let id = folder.join(format!("{name}.pid"));
        let script = "log=$1; id=$2; shift 2; \"$@\" >>\"$log\" 2>&1 </dev/null & child=$!; echo \
                      $child >\"$id\"; read -r _; kill $child; wait $child";
        let mut guard = Command::new("sh");
        guard.args(["-c", script, "sh"]).arg(folder.join(format!("{name}.log"))).arg(&id);
        guard
            .arg(programs().join(program))
            .args(arguments)
            .env("HOME", folder)
            .stdin(Stdio::piped());
        let _ = fs::remove_file(&id);
        let guard = guard.spawn().unwrap();
        wait_until("the program's number", || {
            fs::read_to_string(&id).is_ok_and(|id| id.ends_with('\n'))
        });
        Self { guard, id }
    }

    pub fn signal(&self, name: &str) {
        let id = fs::read_to_string(&self.id).unwrap();
        send_signal(name, &[id.trim().parse().unwrap()]);
    }

    /// As an operator stops it.
    pub fn stop(mut self) {
        drop(self.guard.stdin.take());
        self.guard.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// An LND.
pub struct Lnd {
    daemon: Option<Daemon>,
    pub folder: PathBuf,
    pub grpc: SocketAddr,
    peers: u16,
    home: PathBuf,
    name: &'static str,
    arguments: Vec<String>,
}

impl Lnd {
    /// `backend` are the arguments that say where the chain is.
    pub fn new(home: &Path, name: &'static str, backend: Vec<String>) -> Self {
        let (grpc, peers, folder) = (free_port(), free_port(), home.join(name));
        fs::create_dir_all(&folder).unwrap();
        let mut arguments = words(&[
            "--bitcoin.regtest",
            "--nobootstrap",
            "--norest",
            "--bitcoin.defaultchanconfs=1",
            "--trickledelay=50",
            "--tlsdisableautofill",
            "--debuglevel=info",
        ]);
        arguments.extend(backend);
        arguments.push(format!("--lnddir={}", folder.display()));
        arguments.push(format!("--rpclisten=127.0.0.1:{grpc}"));
        arguments.push(format!("--listen=127.0.0.1:{peers}"));
        arguments.push(format!("--alias={name}"));
        let grpc = SocketAddr::from(([127, 0, 0, 1], grpc));
        Self { daemon: None, folder, grpc, peers, home: home.to_owned(), name, arguments }
    }

    pub fn start(&mut self) {
        self.daemon = Some(Daemon::start(&self.home, self.name, "lnd", &self.arguments));
    }

    pub fn start_and_wait(&mut self) {
        self.start();
        wait_until("LND", || self.state() == "SERVER_ACTIVE");
    }

    pub fn stop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
    }

    /// As LND names it; empty if it doesn't answer.
    pub fn state(&self) -> String {
        self.try_cli(&["state"])
            .ok()
            .and_then(|said| Some(said["state"].as_str()?.to_owned()))
            .unwrap_or_default()
    }

    pub fn cli(&self, arguments: &[&str]) -> serde_json::Value {
        self.try_cli(arguments).unwrap_or_else(|said| panic!("lncli {arguments:?}: {said}"))
    }

    /// `Err` is what it said instead of JSON.
    pub fn try_cli(&self, arguments: &[&str]) -> Result<serde_json::Value, String> {
        let done = self.command(arguments).output().unwrap();
        let (said, errors) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        if !done.status.success() {
            return Err(format!("{said}{errors}"));
        }
        Ok(serde_json::from_str(&said).unwrap_or_else(|_| said.trim().to_owned().into()))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs().join("lncli"));
        command
            .arg(format!("--lnddir={}", self.folder.display()))
            .arg(format!("--rpcserver={}", self.grpc));
        command.args(["--network=regtest"]).args(arguments).env("HOME", &self.home);
        command
    }

    pub fn macaroon(&self, name: &str) -> PathBuf {
        self.folder.join("data/chain/bitcoin/regtest").join(format!("{name}.macaroon"))
    }

    /// Bakes one for these methods, at the root key number 402.
    pub fn bake(&self, name: &str, methods: &[&str]) -> PathBuf {
        let path = self.macaroon(name);
        let save = format!("--save_to={}", path.display());
        let uris: Vec<String> = methods.iter().map(|method| format!("uri:{method}")).collect();
        let mut arguments = vec!["bakemacaroon", &save, "--root_key_id=402"];
        arguments.extend(uris.iter().map(String::as_str));
        self.cli(&arguments);
        path
    }

    /// Pays, and gives the preimage.
    pub fn pay(&self, invoice: &str) -> Result<String, String> {
        let paid = self.try_cli(&["payinvoice", "--force", "--json", invoice])?;
        if paid["status"] == "SUCCEEDED" {
            Ok(paid["payment_preimage"].as_str().unwrap().to_owned())
        } else {
            Err(paid.to_string())
        }
    }
}

/// The whole network.
pub struct Regtest {
    btcd: Option<Daemon>,
    btcd_arguments: Vec<String>,
    rpc: u16,
    pub seller: Lnd,
    pub payer: Lnd,
    home: PathBuf,
    backend: Vec<String>,
}

/// The one network of all tests, for one test at a time. It ends, and its folder goes, when this
/// process does.
pub fn network() -> MutexGuard<'static, Regtest> {
    static NETWORK: OnceLock<Mutex<Regtest>> = OnceLock::new();
    let network = NETWORK.get_or_init(|| Mutex::new(Regtest::start())).lock();
    let mut network = network.unwrap_or_else(PoisonError::into_inner);
    network.mend();
    network
}

impl Regtest {
    fn start() -> Self {
        let home = std::env::temp_dir().join(format!("farebox-lnd-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        sweep_up(&home);
        let (rpc, peers) = (free_port(), free_port());
        let mut btcd_arguments = words(&[
            "--regtest",
            "--txindex",
            "--nobanning",
            "--nostalldetect",
            "--rpcmaxwebsockets=50",
            "--trickleinterval=100ms",
            "--rpcuser=farebox",
            "--rpcpass=farebox",
        ]);
        let chain = home.join("chain");
        fs::create_dir_all(&chain).unwrap();
        // It doesn't look at HOME.
        for (option, place) in [
            ("datadir", "data"),
            ("logdir", "logs"),
            ("rpccert", "rpc.cert"),
            ("rpckey", "rpc.key"),
            ("configfile", "none"),
        ] {
            btcd_arguments.push(format!("--{option}={}", chain.join(place).display()));
        }
        fs::write(chain.join("none"), "").unwrap();
        btcd_arguments.push(format!("--rpclisten=127.0.0.1:{rpc}"));
        btcd_arguments.push(format!("--listen=127.0.0.1:{peers}"));
        let mut backend = words(&[
            "--bitcoin.node=btcd",
            "--noseedbackup",
            "--btcd.rpcuser=farebox",
            "--btcd.rpcpass=farebox",
        ]);
        backend.push(format!("--btcd.rpchost=127.0.0.1:{rpc}"));
        backend.push(format!("--btcd.rpccert={}", chain.join("rpc.cert").display()));
        let (seller, payer) =
            (Lnd::new(&home, "seller", backend.clone()), Lnd::new(&home, "payer", backend.clone()));
        let mut network = Self { btcd: None, btcd_arguments, rpc, seller, payer, home, backend };
        network.start_btcd();
        network.payer.start();
        // It serves only once there are blocks.
        wait_until("the payer's wallet", || network.payer.state() == "RPC_ACTIVE");
        let address =
            network.payer.cli(&["newaddress", "p2wkh"])["address"].as_str().unwrap().to_owned();
        network.stop_btcd();
        network.btcd_arguments.push(format!("--miningaddr={address}"));
        network.start_btcd();
        network.mine(432);
        network.seller.start_and_wait();
        for node in [&network.seller, &network.payer] {
            wait_until("the chain to be seen", || {
                node.cli(&["getinfo"])["synced_to_chain"] == true
            });
        }
        // The seller can pay too: it gets some sat.
        network.open_channel(&network.seller, &["--push_amt=300000"]);
        network.wait_for_channel();
        network
    }

    /// As a test before may have left it.
    fn mend(&mut self) {
        self.freeze_chain(false);
        if self.seller.daemon.is_none() {
            self.seller.start_and_wait();
        }
        self.wait_for_channel();
    }

    /// Stops btcd in the middle of whatever it does, or lets it go on. Ended, it would throw its
    /// chain away: it does so on regtest.
    pub fn freeze_chain(&self, frozen: bool) {
        if let Some(btcd) = &self.btcd {
            btcd.signal(if frozen { "STOP" } else { "CONT" });
        }
    }

    fn start_btcd(&mut self) {
        self.btcd = Some(Daemon::start(&self.home, "btcd", "btcd", &self.btcd_arguments));
        wait_until("btcd", || self.btcctl(&["getblockcount"]));
    }

    fn stop_btcd(&mut self) {
        if let Some(btcd) = self.btcd.take() {
            btcd.stop();
        }
    }

    pub fn restart_seller(&mut self) {
        self.seller.stop();
        self.seller.start_and_wait();
    }

    /// Until payments can flow.
    pub fn wait_for_channel(&self) {
        self.connect(&self.seller);
        wait_until("the channel to be active at both ends", || {
            [&self.seller, &self.payer].iter().all(|node| {
                let channels = node.try_cli(&["listchannels"]).unwrap_or_default();
                channels["channels"].as_array().is_some_and(|channels| {
                    channels.iter().any(|channel| channel["active"] == true)
                })
            })
        });
        // Active is not yet usable: payments tell.
        wait_until("a payment to get through", || {
            let invoice = self.seller.try_cli(&["addinvoice", "--amt=1"]).unwrap_or_default();
            invoice["payment_request"]
                .as_str()
                .is_some_and(|invoice| self.payer.pay(invoice).is_ok())
        });
    }

    fn connect(&self, to: &Lnd) -> String {
        let key = to.cli(&["getinfo"])["identity_pubkey"].as_str().unwrap().to_owned();
        // Says so if they are connected already.
        let _ = self.payer.try_cli(&["connect", &format!("{key}@127.0.0.1:{}", to.peers)]);
        key
    }

    /// From the payer.
    fn open_channel(&self, to: &Lnd, more: &[&str]) {
        let key = format!("--node_key={}", self.connect(to));
        let arguments = [&["openchannel", &key, "--local_amt=10000000"], more].concat();
        wait_until("the channel to be funded", || self.payer.try_cli(&arguments).is_ok());
        self.mine(6);
    }

    /// A further node, with one private channel from the payer. The seller is no peer of it, and
    /// can pay it by way of the payer only.
    pub fn start_hidden(&self) -> Lnd {
        let mut hidden = Lnd::new(&self.home, "hidden", self.backend.clone());
        hidden.start_and_wait();
        wait_until("the chain to be seen", || hidden.cli(&["getinfo"])["synced_to_chain"] == true);
        self.open_channel(&hidden, &["--private"]);
        wait_until("the private channel", || {
            hidden.cli(&["listchannels"])["channels"][0]["active"] == true
        });
        hidden
    }

    pub fn mine(&self, blocks: u32) {
        assert!(self.btcctl(&["generate", &blocks.to_string()]), "no block was mined");
    }

    fn btcctl(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(programs().join("btcctl"));
        command
            .args(["--regtest", "--rpcuser=farebox", "--rpcpass=farebox"])
            .arg(format!("--rpcserver=127.0.0.1:{}", self.rpc));
        for (option, place) in [("rpccert", "rpc.cert"), ("configfile", "none")] {
            command.arg(format!("--{option}={}", self.home.join("chain").join(place).display()));
        }
        command.args(arguments);
        command.env("HOME", &self.home).output().unwrap().status.success()
    }
}

/// Removes the folder once this process has ended and the programs with it.
fn sweep_up(home: &Path) {
    let script = "read -r _; for id in \"$1\"/*.pid; do while kill -0 \"$(cat \"$id\")\" \
                  2>/dev/null; do sleep 0.2; done; done; rm -rf \"$1\"";
    let mut sweeper = Command::new("sh");
    sweeper
        .args(["-c", script, "sh"])
        .arg(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Its standard input is held by this process until the end.
    std::mem::forget(sweeper.spawn().unwrap());
}
