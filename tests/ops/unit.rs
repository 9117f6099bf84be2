//! The units, as Debian 12's systemd reads them, and the load balancer's example, as HAProxy does.

use std::path::Path;
use std::process::Command;

use crate::support::install_if_missing;

fn run(program: &str, arguments: &[&str], folder: &Path) -> (bool, String) {
    let ended = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_little_that_they_could_do() {
    install_if_missing("/usr/bin/systemd-analyze", "systemd");
    let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(deployed.join(name)).unwrap();
    // The binary isn't installed here, nor are the units that it waits for.
    let unit = read("farebox.service");
    let unit = unit.replace("/usr/bin/farebox", env!("CARGO_BIN_EXE_farebox"));
    std::fs::write(folder.path().join("farebox.service"), unit).unwrap();
    std::fs::write(folder.path().join("farebox.socket"), read("farebox.socket")).unwrap();
    let verify = ["verify", "--man=no", "./farebox.service", "./farebox.socket"];
    let (is_well, said) = run("systemd-analyze", &verify, folder.path());
    assert!(is_well && said.is_empty(), "{said}");
    // In tenths: 17 when this was written.
    let secure = ["security", "--offline=true", "--threshold=20", "./farebox.service"];
    let (is_well, said) = run("systemd-analyze", &secure, folder.path());
    assert!(is_well, "{said}");
}
