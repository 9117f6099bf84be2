//! The processes that are measured and those around them; each ends with this one.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// tokio's own name for it, which Farebox and the bare programs go by.
const WORKERS: &str = "TOKIO_WORKER_THREADS";

/// A process with its children.
pub struct Process {
    child: Child,
    graceful: bool,
}

impl Process {
    pub fn start(mut command: Command, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, graceful: false }
    }

    fn all(&self) -> Vec<u32> {
        let own = self.child.id();
        let children =
            fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        std::iter::once(own)
            .chain(children.split_whitespace().filter_map(|id| id.parse().ok()))
            .collect()
    }

    /// User plus system time so far, in microseconds. The kernel counts in hundredths of a second.
    pub fn cpu(&self) -> u64 {
        let ticks = |id: u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let fields: Vec<u64> = stat
                .rsplit(") ")
                .next()
                .unwrap_or("")
                .split(' ')
                .map(|field| field.parse().unwrap_or(0))
                .collect();
            fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0)
        };
        self.all().into_iter().map(ticks).sum::<u64>() * 10_000
    }

    /// The most memory that it had at once, in KiB.
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that it has, in KiB.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> u64 {
        let of = |id: u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let line = status.lines().find(|line| line.starts_with(field)).map(str::to_owned);
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0)
        };
        self.all().into_iter().map(of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx ends its workers only if it is asked to end.
        let name = if self.graceful { "TERM" } else { "KILL" };
        let _ =
            Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

pub fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub async fn until_it_listens(port: u16) {
    let started = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing listens at {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An nginx with so many workers.
fn nginx(folder: &Path, name: &str, workers: usize, servers: &str) -> Process {
    let config = format!(
        "daemon off; worker_processes {workers}; pid {folder}/{name}.pid; error_log \
         {folder}/{name}.err;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log {folder}/{name}-access.log; keepalive_requests 100000000; \
         client_body_temp_path {folder}/{name}-b; proxy_temp_path {folder}/{name}-p;\n\
         fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path \
         {folder}/{name}-s;\n{servers}\n}}\n",
        folder = folder.display(),
    );
    let path = folder.join(format!("{name}.conf"));
    fs::write(&path, config).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(&path).arg("-e").arg(folder.join(format!("{name}.err")));
    let mut process = Process::start(command, &folder.join(format!("{name}.log")));
    process.graceful = true;
    process
}

/// The operator's backend: a small JSON, from nginx too.
pub fn upstream(folder: &Path, port: u16) -> Process {
    let answer = "{\"id\":\"0123456789abcdef\",\"status\":\"queued\"}";
    nginx(
        folder,
        "upstream",
        1,
        &format!(
            "server {{ listen 127.0.0.1:{port} reuseport; location / {{ default_type \
             application/json; return 200 '{answer}'; }} }}"
        ),
    )
}

/// What Farebox is measured against: the same forwarding, in the clear and over TLS, with as many
/// workers as Farebox has threads.
pub fn proxy(folder: &Path, port: u16, tls_port: u16, upstream: u16) -> Process {
    let location = "location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header \
                    Connection \"\"; proxy_set_header Host $host; }";
    let servers = format!(
        "upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; \
         }}\n\
         server {{ listen 127.0.0.1:{port}; {location} }}\n\
         server {{ listen 127.0.0.1:{tls_port} ssl http2; ssl_certificate {folder}/tls.crt; \
         ssl_certificate_key {folder}/tls.key;\n\
         ssl_protocols TLSv1.3; http2_max_requests 100000000; {location} }}",
        folder = folder.display(),
    );
    nginx(folder, "proxy", workers(), &servers)
}

/// How many threads each of the measured proxies has: one per processor, as by default, or as many
/// as the variable says.
pub fn workers() -> usize {
    let set = std::env::var(WORKERS).ok().and_then(|set| set.parse().ok());
    set.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// A folder that goes with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("farebox-bench-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
