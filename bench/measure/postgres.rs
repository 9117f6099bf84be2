//! PostgreSQL, where its programs are.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::processes::Process;

/// A server of its own, if its programs are there.
pub fn start(folder: &Path, port: u16) -> Option<(Process, String)> {
    let bin = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .max()?;
    let data = folder.join("postgres");
    let prepare = format!(
        "chmod 755 {folder} && mkdir {data} && chown postgres {data} && setpriv --reuid postgres \
         --regid postgres --clear-groups {bin}/initdb -D {data} -A trust -U postgres >/dev/null",
        folder = folder.display(),
        data = data.display(),
        bin = bin.display()
    );
    Command::new("sh")
        .args(["-c", &prepare])
        .status()
        .ok()
        .filter(std::process::ExitStatus::success)?;
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"])
        .arg(bin.join("postgres"));
    command.arg("-D").arg(&data).args([
        "-p",
        &port.to_string(),
        "-c",
        "listen_addresses=127.0.0.1",
        "-k",
        "",
    ]);
    Some((
        Process::start(command, &folder.join("postgres.log")),
        format!("postgresql://postgres@127.0.0.1:{port}/postgres"),
    ))
}
