//! Sends one request and says for certain whether it was sent.

use std::sync::Arc;

use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use tokio::time::{Instant, timeout_at};

use super::body::{RequestBody, ResponseBody};
use super::window::SendWindow;
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

/// Sends `request` by an idle connection if `reuse` allows, else by a fresh one, and waits for the answer's head until `deadline`. With a
/// `window` nothing is sent after it has closed, however long the process was stopped in between.
pub async fn forward(
    upstream: &Arc<Upstream>,
    mut request: Request<RequestBody>,
    reuse: Reuse,
    deadline: Instant,
    window: Option<SendWindow>,
) -> Sent {
    let too_late = || window.is_some_and(|window| !window.is_open());
    let late = || Sent::No("it was too late to send it: the claim may have passed to somebody else".to_owned());
    if too_late() {
        return late();
    }
    if let Reuse::IdleFor(limit) = reuse
        && let Some(sender) = upstream.pool.take(limit)
    {
        match attempt(upstream, sender, request, deadline).await {
            Tried::Answered(response) => return Sent::Yes(response),
            Tried::Lost(why) => return Sent::Unknown(why),
            Tried::NotSent(back) => request = *back,
        }
    }
    // Boxed, because it is rare and would be most of what each request's future carries about.
    let sender = match Box::pin(upstream.target.connect(deadline.saturating_duration_since(Instant::now()))).await {
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
    match attempt(upstream, sender, request, deadline).await {
        Tried::Answered(response) => {
            upstream.health.worked();
            Sent::Yes(response)
        }
        Tried::Lost(why) => Sent::Unknown(why),
        Tried::NotSent(_) => Sent::No("the upstream closed the connection before anything was sent".to_owned()),
    }
}

async fn attempt(
    upstream: &Arc<Upstream>,
    mut sender: SendRequest<RequestBody>,
    request: Request<RequestBody>,
    deadline: Instant,
) -> Tried {
    match timeout_at(deadline, sender.try_send_request(request)).await {
        Ok(Ok(response)) => Tried::Answered(response.map(|body| ResponseBody::new(body, sender, Arc::clone(upstream)))),
        Ok(Err(mut error)) => match error.take_message() {
            // hyper gives a request back only if it wrote nothing of it.
            Some(request) => Tried::NotSent(Box::new(request)),
            None => Tried::Lost(error.into_error().to_string()),
        },
        Err(_) => Tried::Lost(format!("no answer within {:?}", upstream.timeout)),
    }
}
