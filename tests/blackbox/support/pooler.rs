//! PgBouncer before a PostgreSQL server, of the test's own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::postgres::{Postgres, give_to_postgres, is_root, postgres_user, url};
use super::{install_if_missing, send_signal, wait_until};

const PROGRAM: &str = "/usr/sbin/pgbouncer";

pub struct Pooler {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Pooler {
    /// In this `pool_mode`.
    pub fn start(postgres: &Postgres, mode: &str) -> Self {
        install_if_missing(PROGRAM, "pgbouncer");
        assert!(
            std::path::Path::new(PROGRAM).exists(),
            "PgBouncer is needed: install Debian's package pgbouncer"
        );
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let config = folder.path().join("pgbouncer.ini");
        let server = postgres.address.port();
        let text = format!(
            "[databases]\npostgres = host=127.0.0.1 port={server} dbname=postgres \
             user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type \
             = any\npool_mode = {mode}\ndefault_pool_size = 20\nunix_socket_dir =\n\
             ignore_startup_parameters = extra_float_digits\n"
        );
        std::fs::write(&config, text).unwrap();
        give_to_postgres(folder.path());
        let mut command = Command::new(PROGRAM);
        command.arg(&config).current_dir("/");
        if is_root() {
            let (user, group) = postgres_user();
            command.uid(user).gid(group);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        wait_until("PgBouncer", || TcpStream::connect(address).is_ok());
        Self { process, address, _folder: folder }
    }

    pub fn url(&self) -> String {
        url(self.address)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        send_signal("KILL", &[self.process.id()]);
        let _ = self.process.wait();
    }
}
