//! Ports for programs that can't be told to take any that is free.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the system gives to connections: some programs take theirs seconds later.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// A port that nobody has, and that this process gives once.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Test programs that run side by side begin at other places.
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT)).unwrap();
    loop {
        let offset = (u32::from(start) + u32::from(GIVEN.fetch_add(1, Ordering::Relaxed)))
            % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
