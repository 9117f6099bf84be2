//! What systemd is told (`sd_notify(3)`); nothing where it didn't start this process.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// From here on requests are served.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// How things stand has changed.
pub(super) fn stands(status: &str) {
    tell(&[NotifyState::Status(&one_line(status))]);
}

/// The config is being read again.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It was, and this came of it.
pub(super) fn reloaded(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// What stands in a line of its own would be an order to systemd, whoever wrote it.
fn one_line(status: &str) -> String {
    status.replace(char::is_control, " ")
}

/// What is under way ends.
pub(super) fn stopping(drain: Duration) {
    let longest = drain.saturating_add(Duration::from_secs(10)).as_micros();
    let longest = u32::try_from(longest).unwrap_or(u32::MAX);
    let status = NotifyState::Status("stopping: no new connections, what is under way ends");
    tell(&[NotifyState::Stopping, status, NotifyState::ExtendTimeoutUsec(longest)]);
}

/// Tells systemd again and again that this process is alive, for as long as it is polled: from the
/// runtime that serves requests, so that it stands still when that does.
pub(super) async fn keep_alive() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let pause = (limit / 3).max(Duration::from_millis(100));
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(pause).await;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd can't be told how things stand");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_no_order_to_systemd() {
        assert_eq!(
            one_line("LND says: no\nMAINPID=1\r\nREADY=1"),
            "LND says: no MAINPID=1  READY=1"
        );
    }
}
