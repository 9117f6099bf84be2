//! A PostgreSQL server of the test's own, on a free port in a temporary folder; and a wire to it
//! that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{send_signal, wait_for, wait_until};

pub struct Postgres {
    server: Child,
    pub address: SocketAddr,
    folder: PathBuf,
}

impl Postgres {
    pub fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::SeqCst);
        let folder =
            std::env::temp_dir().join(format!("farebox-test-pg-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        give_to_postgres(&folder);
        let data = folder.join("data");
        let made = as_postgres("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-A", "trust", "-U", "postgres", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = serve(&folder, port);
        let postgres = Self { server, address, folder };
        postgres.wait_until_up();
        postgres
    }

    pub fn url(&self) -> String {
        url(self.address)
    }

    /// From its next start on it speaks TLS, with this certificate and key.
    pub fn speak_tls(&self, certificate: &Path, key: &Path) {
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.folder.join("data").join(name);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            give_to_postgres(&to);
        }
        let settings = self.folder.join("data/postgresql.auto.conf");
        let text = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(settings, format!("{text}ssl = on\n")).unwrap();
    }

    /// As in a crash of the server.
    pub fn stop(&mut self) {
        self.signal("QUIT");
        let _ = self.server.wait();
    }

    pub fn start_again(&mut self) {
        self.server = serve(&self.folder, self.address.port());
        self.wait_until_up();
    }

    /// Stops (`STOP`) or lets go on (`CONT`) the server with all its processes.
    pub fn signal_all(&self, name: &str) {
        let server = self.server.id();
        let is_child = |id: &String| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat.rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1))
                .is_some_and(|parent| parent == server.to_string())
        };
        let all = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut ids: Vec<u32> =
            all.filter(is_child).map(|id| id.parse().expect("a process's number")).collect();
        ids.push(server);
        send_signal(name, &ids);
    }

    fn signal(&self, name: &str) {
        send_signal(name, &[self.server.id()]);
    }

    fn wait_until_up(&self) {
        wait_until("PostgreSQL", || {
            let answer =
                program("psql").args(["-XAtqc", "SELECT 1"]).arg(self.url()).output().unwrap();
            answer.status.success()
        });
    }

    pub fn query(&self, sql: &str) -> String {
        self.query_with("", sql)
    }

    /// Where transactions are read-only by default.
    pub fn query_writing(&self, sql: &str) -> String {
        self.query_with("-c default_transaction_read_only=off", sql)
    }

    fn query_with(&self, options: &str, sql: &str) -> String {
        let answer = program("psql")
            .env("PGOPTIONS", options)
            .args(["-XAtqc", sql])
            .arg(self.url())
            .output()
            .unwrap();
        assert!(answer.status.success(), "{answer:?}");
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal_all("CONT");
        self.signal("QUIT");
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn url(address: SocketAddr) -> String {
    format!("postgresql://postgres@127.0.0.1:{}/postgres?sslmode=disable", address.port())
}

fn serve(folder: &Path, port: u16) -> Child {
    let mut command = as_postgres("postgres");
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args([
        "-p",
        &port.to_string(),
        "-h",
        "127.0.0.1",
        "-c",
        "max_connections=60",
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

/// PostgreSQL refuses to run as root; Debian's package has made a user for it.
pub fn postgres_user() -> (u32, u32) {
    let id = |flag| {
        let said = Command::new("id").args([flag, "postgres"]).output().unwrap();
        String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
    };
    (id("-u"), id("-g"))
}

pub fn give_to_postgres(folder: &Path) {
    if is_root() {
        program("psql");
        let (user, group) = postgres_user();
        std::os::unix::fs::chown(folder, Some(user), Some(group)).unwrap();
    }
}

fn as_postgres(name: &str) -> Command {
    let mut command = program(name);
    if is_root() {
        let (user, group) = postgres_user();
        command.uid(user).gid(group);
    }
    command.current_dir("/").env_remove("PGDATA");
    command
}

/// One of PostgreSQL's programs; installed from Debian's package if it isn't there and we may.
fn program(name: &str) -> Command {
    static INSTALL: std::sync::Once = std::sync::Once::new();
    INSTALL.call_once(|| {
        if find("initdb").is_none() {
            super::install_if_missing("/usr/lib/postgresql", "postgresql");
        }
    });
    Command::new(find(name).unwrap_or_else(|| {
        panic!("PostgreSQL's `{name}` is needed: install Debian's package postgresql")
    }))
}

fn find(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().join("bin"))
        .collect();
    folders.sort();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH")?));
    folders.into_iter().rev().map(|folder| folder.join(name)).find(|path| path.exists())
}

/// Passes bytes on to the server. Once told to, it passes on what goes there but not what comes
/// back, and hangs up.
pub struct Wire {
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Wire {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&cut);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (c, s) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(c, s, || true));
                let flag = Arc::clone(&flag);
                std::thread::spawn(move || {
                    pass(server, client, move || !flag.load(Ordering::SeqCst))
                });
            }
        });
        Self { address, cut }
    }

    pub fn cut_answers(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, may: impl Fn() -> bool) {
    let mut buffer = [0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !may() || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// The value of a query once it is what the test waits for.
pub fn wait_for_row(postgres: &Postgres, sql: &str, value: &str) {
    wait_for(&format!("{sql} = {value}"), || (postgres.query(sql) == value).then_some(()));
}
