//! A play node with its wallet.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::config::Options;
use super::http::{self, Response};
use super::payer::{Challenge, Ticket};
use super::process::Process;

/// A play node in a process of its own.
pub struct Play {
    /// Ends with this.
    _process: Process,
    pub grpc: SocketAddr,
    pub wallet: SocketAddr,
    pub folder: PathBuf,
    /// Is deleted after the process has ended.
    _temporary: Option<TempDir>,
}

impl Play {
    /// In a folder of its own.
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let play = Self::start(temporary.path());
        Self { _temporary: Some(temporary), ..play }
    }

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
        Self { _process: process, grpc, wallet, folder: folder.join("lnd"), _temporary: None }
    }

    /// Pays at the node itself, whatever any gate makes of it.
    #[track_caller]
    pub fn pays(&self, challenge: &Challenge) -> Ticket {
        let answer = self.pay(&challenge.invoice);
        assert_eq!(answer.status, 200, "{answer:?}");
        challenge.with_preimage(answer.text().trim())
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
pub fn shared_play() -> &'static Play {
    static PLAY: OnceLock<Play> = OnceLock::new();
    PLAY.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("farebox-test-play-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let arguments =
            ["play", "--dir", "lnd", "--grpc", "127.0.0.1:0", "--wallet", "127.0.0.1:0"];
        Play::of(Process::start_until_we_end(&arguments, &folder), &folder)
    })
}
