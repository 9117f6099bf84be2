//! Pebble, the certificate authority for trying things out, with a DNS that leads every name here.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

pub use crate::support::ports::free_port;
use crate::support::wait_until;

/// The version that is built.
const VERSION: &str = "v2.10.3";

pub struct Pebble {
    folder: TempDir,
    port: u16,
    /// Where it looks by plain HTTP, and by TLS.
    pub http_port: u16,
    pub tls_port: u16,
    processes: Vec<Child>,
}

/// Builds it into the cache, once.
fn programs() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let cache = PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/farebox");
        let folder = cache.join(format!("pebble-{VERSION}"));
        if !folder.exists() {
            let new = cache.join(format!("pebble-{VERSION}.{}", std::process::id()));
            let place = "github.com/letsencrypt/pebble/v2/cmd";
            let what = ["pebble", "pebble-challtestsrv"];
            let what = what.map(|program| format!("{place}/{program}@{VERSION}"));
            let mut go = Command::new("go");
            let built = go.arg("install").args(what).env("GOBIN", &new).current_dir("/").status();
            assert!(built.is_ok_and(|status| status.success()), "pebble needs Go to be built");
            std::fs::rename(new, &folder).unwrap();
        }
        folder
    };
    BUILT.get_or_init(build).clone()
}

impl Pebble {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        crate::tls_files(folder.path(), "pebble");
        let [port, http_port, tls_port, dns, management] = [(); 5].map(|()| free_port());
        let at = folder.path().display();
        let config = format!(
            r#"{{"pebble": {{
                "listenAddress": "127.0.0.1:{port}", "managementListenAddress": "",
                "certificate": "{at}/pebble.crt", "privateKey": "{at}/pebble.key",
                "httpPort": {http_port}, "tlsPort": {tls_port}, "ocspResponderURL": "",
                "externalAccountBindingRequired": false,
                "retryAfter": {{"authz": 1, "order": 1}},
                "profiles": {{"default": {{"description": "short", "validityPeriod": 60}}}}
            }}}}"#
        );
        std::fs::write(folder.path().join("pebble.json"), config).unwrap();
        let programs = programs();
        let mut names = Command::new(programs.join("pebble-challtestsrv"));
        names.args([
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
        ]);
        names.args(["-doh", "", "-tlsalpn01", "", "-dnsserver", &format!("127.0.0.1:{dns}")]);
        names.args(["-management", &format!("127.0.0.1:{management}")]);
        let mut authority = Command::new(programs.join("pebble"));
        authority.arg("-config").arg(folder.path().join("pebble.json"));
        authority.args(["-dnsserver", &format!("127.0.0.1:{dns}")]);
        authority.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        let start = |command: &mut Command, name: &str| {
            let log = std::fs::File::create(folder.path().join(name)).unwrap();
            let log = (log.try_clone().unwrap(), log);
            command.stdin(Stdio::null()).stdout(log.0).stderr(log.1).spawn().unwrap()
        };
        let processes = vec![start(&mut names, "dns.log"), start(&mut authority, "pebble.log")];
        let pebble = Self { folder, port, http_port, tls_port, processes };
        wait_until("pebble to listen", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        pebble
    }

    /// The key of the config for these names.
    pub fn key(&self, domain: &str) -> String {
        let at = self.folder.path().display();
        format!(
            "acme = {{ domains = [\"{domain}\"], contact = \"mailto:ops@example.com\", directory = \
             \"https://localhost:{}/dir\", directory_ca = \"{at}/pebble.crt\" }}",
            self.port
        )
    }

    /// How many certificates it has issued.
    pub fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("pebble.log")).unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            println!("--- pebble:\n{}", self.log());
        }
    }
}
