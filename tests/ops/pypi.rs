//! Programs that PyPI has.

use std::path::PathBuf;
use std::process::Command;

use crate::support::install_if_missing;

/// A Python with packages, each as `NAME==VERSION`, in the cache.
pub fn environment(packages: &[&str]) -> PathBuf {
    let cache = PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/farebox");
    let folder = cache.join(packages.join("-").replace("==", "-"));
    if !folder.join("done").exists() {
        let runs = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        if !runs(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
            install_if_missing("/usr/share/doc/python3-venv", "python3 python3-venv");
        }
        assert!(runs(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)));
        let mut pip = Command::new(folder.join("bin/pip"));
        assert!(runs(pip.args(["install", "-q"]).args(packages)), "{packages:?}");
        std::fs::write(folder.join("done"), "").unwrap();
    }
    folder
}
