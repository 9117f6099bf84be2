//! Signals to other processes.

use std::process::Command;

use super::wait_until;

/// Sends a signal to some processes. One that stops them returns when all their threads stand
/// still: until then they may answer what comes after.
pub fn send_signal(name: &str, ids: &[u32]) {
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    // A child of a server may have ended meanwhile.
    Command::new("sh")
        .arg("-c")
        .arg(format!("kill -{name} {} 2>/dev/null", list.join(" ")))
        .status()
        .unwrap();
    if name == "STOP" {
        wait_until("the processes to stand still", || ids.iter().all(|id| stands_still(*id)));
    }
}

/// Whether every thread of a process is stopped, or the process is gone.
fn stands_still(id: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else { return true };
    tasks.flatten().all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']))
    })
}
