//! Whether an HTTP/1 client has ended its side of a connection. It may be gone, or only done with
//! sending, as `nc -N` is: from here the two look the same, so that one whose request was read
//! whole is answered all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::Notify;

/// One connection's.
pub struct SendEnd {
    /// Whether one side of it can end before the other: not with HTTP/2, which says so by itself.
    can_end: bool,
    /// Whether an end is kept from whoever reads: from the head of a request on, until it is known
    /// that nobody is owed an answer, or the answer went out.
    is_kept: AtomicBool,
    has_ended: AtomicBool,
    ended: Notify,
    /// Who would have been told of the end, had no answer been owed.
    untold: Mutex<Option<Waker>>,
}

impl SendEnd {
    /// Of a connection of which one side can end before the other, or not.
    pub fn new(can_end: bool) -> Self {
        Self {
            can_end,
            is_kept: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            ended: Notify::new(),
            untold: Mutex::default(),
        }
    }

    /// A request's head came. Whoever then reads its body asks for the end here; who doesn't wait
    /// for one that has ended its side says so by `let_go`.
    pub fn begin(&self) {
        self.is_kept.store(self.can_end, Ordering::Release);
    }

    /// The answer went out, or nobody who has ended its side is owed one.
    pub fn let_go(&self) {
        self.is_kept.store(false, Ordering::Release);
        if self.has_ended.load(Ordering::Acquire)
            && let Some(untold) = self.untold.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            untold.wake();
        }
    }

    /// The client has ended its side. Whether that is to be kept from whoever reads.
    pub fn keeps_end(&self, cx: &Context<'_>) -> bool {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_kept.load(Ordering::Acquire) {
            return false;
        }
        *untold = Some(cx.waker().clone());
        drop(untold);
        self.has_ended.store(true, Ordering::Release);
        self.ended.notify_waiters();
        // It may have been let go in between.
        self.is_kept.load(Ordering::Acquire)
    }

    /// Whether the client has ended its side while that was kept.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Once the client has ended its side: for what would be waited for long.
    pub async fn ended(&self) {
        let ended = self.ended.notified();
        if !self.has_ended() {
            ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_is_kept_until_the_answer_went_out() {
        let cx = Context::from_waker(Waker::noop());
        let end = SendEnd::new(true);
        assert!(!end.keeps_end(&cx) && !end.has_ended(), "nothing is owed");
        end.begin();
        let ((), kept) = tokio::join!(end.ended(), async { end.keeps_end(&cx) });
        assert!(kept && end.has_ended());
        end.ended().await;
        end.let_go();
        assert!(!end.keeps_end(&cx));
        let http2 = SendEnd::new(false);
        http2.begin();
        assert!(!http2.keeps_end(&cx));
    }
}
