//! A scripted upstream on raw sockets: it answers, refuses, stalls, dies before or after reading,
//! and counts what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[derive(Clone)]
pub enum Behaviour {
    /// Status line and headers after the version, then the body.
    Answer { status: u16, headers: &'static str, body: Vec<u8> },
    /// Reads the request and says nothing until `release`.
    Stall,
    /// Closes the connection without reading.
    CloseBeforeReading,
    /// Reads the request and closes.
    CloseAfterReading,
    /// Promises more body than it sends.
    CutShort,
    /// Exactly these bytes, and closes.
    Raw(&'static str),
    /// Exactly these bytes, and goes on.
    Bytes(Vec<u8>),
    /// Answers, and after this time once more, without being asked.
    Twice(Duration),
    /// By turns: takes it soon or a little later, refuses it, takes it and closes. What it refuses
    /// it marks with `x-refused`.
    Moody,
}

impl Behaviour {
    pub fn okay() -> Self {
        Self::status(200, "Okay")
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: "Content-Type: text/plain\r\n",
            body: body.as_bytes().to_vec(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    released: (Mutex<bool>, Condvar),
    listening: AtomicBool,
    /// Connections of an earlier age end as soon as they are used.
    age: AtomicUsize,
}

#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Behaviour::okay()),
            requests: Mutex::default(),
            released: (Mutex::new(false), Condvar::new()),
            listening: AtomicBool::new(true),
            age: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        accept(listener, Arc::clone(&shared));
        Self { address, shared }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// Lets what stalls answer `Okay`.
    pub fn release(&self) {
        *self.shared.released.0.lock().unwrap() = true;
        self.shared.released.1.notify_all();
    }

    /// From now on a connection that is open already takes a request and closes without an answer.
    pub fn spoil_open_connections(&self) {
        self.shared.age.fetch_add(1, Ordering::SeqCst);
    }

    /// Requests that were read whole.
    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// What was asked of it for money: all but the `GET`s of look-ups and of free services.
    pub fn posts(&self) -> Vec<Request> {
        let is_post = |request: &Request| request.line.starts_with("POST");
        self.requests().into_iter().filter(is_post).collect()
    }

    pub fn wait_until_asked(&self) {
        super::wait_until("the upstream to be asked", || self.count() == 1);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn last(&self) -> Request {
        self.requests().pop().unwrap()
    }

    /// Nobody listens any more.
    pub fn stop(&self) {
        self.shared.listening.store(false, Ordering::SeqCst);
        // Wakes the accepting thread, which then closes the listener.
        let _ = TcpStream::connect(self.address);
        super::wait_until("the upstream to be gone", || TcpStream::connect(self.address).is_err());
    }

    /// Listens again at the same address.
    pub fn start_again(&self) {
        self.shared.listening.store(true, Ordering::SeqCst);
        let listener =
            super::wait_for("the address to be free", || TcpListener::bind(self.address).ok());
        accept(listener, Arc::clone(&self.shared));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // The accepting thread holds one; another instance's world may hold a third.
        if Arc::strong_count(&self.shared) > 2 {
            return;
        }
        self.release();
        self.shared.listening.store(false, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if !shared.listening.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || connection(stream, &shared));
        }
    });
}

fn connection(stream: TcpStream, shared: &Shared) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut reader = BufReader::new(stream);
    let age = shared.age.load(Ordering::SeqCst);
    loop {
        // The connection of a health check has nothing to read.
        if matches!(*shared.behaviour.lock().unwrap(), Behaviour::CloseBeforeReading) {
            return;
        }
        let Some(mut request) = read(&mut reader) else { return };
        let turn = shared.requests.lock().unwrap().len() % 10;
        let moody = matches!(*shared.behaviour.lock().unwrap(), Behaviour::Moody);
        if moody && turn == 7 {
            request.headers.push(("x-refused".to_owned(), "1".to_owned()));
        }
        shared.requests.lock().unwrap().push(request);
        if shared.age.load(Ordering::SeqCst) != age {
            return;
        }
        let behaviour = shared.behaviour.lock().unwrap().clone();
        if answer(behaviour, turn, shared, reader.get_mut()).is_none() {
            return;
        }
    }
}

/// `None` if the connection ends with this.
fn answer(
    behaviour: Behaviour,
    turn: usize,
    shared: &Shared,
    stream: &mut TcpStream,
) -> Option<()> {
    const OKAY: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nOkay";
    const CUT: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 400\r\n\r\nOkay";
    let written = match behaviour {
        Behaviour::Answer { status, headers, body } => {
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: {length}\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &body].concat())
        }
        Behaviour::Stall => {
            let (released, changed) = &shared.released;
            drop(changed.wait_while(released.lock().unwrap(), |released| !*released).unwrap());
            stream.write_all(OKAY)
        }
        Behaviour::Moody if turn == 3 => return None,
        Behaviour::Moody if turn == 7 => {
            stream.write_all(b"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nno")
        }
        Behaviour::Moody => {
            std::thread::sleep(Duration::from_millis(turn as u64));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nOkay")
        }
        Behaviour::CutShort => {
            let _ = stream.write_all(CUT);
            return None;
        }
        Behaviour::Bytes(bytes) => stream.write_all(&bytes),
        Behaviour::Twice(pause) => {
            let _ = stream.write_all(OKAY);
            std::thread::sleep(pause);
            stream.write_all(b"HTTP/1.1 201 Unasked\r\nContent-Length: 7\r\n\r\nunasked")
        }
        Behaviour::Raw(bytes) => {
            let _ = stream.write_all(bytes.as_bytes());
            return None;
        }
        Behaviour::CloseAfterReading | Behaviour::CloseBeforeReading => return None,
    };
    written.ok()
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let line = head_line(reader)?;
    let mut headers = Vec::new();
    loop {
        let field = head_line(reader)?;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request { line, headers, body: Vec::new() };
    if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut request.body).ok()?;
    } else if request.header("transfer-encoding").is_some() {
        loop {
            let length = usize::from_str_radix(&head_line(reader)?, 16).ok()?;
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk).ok()?;
            request.body.extend_from_slice(&chunk[..length]);
            if length == 0 {
                break;
            }
        }
    }
    Some(request)
}

fn head_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}
