//! Answers that were delivered a while ago, in memory: a cache in front of the ledger.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::FifoCache;
use crate::ledger::stored_answer::StoredAnswer;
use crate::payment_hash::PaymentHash;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// Bytes of delivered answers that are kept in memory.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// The answers, by their tickets. Bounded.
pub(super) struct RecentAnswers {
    answers: FifoCache<PaymentHash, Recent>,
    /// How long one is given back.
    replay: Duration,
}

#[derive(Clone)]
struct Recent {
    request: RequestDigest,
    at: UnixTime,
    answer: Arc<StoredAnswer>,
}

impl RecentAnswers {
    /// Gives an answer back for as long as `replay`.
    pub(super) fn new(replay: Duration) -> Self {
        Self { answers: FifoCache::new(BYTES_MAX), replay }
    }

    /// One that was delivered just now.
    pub(super) fn insert(&self, ticket: PaymentHash, request: RequestDigest, answer: StoredAnswer) {
        let weight = answer.weight();
        let recent = Recent { request, at: UnixTime::now(), answer: Arc::new(answer) };
        self.answers.insert(ticket, recent, weight);
    }

    /// The answer, where it is this request's and not too old to be given back.
    pub(super) fn get(
        &self,
        ticket: &PaymentHash,
        request: RequestDigest,
    ) -> Option<Arc<StoredAnswer>> {
        let recent = self.answers.get(ticket)?;
        let age = UnixTime::now().since(recent.at);
        let is_young = age.is_none_or(|age| age <= self.replay);
        (is_young && recent.request == request).then_some(recent.answer)
    }
}
