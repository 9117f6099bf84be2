//! Pages in Chromium, and descriptions before the programs that read them. Needs the feature
//! `real-browser`; installs Chromium, Node and what npm and PyPI have, where they are missing.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that is installed from PyPI.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Suites that node runs, one after the other: two cores hold no more.
const SUITES: &[&str] = &[
    "purchases.test.mjs",
    "states.test.mjs",
    "messages.test.mjs",
    "accessible.test.mjs",
    "descriptions.test.mjs",
    "dashboard.test.mjs",
];

#[test]
fn pages_and_descriptions() {
    install_debian_packages();
    let tools = node_modules();
    let schemathesis = schemathesis();
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(own_folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "mjs") {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    std::os::unix::fs::symlink(tools.join("node_modules"), folder.path().join("node_modules"))
        .unwrap();
    let mut node = Command::new("node");
    node.arg("--test").arg("--test-concurrency=1").args(SUITES).current_dir(folder.path());
    node.env("FAREBOX", env!("CARGO_BIN_EXE_farebox")).env("SCHEMATHESIS", schemathesis);
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    node.env("EXAMPLES", top.join("docs/examples"));
    node.env("DASHBOARD", top.join("deploy/grafana/farebox.json"));
    assert!(node.status().unwrap().success(), "a suite failed: see above");
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command:?}: {status:?}");
}

/// As root; else it says what is missing.
fn install_debian_packages() {
    let wanted =
        [("chromium", "chromium"), ("node", "nodejs"), ("npm", "npm"), ("python3", "python3")];
    let is_there = |program: &str| {
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap()
    };
    let mut missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| !is_there(program).status.success())
        .map(|(_, package)| *package)
        .collect();
    if !Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .output()
        .unwrap()
        .status
        .success()
    {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return;
    }
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    assert!(is_root, "install these Debian packages: {}", missing.join(" "));
    run(Command::new("apt-get").args(["update", "-qq"]));
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"));
}

fn cache() -> PathBuf {
    let home = std::env::var_os("HOME").unwrap();
    Path::new(&home).join(".cache/farebox")
}

/// What npm has, in a folder that is named after the lock file.
fn node_modules() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    let lock = std::fs::read(own_folder().join("package-lock.json")).unwrap();
    lock.hash(&mut hasher);
    let folder = cache().join(format!("browser-{:016x}", hasher.finish()));
    if folder.join("done").exists() {
        return folder;
    }
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(own_folder().join(name), folder.join(name)).unwrap();
    }
    let mut npm = Command::new("npm");
    run(npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder));
    std::fs::write(folder.join("done"), "").unwrap();
    folder
}

/// The program `schemathesis`, in an environment of its own.
fn schemathesis() -> PathBuf {
    let folder = cache().join(SCHEMATHESIS.replace("==", "-"));
    if !folder.join("done").exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(folder.join("bin/pip")).args(["install", "-q", SCHEMATHESIS]));
        std::fs::write(folder.join("done"), "").unwrap();
    }
    folder.join("bin/schemathesis")
}
