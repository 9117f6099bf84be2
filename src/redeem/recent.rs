//! Answers that were delivered a while ago, in memory: a cache in front of the ledger.

use std::sync::Arc;
use std::time::Duration;

use crate::ledger::stored_answer::StoredAnswer;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// An answer that was delivered a while ago, in memory.
#[derive(Clone)]
pub struct Recent {
    request: RequestDigest,
    at: UnixTime,
    answer: Arc<StoredAnswer>,
}

impl Recent {
    /// Delivered just now.
    pub(crate) fn new(request: RequestDigest, answer: StoredAnswer) -> Self {
        Self { request, at: UnixTime::now(), answer: Arc::new(answer) }
    }

    /// The answer, where it is this request's and not too old to be given back.
    pub(crate) fn for_request(
        self,
        request: RequestDigest,
        replay: Duration,
    ) -> Option<Arc<StoredAnswer>> {
        let age = UnixTime::now().since(self.at);
        let is_young = age.is_none_or(|age| age <= replay);
        (is_young && self.request == request).then_some(self.answer)
    }
}
