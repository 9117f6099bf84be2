//! One line per request. Of a path it shows the service's name only: a path that isn't ours may hold anything.

use std::net::IpAddr;
use std::time::Duration;

use hyper::{Method, StatusCode};
use tracing::info;

use crate::l402::PaymentHash;

/// What these lines are told apart by.
pub const TARGET: &str = "access";

/// What is said of a request.
pub struct Line<'a> {
    /// Who sent it.
    pub client: IpAddr,
    /// Its method.
    pub method: &'a Method,
    /// The service that it was for.
    pub service: Option<&'a str>,
    /// What was answered.
    pub status: StatusCode,
    /// And what that means.
    pub code: &'static str,
    /// The ticket that it brought or was offered, by its payment hash.
    pub ticket: Option<PaymentHash>,
    /// From its head to the head of its answer.
    pub took: Duration,
}

/// Writes the line.
pub fn write(line: &Line<'_>) {
    // A client can make up methods; only known ones are repeated.
    let method = if line.method.as_str().len() <= 7 { line.method.as_str() } else { "other" };
    info!(
        target: TARGET,
        client = %line.client,
        method,
        service = line.service.unwrap_or("-"),
        status = line.status.as_u16(),
        code = line.code,
        ticket = line.ticket.map(|hash| hash.to_string()).as_deref().unwrap_or("-"),
        ms = u64::try_from(line.took.as_millis()).unwrap_or(u64::MAX),
    );
}
