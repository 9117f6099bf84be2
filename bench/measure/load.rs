//! The load: wrk where one request is repeated, and a generator of our own where each has a ticket
//! of its own, or must be answered 402.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;

/// What a load came to.
#[derive(Clone, Copy, Default, Debug)]
pub struct Outcome {
    pub requests: u64,
    pub seconds: f64,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
}

/// Repeats one request on so many connections.
pub async fn wrk(
    url: &str,
    connections: u32,
    seconds: f64,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Outcome {
    let script = std::env::temp_dir().join(format!("farebox-wrk-{}.lua", std::process::id()));
    let mut lua = String::new();
    if let Some(body) = body {
        lua.push_str(&format!("wrk.method = \"POST\"\nwrk.body = [[{body}]]\n"));
    }
    for (name, value) in headers {
        lua.push_str(&format!("wrk.headers[\"{name}\"] = \"{value}\"\n"));
    }
    lua.push_str(
        "done = function(s, l, r) io.write(string.format(\"RESULT %d %f %f %f %d\\n\", \
         s.requests, s.duration / 1e6, l:percentile(50), \
         l:percentile(99), s.errors.status + s.errors.connect + s.errors.read + s.errors.write + \
         s.errors.timeout)) end\n",
    );
    std::fs::write(&script, lua).unwrap();
    let mut command = Command::new("wrk");
    command
        .args([
            "-t1",
            &format!("-c{connections}"),
            &format!("-d{}s", seconds.ceil()),
            "--latency",
            "-s",
        ])
        .arg(&script)
        .arg(url);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("RESULT "))
        .unwrap_or_else(|| panic!("wrk: {said}"));
    let fields: Vec<f64> = line.split(' ').map(|field| field.parse().unwrap()).collect();
    assert!(fields[4] == 0.0, "{url}: {} answers were not 2xx, or did not come", fields[4]);
    Outcome { requests: fields[0] as u64, seconds: fields[1], p50: fields[2], p99: fields[3] }
}

/// Where and how to send.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub from: Option<std::net::IpAddr>,
    /// With the roots to verify by.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub http2: bool,
}

/// A connection of ours.
pub enum Sender {
    One(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    pub async fn connect(target: &Target) -> Self {
        let socket = match target.from {
            None => TcpStream::connect(target.address).await.unwrap(),
            Some(from) => {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.bind(SocketAddr::new(from, 0)).unwrap();
                socket.connect(target.address).await.unwrap()
            }
        };
        socket.set_nodelay(true).unwrap();
        match &target.tls {
            None => Self::over(socket, false).await,
            Some(config) => {
                let mut config = (**config).clone();
                config.alpn_protocols =
                    vec![if target.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
                let name = ServerName::try_from("localhost").unwrap();
                let stream =
                    TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
                Self::over(stream, target.http2).await
            }
        }
    }

    async fn over<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static>(
        stream: S,
        http2: bool,
    ) -> Self {
        if http2 {
            let (sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            Self::Two(sender)
        } else {
            let (sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            Self::One(sender)
        }
    }

    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> (u16, Bytes) {
        let response: Response<_> = match self {
            Self::One(sender) => sender.send_request(request).await.unwrap(),
            Self::Two(sender) => {
                *request.uri_mut() = format!("https://localhost{}", request.uri()).parse().unwrap();
                request.headers_mut().remove("host");
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
        };
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }
}

/// Sends what `next` makes until it gives nothing, on so many connections; with `pace`, no faster
/// than one in so long. Each answer has to have the expected status.
pub async fn ours(
    target: &Target,
    connections: usize,
    expected: &[u16],
    pace: Option<Duration>,
    next: impl Fn() -> Option<Request<Full<Bytes>>> + 'static,
) -> Outcome {
    let (next, times, ticks) =
        (Rc::new(next), Rc::new(RefCell::new(Vec::<u64>::new())), Rc::new(Cell::new(0_u32)));
    let expected: Rc<[u16]> = expected.into();
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(Sender::connect(target).await);
    }
    let (local, started) = (LocalSet::new(), Instant::now());
    for mut sender in senders {
        let (next, times, ticks, expected) =
            (Rc::clone(&next), Rc::clone(&times), Rc::clone(&ticks), Rc::clone(&expected));
        local.spawn_local(async move {
            loop {
                if let Some(pace) = pace {
                    let turn = ticks.get();
                    ticks.set(turn + 1);
                    tokio::time::sleep_until((started + pace * turn).into()).await;
                }
                let Some(request) = next() else { return };
                let sent = Instant::now();
                let (status, body) = sender.send(request).await;
                assert!(
                    expected.contains(&status),
                    "{status} instead of {expected:?}: {}",
                    String::from_utf8_lossy(&body)
                );
                times.borrow_mut().push(sent.elapsed().as_micros() as u64);
            }
        });
    }
    local.await;
    let seconds = started.elapsed().as_secs_f64();
    let mut times = times.take();
    times.sort_unstable();
    let at = |part: f64| {
        times
            .get(((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0) as f64
    };
    Outcome { requests: times.len() as u64, seconds, p50: at(0.5), p99: at(0.99) }
}
