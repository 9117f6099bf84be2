//! Promise 7: clients that take their time: one that never finishes its head is cut, one that reads
//! slowly is not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Behaviour, World};

/// The limit is 20 s, and nobody is cut before.
#[test]
fn a_head_that_trickles_and_a_silent_connection_are_cut() {
    let world = World::new();
    let mut trickling = TcpStream::connect(world.address).unwrap();
    let mut silent = TcpStream::connect(world.address).unwrap();
    trickling.write_all(b"GET /status HTTP/1.1\r\nHost: gate.test\r\nX: ").unwrap();
    trickling.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let started = Instant::now();
    loop {
        let written = trickling.write_all(b"a");
        match trickling.read(&mut [0; 1024]) {
            Err(error)
                if written.is_ok()
                    && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
        assert!(started.elapsed() < Duration::from_secs(60), "it is never cut");
    }
    assert!(started.elapsed() >= Duration::from_secs(20), "it was cut too soon");
    silent.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0, "the silent one is cut too");
}

/// An answer larger than all the buffers between, of which the client takes a little at a time.
#[test]
fn a_slow_reader_gets_all_of_its_answer() {
    const BODY: usize = 24 << 20;
    let world = World::new();
    world.upstream.behave(Behaviour::Answer { status: 200, headers: "", body: vec![b'x'; BODY] });
    let mut reader = TcpStream::connect(world.address).unwrap();
    reader
        .write_all(b"GET /status HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
    for _ in 0..26 {
        std::thread::sleep(Duration::from_secs(1));
        read += reader.read(&mut buffer).unwrap();
    }
    while let Ok(more @ 1..) = reader.read(&mut buffer) {
        read += more;
    }
    assert!(read > BODY, "{read} bytes of {BODY} and a head");
}
