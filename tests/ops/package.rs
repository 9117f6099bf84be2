//! The Debian package, from its build to its purge, in a clean Debian with systemd.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::Over;
use crate::debian::Debian;
use crate::pebble::free_port;
use crate::support::http::{self, Response};
use crate::support::upstream::Upstream;
use crate::support::world::Play;
use crate::support::{Challenge, SMS, Ticket, install_if_missing, wait_until};

/// What is sold, at what path.
const PATH: &str = "/api/l402/send-sms";

/// The package, of the binary that is tested.
pub struct Package {
    folder: TempDir,
    file: PathBuf,
}

impl Package {
    pub fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = Command::new(top.join("deploy/debian/build"))
            .args([env!("CARGO_BIN_EXE_farebox"), "--fast"])
            .env("CARGO_TARGET_DIR", folder.path())
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let file = PathBuf::from(String::from_utf8(built.stdout).unwrap().trim());
        Self { folder, file }
    }

    /// As `apt install ./FILE` does.
    pub fn is_installed_in(&self, debian: &Debian) {
        installs(debian, &self.file);
    }

    /// The same one as its next version.
    fn next(&self) -> PathBuf {
        let (tree, file) = (self.folder.path().join("next"), self.folder.path().join("next.deb"));
        let run = |arguments: &[&str], paths: [&Path; 2]| {
            let packed = Command::new("dpkg-deb").args(arguments).args(paths).output().unwrap();
            assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        };
        run(&["--raw-extract"], [&self.file, &tree]);
        let control = tree.join("DEBIAN/control");
        let text = std::fs::read_to_string(&control).unwrap();
        let now = format!("Version: {}-1", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&now), "{text}");
        std::fs::write(&control, text.replace(&now, "Version: 99.0.0-1")).unwrap();
        run(&["--root-owner-group", "-Znone", "--build"], [&tree, &file]);
        file
    }
}

fn installs(debian: &Debian, package: &Path) {
    std::fs::copy(package, debian.file("/root/farebox.deb")).unwrap();
    debian.runs(&["dpkg", "--install", "/root/farebox.deb"]);
}

/// A Debian on which Farebox is installed, its node and its backend.
struct Installed {
    debian: Debian,
    package: Package,
    play: Play,
    upstream: Upstream,
    gate: SocketAddr,
}

impl Installed {
    fn new() -> Self {
        let package = Package::build();
        let gate = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let debian = Debian::boot();
        let installed =
            Self { debian, package, play: Play::new(), upstream: Upstream::start(), gate };
        installed.package.is_installed_in(&installed.debian);
        installed
    }

    /// Fills in the config that the package has brought.
    fn configures(&self, price: u32) {
        let path = self.debian.file("/etc/farebox/farebox.toml");
        let mut config = std::fs::read_to_string(&path).unwrap();
        let mut put = |old: &str, new: &str| {
            assert!(config.contains(old), "{old}: {config}");
            config = config.replace(old, new);
        };
        put("address = \"0.0.0.0:443\"", &format!("address = \"{}\"", self.gate));
        put("certificate = \"/etc/farebox/tls.crt\"\n", "plain_http = true\n");
        put("key = \"/etc/farebox/tls.key\"\n", "");
        put("127.0.0.1:10009", &self.play.grpc.to_string());
        put("mainnet", "regtest");
        put("price_sat = 100", &format!("price_sat = {price}"));
        put("http://127.0.0.1:8080/send", &format!("http://{}/send", self.upstream.address));
        let ops = format!("\n[ops]\naddress = \"127.0.0.1:{}\"\n", free_port());
        let token = "token = { file = \"/run/credentials/farebox.service/ops.token\" }\n";
        std::fs::write(&path, config + &ops + token).unwrap();
        let copy = |from: &str, to: &str| {
            std::fs::copy(self.play.folder.join(from), self.debian.file(to)).unwrap();
        };
        copy("tls.cert", "/etc/farebox/secrets/lnd.crt");
        let macaroon = "/etc/farebox/secrets/farebox.macaroon";
        copy("data/chain/bitcoin/regtest/invoice.macaroon", macaroon);
        self.debian.runs(&["chown", "root:farebox", macaroon, "/etc/farebox/secrets/lnd.crt"]);
        self.debian.runs(&["chmod", "0640", macaroon, "/etc/farebox/secrets/lnd.crt"]);
        // A secret that only systemd can read, handed to this unit alone.
        std::fs::write(self.debian.file("/etc/farebox/secrets/ops.token"), "0123456789abcdef0123")
            .unwrap();
        self.debian.runs(&["chmod", "0600", "/etc/farebox/secrets/ops.token"]);
        let line = "[Service]\nLoadCredential=ops.token:/etc/farebox/secrets/ops.token\n";
        self.drops_in("farebox.service", line);
    }

