//! How things stand, in the line that `systemctl status` shows: kept true while Farebox runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::notify;
use crate::ops::Ops;
use crate::ops::reload::{ReloadFailed, Reloaded};

/// How often it is looked whether something has changed.
const INTERVAL: Duration = Duration::from_secs(1);

/// What systemd is told of it.
pub(super) struct Standing {
    ops: Arc<Ops>,
    /// What came of the last reload.
    reload: Mutex<Option<String>>,
    told: Mutex<String>,
}

impl Standing {
    /// As `ops` sees it.
    pub(super) fn new(ops: Arc<Ops>) -> Self {
        Self { ops, reload: Mutex::default(), told: Mutex::default() }
    }

    /// The line: what is wrong, or that nothing is, and what came of the last reload.
    pub(super) fn line(&self) -> String {
        let reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner).clone();
        [Some(self.ops.in_a_line()), reload].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// A reload has ended.
    pub(super) fn reloaded(&self, ended: &Result<Reloaded, ReloadFailed>) {
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome(ended));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = self.line();
        notify::reloaded(&told);
    }

    /// Tells systemd of each change, for as long as it is polled.
    pub(super) async fn keep_told(self: Arc<Self>) {
        while !self.ops.stopping.is_cancelled() {
            self.tell();
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let line = self.line();
        if line != *told {
            notify::stands(&line);
            *told = line;
        }
    }
}

fn outcome(ended: &Result<Reloaded, ReloadFailed>) -> String {
    match ended {
        Ok(reloaded) if reloaded.needs_restart.is_empty() => "the config was reloaded".to_owned(),
        Ok(reloaded) => format!(
            "the config was reloaded, but a restart has to take up {}",
            reloaded.needs_restart.join(", ")
        ),
        Err(_) => "the last reload failed and changed nothing".to_owned(),
    }
}
