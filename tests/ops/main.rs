//! Farebox as an operator runs it: certificates by a real authority, and what else needs real parts
//! that not every machine has. Needs the feature `real-ops`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

#[allow(dead_code, unused_imports)]
#[path = "../blackbox/support/mod.rs"]
mod support;

mod acme;
mod alerts;
mod debian;
mod docker;
mod jasmin;
mod package;
mod pebble;
mod prometheus;
mod pypi;
mod quick_start;
mod rolling;
mod traces;
mod unit;

/// Says that a load is over, however what it is for ends: else a test that fails would never end.
struct Over<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

/// A certificate for localhost, and its key.
fn tls_files(folder: &std::path::Path, name: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let signed = params.self_signed(&key).unwrap();
    std::fs::write(folder.join(format!("{name}.crt")), signed.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}
