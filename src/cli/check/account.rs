//! Whether a backend knows its credentials, by a question that sends nothing.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use tokio::time::{Instant, timeout};

use super::report::Report;
use crate::service::mapping::AccountCheck;
use crate::upstream::forward::{Sent, forward};
use crate::upstream::request::own_without_query;
use crate::upstream::request_body::RequestBody;
use crate::upstream::{Reuse, Upstream};

/// Longest answer that is read, in bytes, and how long it may take.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Says of one service, which `part` names, whether its credentials are right.
pub(super) async fn check(
    report: &mut Report,
    part: &str,
    upstream: &Upstream,
    asks: &AccountCheck,
) {
    match answer(upstream, asks).await {
        Ok(Answered::Good) => report.ok(part, "its backend knows the credentials"),
        Ok(Answered::Refused(status)) => report.failed(
            part,
            format!(
                "its backend refuses the credentials in [service.backend]: it answers {status}"
            ),
        ),
        Ok(Answered::Unclear(status)) => report.note(
            part,
            format!("whether its backend knows the credentials isn't known: it answered {status}"),
        ),
        Err(why) => report
            .note(part, format!("whether its backend knows the credentials isn't known: {why}")),
    }
}

enum Answered {
    Good,
    Refused(u16),
    Unclear(u16),
}

async fn answer(upstream: &Upstream, asks: &AccountCheck) -> Result<Answered, String> {
    let request = own_without_query(upstream, &asks.path).ok_or("no question can be written")?;
    let request = request.map(|body| RequestBody::Whole(Full::new(body)));
    let deadline = Instant::now() + ANSWER_TIME_MAX;
    let response = match forward(upstream, request, Reuse::Never, deadline, None).await {
        Sent::Yes(response) => response,
        Sent::Unreadable(line) => return Ok(Answered::Unclear(line.status.as_u16())),
        Sent::No(why) | Sent::Unknown(why) => return Err(why),
    };
    let (head, body) = response.into_parts();
    let read = timeout(ANSWER_TIME_MAX, Limited::new(body, ANSWER_MAX_BYTES).collect()).await;
    let body = read.ok().and_then(Result::ok).map(|body| body.to_bytes());
    let is_good = match asks.found.as_slice() {
        [] => head.status.is_success(),
        found => found.iter().any(|one| one.holds(head.status, &head.headers, body.as_deref())),
    };
    let status = head.status.as_u16();
    Ok(match (is_good, status) {
        (true, _) => Answered::Good,
        // A success with other words than those of a success is a refusal, too.
        (false, 200..=299 | 401 | 403) => Answered::Refused(status),
        (false, _) => Answered::Unclear(status),
    })
}
