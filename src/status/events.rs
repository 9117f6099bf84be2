//! A ticket's states as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Status;
use super::state::Standing;
use crate::answer::body::Body;
use crate::answer::problem::Problem;
use crate::answer::{Answer, problems};
use crate::code::Code;
use crate::ledger::changes::Subscription;
use crate::shares::ClientShare;
use crate::ticket::HeldTicket;

/// Longest life of a stream of events; a client that wants more asks again.
const STREAM_MAX: Duration = Duration::from_secs(3600);

/// How often a stream shows that it is alive.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

impl Status {
    /// An event for each state from now on, until one after which nothing comes.
    pub(super) async fn events(
        self: &Arc<Self>,
        held: HeldTicket,
        share: ClientShare,
    ) -> Result<Answer, Problem> {
        let changes = self.ledger.subscribe(held.ticket.payment_hash);
        let changes = changes.ok_or_else(problems::too_many_streams)?;
        let first = self.standing(&held).await?;
        let (sender, events) = mpsc::channel(4);
        let mut response = Response::new(Body::Events(events));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.hand_over(&held, first.status, headers).await;
        let sending = Arc::clone(self).send_events(held, first, changes, sender);
        tokio::spawn(async move {
            let _share = share;
            sending.await;
        });
        Ok(Answer { response, code: Code::Status })
    }

    async fn send_events(
        self: Arc<Self>,
        held: HeldTicket,
        first: Standing,
        mut changes: Subscription,
        sender: mpsc::Sender<Bytes>,
    ) {
        let end = Instant::now() + STREAM_MAX;
        let (mut told, mut standing, mut heard) = (None, first, Instant::now());
        loop {
            let text = if told != Some(standing) {
                told = Some(standing);
                format!("event: state\ndata: {}\n\n", self.body(&held, standing))
            } else if heard.elapsed() >= HEARTBEAT_INTERVAL {
                ":\n\n".to_owned()
            } else {
                String::new()
            };
            if !text.is_empty() {
                heard = Instant::now();
                if sender.send(text.into()).await.is_err() {
                    return;
                }
            }
            if standing.is_final() || Instant::now() >= end || self.stopping.is_cancelled() {
                return;
            }
            tokio::select! {
                () = self.wait_for_more(&mut changes, end) => {}
                () = sender.closed() => return,
            }
            if let Ok(now) = self.standing(&held).await {
                standing = now;
            }
        }
    }
}