    /// As `systemctl edit` does.
    fn drops_in(&self, unit: &str, text: &str) {
        let folder = self.debian.file(&format!("/etc/systemd/system/{unit}.d"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("override.conf"), text).unwrap();
        self.debian.runs(&["systemctl", "daemon-reload"]);
    }

    fn posts(&self, headers: &[(&str, &str)]) -> Response {
        let json = [&[("Content-Type", "application/json")], headers].concat();
        http::send(self.gate, "POST", PATH, &json, SMS.as_bytes())
    }

    fn buys(&self) -> Ticket {
        self.play.pays(&Challenge::from(self.posts(&[])))
    }

    #[track_caller]
    fn redeems(&self, ticket: &Ticket) {
        let answer = self.posts(&[("Authorization", &ticket.authorization())]);
        assert!(answer.status == 200 && answer.text() == "Okay", "{answer:?}");
    }

    fn mode(&self, path: &str) -> String {
        self.debian.runs(&["stat", "-c", "%U:%G %a", path]).trim().to_owned()
    }
}

#[test]
fn lintian_finds_nothing_wrong_with_the_package() {
    install_if_missing("/usr/bin/lintian", "lintian");
    let package = Package::build();
    let mut lintian = Command::new("lintian");
    // It isn't Debian's own.
    lintian.args(["--allow-root", "--suppress-tags", "initial-upload-closes-no-bugs"]);
    let said = lintian.arg(&package.file).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.trim().is_empty(), "{text}");
}

#[test]
fn the_package_is_installed_sells_is_upgraded_and_leaves_what_is_worth_money() {
    let installed = Installed::new();
    let debian = &installed.debian;
    is_installed_and_waits_for_its_config(&installed);
    installed.configures(100);
    is_checked_as_the_unit_would_meet_it(&installed);
    debian.runs(&["systemctl", "enable", "--now", "farebox"]);
    wait_until("the status", || debian.property("StatusText") == "serving");

    let (early, late) = (installed.buys(), installed.buys());
    installed.redeems(&early);
    let path = debian.file("/etc/farebox/farebox.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    for (price, status) in [
        ("soon", "serving; the last reload failed and changed nothing"),
        ("250", "serving; the config was reloaded"),
    ] {
        std::fs::write(&path, config.replace("_sat = 100", &format!("_sat = {price}"))).unwrap();
        debian.runs(&["systemctl", "reload", "farebox"]);
        wait_until("the reload", || debian.property("StatusText") == status);
    }
    assert_eq!(installed.posts(&[]).json()["priceSats"], 250);

    let first = debian.property("MainPID");
    installs(debian, &installed.package.next());
    wait_until("the new version", || installed.posts(&[]).status == 402);
    assert_ne!(debian.property("MainPID"), first, "an upgrade restarts what runs");
    assert_eq!(installed.posts(&[]).json()["priceSats"], 250, "the operator's config stays");
    assert_eq!(installed.mode("/etc/farebox/farebox.toml"), "root:farebox 640");
    for ticket in [&early, &late] {
        installed.redeems(ticket);
    }
    assert_eq!(installed.upstream.count(), 3, "each once, and the operator's own");
    its_status_is_true_and_a_bad_config_lets_it_fail(&installed);
    is_removed_and_purged(&installed);
}

/// What root may read and bind says nothing of the unit.
fn is_checked_as_the_unit_would_meet_it(installed: &Installed) {
    let debian = &installed.debian;
    let path = debian.file("/etc/farebox/farebox.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let says = |command: &[&str], words: &str| {
        let (is_well, said) = debian.tries(command);
        assert!(said.contains(words), "{command:?}: {words} in {said}");
        is_well
    };
    let check = &["farebox", "check", "--unit"][..];
    assert!(says(check, "All is well."));
    // Root's own file, which the unit couldn't read.
    std::fs::write(debian.file("/root/order.json"), SMS).unwrap();
    let sends = ["farebox", "check", "--unit", "--send", "/root/order.json"];
    assert!(says(&sends, "which counts as delivered"));
    assert_eq!(installed.upstream.count(), 1);
    let bound = config.replace(&installed.gate.to_string(), "127.0.0.1:443");
    std::fs::write(&path, &bound).unwrap();
    assert!(says(check, "127.0.0.1:443 is free"));
    // The operators' token is the unit's alone.
    std::fs::write(&path, bound.split("\ntoken = ").next().unwrap()).unwrap();
    let as_user = ["runuser", "-u", "farebox", "--", "farebox", "check"];
    assert!(!says(&as_user, "root checks it by `--unit`"));
    std::fs::write(&path, format!("state_dir = \"/srv/farebox\"\n{config}")).unwrap();
    assert!(!says(check, "FAILED   state: /srv"));
    // Root has none of the unit's credentials.
    assert!(!says(&["farebox", "check"], "note     user: this is root"));
    std::fs::write(&path, &config).unwrap();
    let macaroon = "/etc/farebox/secrets/farebox.macaroon";
    debian.runs(&["chmod", "0600", macaroon]);
    assert!(!says(check, "let the user that runs `serve` read it"));
    debian.runs(&["chmod", "0640", macaroon]);
    assert!(!says(
        &["farebox", "check", "--unit", "no-such.service"],
        "No files found for no-such.service"
    ));
}

