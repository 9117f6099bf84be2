//! One exchange with an upstream: sent, read, judged; and again where the upstream throws repeats
//! away.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::stored_answer::{Read, UpstreamRefusal, keep, read, refusal};
use crate::answer::stored::Overflow;
use crate::ledger::stored_answer::StoredAnswer;
use crate::order::Order;
use crate::outcome::Outcome;
use crate::payment_hash::PaymentHash;
use crate::service::Service;
use crate::upstream::forward::{Sent, forward};
use crate::upstream::pool::StatusLine;
use crate::upstream::request_body::RequestBody;
use crate::upstream::response_body::ResponseBody;
use crate::upstream::send_deadline::SendDeadline;
use crate::upstream::trouble::Trouble;

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
    /// What the upstream answered with, if it did.
    pub(super) status: Option<StatusCode>,
    pub(super) answer: Option<StoredAnswer>,
    pub(super) refusal: Option<UpstreamRefusal>,
    pub(super) overflow: Option<Overflow>,
    /// What the upstream said, as far as it could be read.
    pub(super) said: Option<Bytes>,
}

impl Exchange {
    /// Without an answer.
    pub(super) fn nothing(outcome: Outcome) -> Self {
        Self { outcome, status: None, answer: None, refusal: None, overflow: None, said: None }
    }
}

/// A service's upstream, asked with one order.
pub(super) struct Asker<'a> {
    pub(super) service: &'a Service,
    /// The ticket or pass that pays for it.
    pub(super) ticket: PaymentHash,
    pub(super) order: &'a Order,
    /// How many segments of a text message it was sold with.
    pub(super) segments: Option<u32>,
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
                Outcome::NotSent | Outcome::Refused if !maybe_delivered => return done,
                Outcome::NotSent | Outcome::Refused | Outcome::Unknown => maybe_delivered = true,
            }
            let left = remembered.unwrap_or_default().saturating_sub(started.elapsed());
            let Some(pause) = pauses.next().filter(|pause| **pause < left) else {
                return Exchange { status: done.status, ..Exchange::nothing(Outcome::Unknown) };
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
            Ok(Reply::Answer(response)) => self.judge(response, deadline).await,
            Ok(Reply::StatusOnly(line)) => self.judge_status(&line),
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
        let Read { head, body, overflow, is_coded } =
            read(response, self.answer_max, deadline).await;
        let rules = &service.outcome_rules;
        let outcome = if is_coded && rules.needs_body() {
            warn!(service = %service.name, "the upstream's answer is in an encoding that nobody \
                asked for: nothing in it counts");
            rules.of(head.status, &head.headers, None)
        } else {
            rules.of(head.status, &head.headers, body.as_deref())
        };
        let outcome = self.note(outcome, head.status, &head.headers, body.as_deref());
        let said = body.clone().filter(|_| !is_coded);
        let done = Exchange { status: Some(head.status), said, ..Exchange::nothing(outcome) };
        match outcome {
            Outcome::Delivered => match &service.mapping {
                Some(mapping) => {
                    let body = body.as_deref().filter(|_| !is_coded);
                    let answer = mapping.answer(&head.headers, body, self.segments);
                    Exchange { answer: Some(answer), ..done }
                }
                None => Exchange { answer: Some(keep(service, head, body)), overflow, ..done },
            },
            Outcome::NotSent | Outcome::Refused => {
                let words = body.as_ref().filter(|_| !is_coded);
                let refusal = Some(refusal(service, &head, words, order));
                Exchange { refusal, ..done }
            }
            Outcome::Unknown => done,
        }
    }

    /// Says what an answer means of which no more could be read than its status line.
    pub(super) fn judge_status(&self, line: &StatusLine) -> Exchange {
        let (rules, status) = (&self.service.outcome_rules, line.status);
        let outcome = match line.is_cut && rules.looks_past_status() {
            // The rest didn't come: a backend that says there what it did hasn't said it.
            true => Outcome::Unknown,
            false => rules.of_status_line(status),
        };
        let outcome = self.note(outcome, status, &HeaderMap::new(), None);
        let (code, words, retry_after) = (status.as_u16(), None, None);
        let answer = match &self.service.mapping {
            Some(mapping) => mapping.answer(&HeaderMap::new(), None, self.segments),
            None => StoredAnswer { status: code, headers: Vec::new(), body: None },
        };
        Exchange {
            status: Some(status),
            answer: (outcome == Outcome::Delivered).then_some(answer),
            refusal: Some(UpstreamRefusal { status: code, words, retry_after }),
            ..Exchange::nothing(outcome)
        }
    }

    /// Logs what an answer means, and has the sales stopped where it is meant for everybody. Gives
    /// what it comes to.
    fn note(
        &self,
        outcome: Outcome,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Outcome {
        let (service, stop) = (&*self.service.name, &self.service.upstream.sale_stop);
        let code = status.as_u16();
        match outcome {
            Outcome::Delivered => {
                stop.worked();
                return outcome;
            }
            Outcome::NotSent => {
                warn!(service, status = code, "the upstream refused: nothing was sent");
            }
            Outcome::Refused => return self.note_refused(status),
            Outcome::Unknown => {
                warn!(service, status = code, "outcome unknown: by the upstream's answer");
            }
        }
        let rules = &self.service.outcome_rules;
        let is_trouble = rules.is_trouble(status, headers, body);
        let by_answer = Trouble::of(status, headers, &self.service.upstream.origin());
        // What the service itself says its trouble is goes before a limit.
        let by_answer = by_answer.filter(|trouble| {
            is_trouble || rules.trouble.is_empty() || matches!(trouble, Trouble::Redirects(_))
        });
        // What nobody knows is counted where its ticket is parked.
        let refuses = is_trouble && outcome == Outcome::NotSent;
        let trouble = by_answer.or(refuses.then_some(Trouble::Refuses));
        if let Some(trouble) = trouble {
            stop.failed(self.ticket, status, trouble, Instant::now());
        }
        outcome
    }

    /// A refusal for good is about what was ordered, and about nothing of the operator's - unless
    /// every order is refused: then it says nothing of any of them, and its payer keeps it.
    fn note_refused(&self, status: StatusCode) -> Outcome {
        let (service, stop) = (&*self.service.name, &self.service.upstream.sale_stop);
        stop.failed(self.ticket, status, Trouble::RefusesOrders, Instant::now());
        let code = status.as_u16();
        if stop.refuses_everybody() {
            warn!(service, status = code, "the upstream refuses every order: nothing was sent");
            return Outcome::NotSent;
        }
        info!(service, status = code, "the upstream refused for good: nothing was sent");
        Outcome::Refused
    }
}

/// What came back.
#[expect(clippy::large_enum_variant, reason = "a box would cost each request an allocation")]
pub(super) enum Reply {
    Answer(Response<ResponseBody>),
    /// No more of it could be read than its status.
    StatusOnly(StatusLine),
}

/// Sends a request, and waits for the head of the answer. `Err` is what it comes to without one.
pub(super) async fn send(
    service: &Service,
    request: Request<Bytes>,
    send_by: Option<SendDeadline>,
    deadline: Instant,
) -> Result<Reply, Outcome> {
    let request = request.map(|body| RequestBody::Whole(Full::new(body)));
    match forward(&service.upstream, request, service.reuse, deadline, send_by).await {
        Sent::Yes(response) => Ok(Reply::Answer(response)),
        Sent::Unreadable(line) => {
            let (status, why) = (line.status.as_u16(), &line.why);
            warn!(service = %service.name, status, "the answer can't be read: {why}");
            Ok(Reply::StatusOnly(line))
        }
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
