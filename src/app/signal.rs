//! The signals that a process is sent.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use super::error::StartError;

/// Those that end a process in order.
struct Stopping {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Stopping {
    fn listen() -> Result<Self, StartError> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

/// What `serve` hears. From here on no signal but SIGKILL ends it without a drain.
pub struct ServeSignals {
    stopping: Stopping,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

/// What a process is told to do.
pub enum Order {
    /// To stop, by SIGTERM, SIGINT or SIGQUIT.
    Stop,
    /// To read its config again, by SIGHUP.
    Reload,
}

impl ServeSignals {
    /// Begins to listen.
    pub fn listen() -> Result<Self, StartError> {
        Ok(Self {
            stopping: Stopping::listen()?,
            hangup: listen(SignalKind::hangup())?,
            user1: listen(SignalKind::user_defined1())?,
            user2: listen(SignalKind::user_defined2())?,
        })
    }

    /// The next that means something; others are said and ignored.
    pub async fn next(&mut self) -> Order {
        loop {
            let ignored = tokio::select! {
                () = self.stopping.received() => return Order::Stop,
                _ = self.hangup.recv() => return Order::Reload,
                _ = self.user1.recv() => "SIGUSR1",
                _ = self.user2.recv() => "SIGUSR2",
            };
            warn!("{ignored} is ignored");
        }
    }

    /// Ends with the first order to stop: before anything is served, there is nothing to reload.
    pub async fn stopped(&mut self) {
        while matches!(self.next().await, Order::Reload) {}
    }
}

/// Ends with the first SIGTERM, SIGINT or SIGQUIT: for programs that belong to a terminal, and end
/// with it.
pub async fn stop_signal() -> Result<(), StartError> {
    Stopping::listen()?.received().await;
    Ok(())
}

fn listen(kind: SignalKind) -> Result<Signal, StartError> {
    let what = "signals can't be handled";
    signal(kind).map_err(|source| StartError::System { what, source })
}
