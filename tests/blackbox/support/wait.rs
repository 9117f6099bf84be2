//! Waits for conditions, and for packages.

use std::time::{Duration, Instant};

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

/// Installs a Debian package where one of its files is missing and we may; the caller says what is
/// needed if it still is.
pub fn install_if_missing(file: &str, packages: &str) {
    // Tests run side by side, apt-get does not.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let is_root =
        std::process::Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if is_root && !std::path::Path::new(file).exists() {
        let script = format!(
            "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq {packages}"
        );
        let installed = std::process::Command::new("sh")
            .arg("-c")
            .arg(&script)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(installed.is_ok_and(|status| status.success()), "{script}");
    }
}
