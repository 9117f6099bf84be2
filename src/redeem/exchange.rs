//! One exchange with an upstream: sent, read, judged; and again where the upstream throws repeats
//! away.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::stored_answer::{Read, UpstreamRefusal, keep, read, refusal};
use crate::answer::stored::Overflow;
use crate::ledger::stored_answer::StoredAnswer;
use crate::order::Order;
use crate::outcome::Outcome;
use crate::service::Service;
use crate::upstream::forward::{Sent, forward};
use crate::upstream::request_body::RequestBody;
use crate::upstream::response_body::ResponseBody;
use crate::upstream::send_deadline::SendDeadline;

/// Pauses before a request whose outcome nobody knows is sent again, where the upstream throws
/// repeats away.
const REPEAT_PAUSES: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];

/// The longest time that all tries at an upstream may take, with their pauses.
pub(super) fn longest(service: &Service) -> Duration {
    let repeats = repeats(service.remembered.is_some());
    let tries = u32::try_from(repeats.len()).unwrap_or(0) + 1;
    service.upstream.timeout.saturating_mul(tries) + repeats.iter().sum::<Duration>()
}

fn repeats(is_repeatable: bool) -> &'static [Duration] {
    if is_repeatable { &REPEAT_PAUSES } else { &[] }
}

/// What the upstream did.
pub(super) struct Exchange {
    pub(super) outcome: Outcome,
    pub(super) answer: Option<StoredAnswer>,
    pub(super) refusal: Option<UpstreamRefusal>,
    pub(super) overflow: Option<Overflow>,
}

impl Exchange {
    /// Without an answer.
    pub(super) fn nothing(outcome: Outcome) -> Self {
        Self { outcome, answer: None, refusal: None, overflow: None }
    }
}

/// A service's upstream, asked with one order.
pub(super) struct Asker<'a> {
    pub(super) service: &'a Service,
    pub(super) order: &'a Order,
    /// Longest answer that is kept, in bytes.
    pub(super) answer_max: usize,
    /// Cancelled once the process is to stop.
    pub(super) stopping: &'a CancellationToken,
}

impl Asker<'_> {
    /// Asks once; again only if nobody knows what became of it and the upstream itself throws
    /// repeats away, for as long as it does (`remembered`). What may have happened once
    /// (`maybe_delivered`: before this) can't become "not sent" by a later refusal.
    pub(super) async fn ask_until_known(
        &self,
        request: Request<Bytes>,
        send_by: SendDeadline,
        mut maybe_delivered: bool,
        remembered: Option<Duration>,
    ) -> Exchange {
        let started = Instant::now();
        let mut pauses = repeats(remembered.is_some()).iter();
        loop {
            let done = self.ask(request.clone(), send_by).await;
            match done.outcome {
                Outcome::Delivered => return done,
                Outcome::NotSent if !maybe_delivered => return done,
                Outcome::NotSent | Outcome::Unknown => maybe_delivered = true,
            }
            let left = remembered.unwrap_or_default().saturating_sub(started.elapsed());
            let Some(pause) = pauses.next().filter(|pause| **pause < left) else {
                return Exchange::nothing(Outcome::Unknown);
            };
            tokio::select! {
                () = tokio::time::sleep(*pause) => {}
                // A stop waits for redemptions, but not for all of their repeats.
                () = self.stopping.cancelled() => return Exchange::nothing(Outcome::Unknown),
            }
        }
    }

    async fn ask(&self, request: Request<Bytes>, send_by: SendDeadline) -> Exchange {
        let deadline = Instant::now() + self.service.upstream.timeout;
        match send(self.service, request, Some(send_by), deadline).await {
            Ok(response) => self.judge(response, deadline).await,
            Err(outcome) => Exchange::nothing(outcome),
        }
    }

    /// Reads an answer and says what it means.
    pub(super) async fn judge(
        &self,
        response: Response<ResponseBody>,
        deadline: Instant,
    ) -> Exchange {
        let Self { service, order, .. } = self;
        let Read { head, body, overflow } = read(response, self.answer_max, deadline).await;
        let outcome = service.outcome_rules.of(head.status, &head.headers, body.as_deref());
        let status = head.status.as_u16();
        match outcome {
            Outcome::Delivered => {
                Exchange { answer: Some(keep(head, body)), overflow, ..Exchange::nothing(outcome) }
            }
            Outcome::NotSent => {
                warn!(service = %service.name, status, "the upstream refused: nothing was sent");
                Exchange {
                    refusal: Some(refusal(service, &head, body.as_ref(), order)),
                    ..Exchange::nothing(outcome)
                }
            }
            Outcome::Unknown => {
                warn!(service = %service.name, status, "outcome unknown: by the upstream's answer");
                Exchange::nothing(outcome)
            }
        }
    }
}

/// Sends a request, and waits for the head of the answer. `Err` is what it comes to without one.
pub(super) async fn send(
    service: &Service,
    request: Request<Bytes>,
    send_by: Option<SendDeadline>,
    deadline: Instant,
) -> Result<Response<ResponseBody>, Outcome> {
    let request = request.map(|body| RequestBody::Whole(Full::new(body)));
    match forward(&service.upstream, request, service.reuse, deadline, send_by).await {
        Sent::Yes(response) => Ok(response),
        Sent::No(why) => {
            warn!(service = %service.name, "not sent: {why}");
            Err(Outcome::NotSent)
        }
        Sent::Unknown(why) => {
            warn!(service = %service.name, "outcome unknown: {why}");
            Err(Outcome::Unknown)
        }
    }
}
