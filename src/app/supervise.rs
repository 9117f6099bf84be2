//! What goes on beside the requests, begun again where it panics.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::error;

/// Runs a part that goes on beside the requests for as long as the process does, and begins it
/// again should it panic: else sales would go on with nobody looking at the node, say.
pub(super) fn supervise<P, F>(name: &'static str, part: P, run: impl Fn(P) -> F + Send + 'static)
where
    P: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    supervise_until(CancellationToken::new(), name, part, run);
}

/// The same until `stop`.
pub(super) fn supervise_until<P, F>(
    stop: CancellationToken,
    name: &'static str,
    part: P,
    run: impl Fn(P) -> F + Send + 'static,
) where
    P: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            let running = stop.clone().run_until_cancelled_owned(run(part.clone()));
            match tokio::spawn(running).await {
                Err(ended) if ended.is_panic() => {}
                _ => return,
            }
            error!(
                "{name}: what looks after it has panicked, which is a fault of Farebox's; it \
                 begins again"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_panics_begins_anew() {
        let runs = Arc::new(AtomicU32::new(0));
        supervise("a test", Arc::clone(&runs), |runs| async move {
            assert!(runs.fetch_add(1, Ordering::SeqCst) >= 2, "on purpose");
        });
        while runs.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
