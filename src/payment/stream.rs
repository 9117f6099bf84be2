//! The node's stream of payments, written down as it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{BATCH_MAX, Payments, settled_invoice};
use crate::ledger::accounts::NewlyPaid;
use crate::lightning::error::NodeError;
use crate::lightning::{Payment, PaymentStream};

/// Pauses between two tries at the stream: doubling from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(15);

fn ended() -> NodeError {
    NodeError::other("the node has ended the stream of payments")
}

impl Payments {
    /// Follows the stream, again and again.
    pub(super) async fn follow(self: &Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            // The reader that said so may have been dropped before it could write. What the stream
            // told is told again.
            self.unwritten.store(false, Ordering::Relaxed);
            let why = match self.ledger.settle_index(Arc::clone(&self.node_name)).await {
                Ok(index) => {
                    let (stream, has_told) = (self.node.payments(index), AtomicBool::new(false));
                    tokio::select! {
                        ended = self.read(stream, &has_told) => ended,
                        anew = self.catch_up(index, &has_told) => anew,
                    }
                }
                Err(error) => NodeError::other(error.to_string()),
            };
            self.set_state(Err(why));
            if started.elapsed() > LAST_PAUSE {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Writes down what comes, in its order, until the stream ends.
    async fn read(&self, mut stream: Box<dyn PaymentStream>, has_told: &AtomicBool) -> NodeError {
        loop {
            let first = match stream.next().await {
                Ok(Some(payment)) => {
                    has_told.store(true, Ordering::Relaxed);
                    payment
                }
                Ok(None) => return ended(),
                Err(trouble) => return trouble,
            };
            let (mut batch, mut end) = (vec![first], None);
            while batch.len() < BATCH_MAX && end.is_none() {
                match timeout(Duration::ZERO, stream.next()).await {
                    Ok(Ok(Some(payment))) => batch.push(payment),
                    Ok(Ok(None)) => end = Some(ended()),
                    Ok(Err(trouble)) => end = Some(trouble),
                    // Nothing more for now.
                    Err(_) => break,
                }
            }
            self.write_down(&batch).await;
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Again and again until it is written: the stream gives each payment once.
    async fn write_down(&self, batch: &[Payment]) {
        let recorded = |news: &[NewlyPaid]| {
            self.unwritten.store(false, Ordering::Relaxed);
            for news in news {
                let payment = batch.iter().find(|payment| payment.hash == news.hash);
                self.count_payment(news, payment.map_or(0, |payment| payment.msat));
            }
            let is_news = |payment: &&Payment| news.iter().any(|news| news.hash == payment.hash);
            for payment in batch.iter().filter(is_news) {
                self.known.insert(payment.hash, payment.preimage, 1);
            }
        };
        loop {
            // A payment comes after its challenge was handed out, and so after that was noted in
            // the journal.
            if self.ledger.flush().await {
                let settled = batch.iter().map(settled_invoice).collect();
                match self.ledger.paid(Arc::clone(&self.node_name), settled, recorded).await {
                    Ok(()) => return,
                    Err(error) => {
                        warn!(%error, "payments could not be written down; they are tried again");
                    }
                }
            }
            // Until then nobody may take the ledger's word for what was paid.
            self.unwritten.store(true, Ordering::Relaxed);
            self.set_state(Err(NodeError::other("payments can't be written down")));
            sleep(Duration::from_secs(1)).await;
        }
    }
}