fn its_status_is_true_and_a_bad_config_lets_it_fail(installed: &Installed) {
    let debian = &installed.debian;
    installed.play.order("locked");
    wait_until("the status to say why", || {
        debian.property("StatusText").starts_with("nothing is sold: LND's wallet is locked")
    });
    installed.play.order("up");
    wait_until("the status to say that all is well", || debian.property("StatusText") == "serving");
    let path = debian.file("/etc/farebox/farebox.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("_sat = 250", "_sat = \"250\"")).unwrap();
    let (started, _) = debian.tries(&["systemctl", "restart", "farebox"]);
    let how = ["ActiveState", "ExecMainStatus"].map(|name| debian.property(name));
    assert!(!started && how == ["failed", "78"], "{how:?}: {}", debian.journal());
    std::fs::write(&path, config).unwrap();
    debian.runs(&["systemctl", "restart", "farebox"]);
}

fn is_installed_and_waits_for_its_config(installed: &Installed) {
    let debian = &installed.debian;
    assert_eq!(debian.tries(&["systemctl", "is-enabled", "farebox"]).1.trim(), "disabled");
    assert_eq!(debian.tries(&["systemctl", "is-active", "farebox"]).1.trim(), "inactive");
    assert_eq!(installed.mode("/var/lib/farebox"), "farebox:farebox 700");
    assert_eq!(installed.mode("/etc/farebox/farebox.toml"), "root:farebox 640");
    assert_eq!(installed.mode("/etc/farebox/secrets"), "root:farebox 750");
    for file in ["man/man1/farebox.1.gz", "bash-completion/completions/farebox"] {
        assert!(debian.file(&format!("/usr/share/{file}")).exists(), "{file}");
    }
    its_links_lead_somewhere(&debian.file("/usr/share/doc/farebox"));
    let (is_well, said) = debian.tries(&["runuser", "-u", "farebox", "--", "farebox", "check"]);
    assert!(!is_well && said.contains("/etc/farebox/tls.crt"), "{said}");
    let (is_well, said) = debian.tries(&["systemctl", "start", "farebox"]);
    assert!(!is_well && debian.journal().contains("/etc/farebox/tls.crt"), "{said}");
    debian.runs(&["systemctl", "stop", "farebox"]);
}

/// Those of the documents, as they are installed.
fn its_links_lead_somewhere(folder: &Path) {
    let mut links = 0;
    for document in ["README.md", "docs/quick-start.md", "docs/runbook.md", "docs/metrics.md"] {
        let document = folder.join(document);
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let there = document.parent().unwrap().join(link);
            assert!(link.contains(':') || there.exists(), "{}: {link}", document.display());
            links += 1;
        }
    }
    assert!(links > 12, "{links}");
}

fn is_removed_and_purged(installed: &Installed) {
    let debian = &installed.debian;
    debian.runs(&["dpkg", "--remove", "farebox"]);
    assert!(std::net::TcpStream::connect(installed.gate).is_err(), "it is stopped");
    assert!(!debian.file("/usr/bin/farebox").exists());
    let (config, ledger) = ("/etc/farebox/farebox.toml", "/var/lib/farebox/ledger.db");
    assert!(debian.file(config).exists() && debian.file(ledger).exists());
    let said = debian.runs(&["dpkg", "--purge", "farebox"]);
    assert!(!debian.file(config).exists() && debian.file(ledger).exists());
    assert!(debian.file("/var/lib/farebox/master.secret").exists());
    assert!(said.contains("/var/lib/farebox isn't empty"), "{said}");
    // Whatever it is called: a secret may stand there, too.
    assert!(debian.file("/etc/farebox/secrets/farebox.macaroon").exists());
}

#[test]
fn an_upgrade_where_systemd_holds_the_port_fails_no_request() {
    let installed = Installed::new();
    let debian = &installed.debian;
    installed.configures(100);
    let listen = format!("[Socket]\nListenStream=\nListenStream={}\n", installed.gate);
    installed.drops_in("farebox.socket", &listen);
    debian.runs(&["systemctl", "enable", "--now", "farebox.socket", "farebox.service"]);
    let next = installed.package.next();
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    installed.redeems(&installed.buys());
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _over = Over(&is_over);
        let sells = || {
            let before = served.load(Ordering::SeqCst);
            wait_until("some to be served", || served.load(Ordering::SeqCst) > before + 20);
        };
        sells();
        debian.runs(&["systemctl", "restart", "farebox"]);
        sells();
        installs(debian, &next);
        sells();
    });
    assert_eq!(debian.property("ActiveState"), "active");
    assert_eq!(installed.upstream.count(), served.into_inner(), "each once");
}
