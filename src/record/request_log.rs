//! What is noted about a request on its way, for its log line and the counters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};

use super::access_log::{AccessLog, Line};
use super::metrics::{Metrics, ServiceMetrics};
use crate::client::Client;
use crate::code::Code;
use crate::payment_hash::PaymentHash;
use crate::trace::Trace;

/// Where the notes go.
#[derive(Clone)]
pub struct Recorder {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// A line for each request.
    pub access: Arc<AccessLog>,
}

/// The notes about one request.
pub struct RequestLog<'a> {
    started: Instant,
    method: Method,
    trace: Trace,
    path: Option<&'a str>,
    service: Option<&'a ServiceMetrics>,
    ticket: Option<PaymentHash>,
    /// How long the upstream took, and how long the request was made to wait on purpose: neither
    /// is time of ours.
    upstream: Option<Duration>,
    delay: Duration,
}

impl<'a> RequestLog<'a> {
    /// Of a request that has just come.
    pub fn begin(method: &Method, trace: Trace) -> Self {
        Self {
            started: Instant::now(),
            method: method.clone(),
            trace,
            path: None,
            service: None,
            ticket: None,
            upstream: None,
            delay: Duration::ZERO,
        }
    }

    /// The service that it was for, and the path that was asked for, which is ours or the
    /// operator's: others may hold anything.
    pub fn service(&mut self, service: &'a ServiceMetrics, path: &'a str) {
        (self.service, self.path) = (Some(service), Some(path));
    }

    /// One of our own paths.
    pub fn path(&mut self, path: &'static str) {
        self.path = Some(path);
    }

    /// The ticket that it brought or was offered.
    pub fn ticket(&mut self, ticket: PaymentHash) {
        self.ticket = Some(ticket);
    }

    /// How long the upstream took.
    pub fn upstream(&mut self, took: Duration) {
        self.upstream = Some(took);
    }

    /// How long it was made to wait on purpose.
    pub fn delay(&mut self, waited: Duration) {
        self.delay = waited;
    }

    /// Counts it, and writes its line.
    pub fn finish(self, recorder: &Recorder, client: &Client, status: StatusCode, code: Code) {
        let took = self.started.elapsed();
        match self.service {
            Some(service) => {
                let elsewhere = self.upstream.unwrap_or_default() + self.delay;
                service.request(code, took.saturating_sub(elsewhere), self.upstream);
            }
            None => recorder.metrics.unrouted(code),
        }
        recorder.access.write(&Line {
            client,
            method: &self.method,
            path: self.path,
            trace: self.trace,
            service: self.service.map(ServiceMetrics::name),
            status,
            code: code.word(),
            ticket: self.ticket,
            took,
        });
    }
}
