//! What the tests share. A test waits for a condition, never for a time; binds port 0; leaves nothing behind.

pub mod http;
pub mod postgres;
pub mod process;
pub mod upstream;
pub mod world;

use std::time::{Duration, Instant};

pub use http::Response;
pub use upstream::Behaviour;
pub use world::{Challenge, SMS, World};

/// Waits until `condition` gives something, and fails the test if it never does.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
