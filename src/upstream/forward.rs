//! Sends one request and says for certain whether it was sent.

use std::sync::Arc;

use hyper::{Request, Response};
use tokio::time::Instant;

use super::pool::{PooledConnection, Reaction, StatusLine};
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use super::send_deadline::SendDeadline;
use super::{Reuse, Upstream};

/// Whether a request reached the upstream.
#[expect(clippy::large_enum_variant, reason = "a box would cost each request an allocation")]
pub enum Sent {
    /// Certainly not a byte of it.
    No(String),
    /// It was sent and answered.
    Yes(Response<ResponseBody>),
    /// It was sent and answered, but no more of the answer could be read than its status.
    Unreadable(StatusLine),
    /// It may have been.
    Unknown(String),
}

#[expect(clippy::large_enum_variant, reason = "a box would cost each request an allocation")]
enum Tried {
    Answered(Response<ResponseBody>),
    Unreadable(StatusLine),
    NotSent(Box<Request<RequestBody>>),
    Lost(String),
}

/// Sends `request` by an idle connection if `reuse` allows, else by a fresh one, and waits for the
/// answer's head until `deadline`. With `send_by` nothing is sent after that, however
/// long the process was stopped in between.
pub async fn forward(
    upstream: &Upstream,
    request: Request<RequestBody>,
    reuse: Reuse,
    deadline: Instant,
    send_by: Option<SendDeadline>,
) -> Sent {
    let too_late = || send_by.is_some_and(|deadline| deadline.is_over());
    if too_late() {
        return late();
    }
    // Boxed, because it is moved from hand to hand.
    let mut request = Box::new(request);
    if let Reuse::IdleFor { at_least, at_most } = reuse
        && !upstream.says_unasked()
        && let Some(connection) = upstream.pool.take(at_least, at_most)
    {
        match attempt(upstream, connection, request, deadline).await {
            Tried::Answered(response) => return Sent::Yes(response),
            Tried::Unreadable(line) => return Sent::Unreadable(line),
            Tried::Lost(why) => return Sent::Unknown(why),
            Tried::NotSent(back) => request = back,
        }
    }
    by_fresh_connection(upstream, request, deadline, too_late).await
}

fn late() -> Sent {
    Sent::No("it was too late to send it: the claim may have passed to somebody else".to_owned())
}

async fn by_fresh_connection(
    upstream: &Upstream,
    request: Box<Request<RequestBody>>,
    deadline: Instant,
    too_late: impl Fn() -> bool,
) -> Sent {
    let Some(permit) = upstream.permit() else {
        return Sent::No("as many connections to it are open as may be".to_owned());
    };
    // Boxed, because it is rare and would be most of what each request's future carries about.
    let connected =
        match Box::pin(upstream.target.connect(deadline.saturating_duration_since(Instant::now())))
            .await
        {
            Ok(connected) => connected,
            Err(error) => {
                upstream.health.no_connection(&error);
                return Sent::No(error.to_string());
            }
        };
    // Just before the first byte.
    if too_late() {
        return late();
    }
    match attempt(upstream, PooledConnection::new(connected, permit), request, deadline).await {
        Tried::Answered(response) => {
            upstream.health.worked();
            Sent::Yes(response)
        }
        Tried::Unreadable(line) => {
            upstream.health.worked();
            Sent::Unreadable(line)
        }
        Tried::Lost(why) => Sent::Unknown(why),
        Tried::NotSent(_) => {
            Sent::No("the upstream closed the connection before anything was sent".to_owned())
        }
    }
}

async fn attempt(
    upstream: &Upstream,
    connection: PooledConnection,
    request: Box<Request<RequestBody>>,
    deadline: Instant,
) -> Tried {
    match connection.send(request, deadline).await {
        Reaction::Answered(response, connection) => Tried::Answered(response.map(|body| {
            ResponseBody::new(body, connection, Arc::clone(&upstream.pool), upstream.timeout)
        })),
        Reaction::NotSent(request) => Tried::NotSent(request),
        Reaction::Unreadable(line) => Tried::Unreadable(line),
        Reaction::Failed(why) => Tried::Lost(why),
        Reaction::TooSlow => Tried::Lost(format!("no answer within {:?}", upstream.timeout)),
    }
}
