//! What no stream tells: challenges are looked up when a stream begins, and when they have run out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use super::{BATCH_MAX, Payments, RAN_OUT_MARGIN, ran_out};
use crate::ledger::accounts::Challenge;
use crate::lightning::InvoiceState;
use crate::lightning::error::{NodeError, NodeErrorKind};
use crate::time::UnixTime;

/// How long a stream that was asked for has to go without an error until it counts as there: LND
/// says nothing until the first payment.
const SETTLED_IN: Duration = Duration::from_secs(1);

/// How often challenges that have run out are looked up, and how many at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
const SWEEP_MAX: u32 = 500;

/// How long after it ran out a challenge is given up of which the node still says that it may be
/// paid. Should it be, it counts all the same.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// How soon all open challenges are looked up again, and then ever less often, until the stream has
/// told of a payment.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// How often it is looked whether another instance has found the index to be another node's.
const INDEX_INTERVAL: Duration = Duration::from_secs(10);

/// Most challenges that are looked up when the stream begins; more can hardly be open.
const CATCH_UP_MAX: u32 = 50_000;

/// Look-ups under way at once in the background; those for clients have their own.
const LOOK_UPS_MAX: usize = 4;

impl Payments {
    /// Looks up what is open, now that the stream tells of everything later; again and again until
    /// it has told of something: with an index that is another node's it never would.
    pub(super) async fn catch_up(self: &Arc<Self>, index: u64, has_told: &AtomicBool) -> NodeError {
        sleep(SETTLED_IN).await;
        let mut pause = FIRST_PAUSE;
        loop {
            while self.node.state().is_err() {
                sleep(SETTLED_IN).await;
            }
            match self.ledger.open_challenges(None, CATCH_UP_MAX).await {
                Ok(open) => match self.look_up_all(open).await {
                    Ok(()) => {}
                    Err(trouble) => return trouble,
                },
                Err(error) => return NodeError::other(error.to_string()),
            }
            let again = Instant::now() + pause;
            pause = (pause * 2).min(LAST_PAUSE);
            loop {
                if self.begins_anew.swap(false, Ordering::Relaxed) {
                    return NodeError::other("the saved index of the stream was another node's");
                }
                if !self.unwritten.load(Ordering::Relaxed) {
                    self.set_state(Ok(()));
                }
                sleep(INDEX_INTERVAL).await;
                // Another instance has found out.
                let now = self.ledger.settle_index(Arc::clone(&self.node_name)).await;
                if now.is_ok_and(|now| now < index) {
                    return NodeError::other("the saved index of the stream was set back");
                }
                // Without an index, the stream tells of everything.
                if index > 0 && !has_told.load(Ordering::Relaxed) && Instant::now() >= again {
                    break;
                }
            }
        }
    }

    /// Looks challenges up that have run out: paid in the last moment, or never.
    pub(super) async fn sweep(self: &Arc<Self>) {
        loop {
            sleep(SWEEP_INTERVAL).await;
            if self.node.state().is_err() || self.state().is_err() {
                continue;
            }
            let before = UnixTime::now().minus(RAN_OUT_MARGIN).seconds();
            if let Ok(ran_out) = self.ledger.open_challenges(Some(before), SWEEP_MAX).await {
                // What fails is looked up again in the next round.
                let _ = self.look_up_all(ran_out).await;
            }
        }
    }

    /// Looks up, and closes what certainly wasn't paid. Ends with the first trouble of the node's.
    async fn look_up_all(self: &Arc<Self>, challenges: Vec<Challenge>) -> Result<(), NodeError> {
        let mut under_way = JoinSet::new();
        let (mut never_paid, mut trouble) = (Vec::new(), None);
        let mut challenges = challenges.into_iter();
        loop {
            while under_way.len() < LOOK_UPS_MAX && trouble.is_none() {
                let Some(challenge) = challenges.next() else { break };
                let payments = Arc::clone(self);
                under_way.spawn(async move {
                    payments.is_over(&challenge).await.map(|over| over.then_some(challenge.hash))
                });
            }
            match under_way.join_next().await {
                None => break,
                Some(Ok(Ok(gone))) => never_paid.extend(gone),
                Some(Ok(Err(why))) => trouble = Some(why),
                Some(Err(_)) => {}
            }
        }
        for some in never_paid.chunks(BATCH_MAX) {
            if let Err(error) = self.ledger.close(some.to_vec()).await {
                warn!(%error, "challenges that ran out could not be closed yet");
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Whether its invoice can't be paid any more and wasn't.
    async fn is_over(&self, challenge: &Challenge) -> Result<bool, NodeError> {
        loop {
            match self.find(challenge.hash).await {
                Ok(InvoiceState::Canceled) => return Ok(true),
                Ok(InvoiceState::Unknown) => return Ok(ran_out(challenge.expires)),
                Ok(InvoiceState::Settled(_)) => return Ok(false),
                Ok(InvoiceState::Open { expires, .. }) => {
                    return Ok(expires.plus(GIVEN_UP_AFTER) < UnixTime::now());
                }
                Ok(InvoiceState::Accepted) => {
                    return Ok(challenge.expires.plus(GIVEN_UP_AFTER) < UnixTime::now());
                }
                // The look-ups of an earlier round; they end soon.
                Err(error) if error.kind() == NodeErrorKind::Busy => {
                    sleep(Duration::from_millis(100)).await
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }
}
