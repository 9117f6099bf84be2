//! Sends one request and says for certain whether it was sent.

use std::sync::Arc;

use hyper::{Request, Response};
use tokio::time::Instant;

use super::pool::{PooledConnection, Reaction};
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use super::send_deadline::SendDeadline;
use super::{Reuse, Upstream};

/// Whether a request reached the upstream.
pub enum Sent {
    /// Certainly not a byte of it.
    No(String),
    /// It was sent and answered.
    Yes(Response<ResponseBody>),
    /// It may have been.
    Unknown(String),
}

enum Tried {
    Answered(Response<ResponseBody>),
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
    let late = || {
        Sent::No(
            "it was too late to send it: the claim may have passed to somebody else".to_owned(),
        )
    };
    if too_late() {
        return late();
    }
    // Boxed, because it is moved from hand to hand.
    let mut request = Box::new(request);
    if let Reuse::IdleFor(limit) = reuse
        && let Some(connection) = upstream.pool.take(limit)
    {
        match attempt(upstream, connection, request, deadline).await {
            Tried::Answered(response) => return Sent::Yes(response),
            Tried::Lost(why) => return Sent::Unknown(why),
            Tried::NotSent(back) => request = back,
        }
    }
    let Some(permit) = upstream.permit() else {
        return Sent::No("as many connections to it are open as may be".to_owned());
    };
    // Boxed, because it is rare and would be most of what each request's future carries about.
    let sender =
        match Box::pin(upstream.target.connect(deadline.saturating_duration_since(Instant::now())))
            .await
        {
            Ok(sender) => sender,
            Err(error) => {
                upstream.health.failed(&error.to_string());
                return Sent::No(error.to_string());
            }
        };
    // Just before the first byte.
    if too_late() {
        return late();
    }
    match attempt(upstream, PooledConnection::new(sender, permit), request, deadline).await {
        Tried::Answered(response) => {
            upstream.health.worked();
            Sent::Yes(response)
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
        Reaction::Failed(error) => Tried::Lost(error.to_string()),
        Reaction::TooSlow => Tried::Lost(format!("no answer within {:?}", upstream.timeout)),
    }
}
