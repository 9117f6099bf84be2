//! The signals that end the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::StartError;

/// Ends with the first SIGTERM or SIGINT.
pub async fn stop_signal() -> Result<(), StartError> {
    let (mut terminate, mut interrupt) =
        (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn handler(kind: SignalKind) -> Result<Signal, StartError> {
    let what = "signals can't be handled";
    signal(kind).map_err(|source| StartError::System { what, source })
}
