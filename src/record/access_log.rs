//! One line per request. It shows a path only where that is ours or the operator's: others may hold
//! anything.
//!
//! The lines look like those of `tracing`, but are put together by hand: through its layers one
//! line cost a fifth of a free request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use time::OffsetDateTime;

use super::lines::Lines;
use crate::client::Client;
use crate::payment_hash::PaymentHash;
use crate::trace::Trace;

/// What is said of a request.
pub struct Line<'a> {
    /// Who sent it.
    pub client: &'a Client,
    /// Its method.
    pub method: &'a Method,
    /// The path that was asked for, if it is a known one.
    pub path: Option<&'a str>,
    /// The trace that it belongs to, and its own id.
    pub trace: Trace,
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

/// How log lines look.
#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// A JSON object per line.
    Json,
}

/// Where requests go as spans of traces.
pub trait SpanSink: Send + Sync {
    /// Takes on a request that has just been answered, if its trace is sampled. Never waits.
    fn take(&self, line: &Line<'_>);

    /// Hands over what waits, in a second at most; nothing is taken from here on.
    fn close(&self);
}

/// Where access lines go, if anywhere.
pub struct AccessLog {
    lines: Option<(Lines, LogFormat)>,
    is_on: AtomicBool,
    spans: Option<Arc<dyn SpanSink>>,
}

impl AccessLog {
    /// Among the other log lines; and as spans, where somebody collects them.
    pub fn new(lines: Lines, format: LogFormat, spans: Option<Arc<dyn SpanSink>>) -> Self {
        Self { lines: Some((lines, format)), is_on: AtomicBool::new(true), spans }
    }

    /// Whether somebody collects spans.
    pub fn takes_spans(&self) -> bool {
        self.spans.is_some()
    }

    /// Hands over the spans that wait; no more are taken.
    pub fn close_spans(&self) {
        if let Some(spans) = &self.spans {
            spans.close();
        }
    }

    /// Whether lines are written, from here on.
    pub fn turn(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Nowhere.
    pub fn none() -> Self {
        Self { lines: None, is_on: AtomicBool::new(false), spans: None }
    }

    /// Writes a line, within some milliseconds.
    pub fn write(&self, line: &Line<'_>) {
        if let Some(spans) = &self.spans {
            spans.take(line);
        }
        if let Some((lines, format)) = &self.lines
            && self.is_on.load(Ordering::Relaxed)
        {
            lines.add(|text| match format {
                LogFormat::Human => human(text, line, OffsetDateTime::now_utc()),
                LogFormat::Json => json(text, line, OffsetDateTime::now_utc()),
            });
        }
    }
}

/// None of the texts can hold a quote, a backslash or a control character: a client's address, a
/// token (RFC 9110 section 5.6.2), a service's name or path, a word of ours, hexadecimal digits.
fn human(text: &mut Vec<u8>, line: &Line<'_>, now: OffsetDateTime) {
    timestamp(text, now);
    put(
        text,
        &[
            "  INFO access: client=",
            line.client.text(),
            " method=\"",
            method(line),
            "\" path=\"",
            line.path.unwrap_or("-"),
            "\" service=\"",
            line.service.unwrap_or("-"),
        ],
    );
    put(text, &["\" status=", line.status.as_str(), " code=\"", line.code, "\" ticket=\""]);
    ticket(text, line);
    put(text, &["\" request=\""]);
    text.extend_from_slice(&line.trace.request());
    put(text, &["\" trace=\""]);
    text.extend_from_slice(&line.trace.id());
    put(text, &["\" ms=", itoa::Buffer::new().format(line.took.as_millis()), "\n"]);
}

fn json(text: &mut Vec<u8>, line: &Line<'_>, now: OffsetDateTime) {
    put(text, &["{\"timestamp\":\""]);
    timestamp(text, now);
    put(
        text,
        &[
            "\",\"level\":\"INFO\",\"client\":\"",
            line.client.text(),
            "\",\"method\":\"",
            method(line),
            "\",\"path\":\"",
            line.path.unwrap_or("-"),
            "\",\"service\":\"",
        ],
    );
    put(
        text,
        &[
            line.service.unwrap_or("-"),
            "\",\"status\":",
            line.status.as_str(),
            ",\"code\":\"",
            line.code,
            "\",\"ticket\":\"",
        ],
    );
    ticket(text, line);
    put(text, &["\",\"request\":\""]);
    text.extend_from_slice(&line.trace.request());
    put(text, &["\",\"trace\":\""]);
    text.extend_from_slice(&line.trace.id());
    put(
        text,
        &[
            "\",\"ms\":",
            itoa::Buffer::new().format(line.took.as_millis()),
            ",\"target\":\"access\"}\n",
        ],
    );
}

/// A client can make up methods, which may hold anything.
pub fn method<'a>(line: &Line<'a>) -> &'a str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    let method = line.method.as_str();
    if KNOWN.contains(&method) { method } else { "other" }
}

fn ticket(text: &mut Vec<u8>, line: &Line<'_>) {
    let mut digits = [0; 64];
    match &line.ticket {
        Some(hash) if hex::encode_to_slice(hash.as_bytes(), &mut digits).is_ok() => {
            text.extend_from_slice(&digits)
        }
        _ => text.push(b'-'),
    }
}

/// RFC 3339, with microseconds.
fn timestamp(text: &mut Vec<u8>, now: OffsetDateTime) {
    digits::<4>(text, now.year().unsigned_abs());
    for (before, value) in [
        (b'-', now.month().into()),
        (b'-', now.day()),
        (b'T', now.hour()),
        (b':', now.minute()),
        (b':', now.second()),
    ] {
        text.push(before);
        digits::<2>(text, value.into());
    }
    text.push(b'.');
    digits::<6>(text, now.microsecond());
    text.push(b'Z');
}

fn digits<const N: usize>(text: &mut Vec<u8>, mut value: u32) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    text.extend_from_slice(&digits);
}

fn put(text: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        write: fn(&mut Vec<u8>, &Line<'_>, OffsetDateTime),
        method: &str,
        ticket: Option<PaymentHash>,
    ) -> String {
        let client = Client::of("2001:db8::5".parse().unwrap(), true);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (status, took) = (StatusCode::PAYMENT_REQUIRED, Duration::from_micros(12_900));
        let mut parent = hyper::HeaderMap::new();
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        parent.insert(crate::trace::TRACEPARENT, given.parse().unwrap());
        let line = Line {
            client: &client,
            method: &method,
            path: ticket.map(|_| "/sms"),
            trace: Trace::take_on(&mut parent, false),
            service: ticket.map(|_| "sms"),
            status,
            code: "payment-required",
            ticket,
            took,
        };
        let mut text = Vec::new();
        write(
            &mut text,
            &line,
            OffsetDateTime::from_unix_timestamp_nanos(1_795_645_903_308_692_499).unwrap(),
        );
        // Each has an id of its own.
        let request = String::from_utf8(line.trace.request().to_vec()).unwrap();
        String::from_utf8(text).unwrap().replace(&request, "REQUEST")
    }

    #[test]
    fn as_words() {
        let hash = PaymentHash::from_bytes([0xab; 32]);
        assert_eq!(
            said(human, "POST", Some(hash)),
            format!(
                "2026-11-25T22:31:43.308692Z  INFO access: client=2001:db8::5 method=\"POST\" \
                 path=\"/sms\" service=\"sms\" status=402 code=\"payment-required\" \
                 ticket=\"{}\" request=\"REQUEST\" trace=\"4bf92f3577b34da6a3ce929d0e0e4736\" \
                 ms=12\n",
                "ab".repeat(32)
            )
        );
        assert!(
            said(human, "MADE-UP-BY-SOMEBODY", None)
                .contains("method=\"other\" path=\"-\" service=\"-\" status=402")
        );
    }

    #[test]
    fn as_json() {
        let line: serde_json::Value = serde_json::from_str(&said(json, "GET", None)).unwrap();
        let expected = serde_json::json!({
            "timestamp": "2026-11-25T22:31:43.308692Z", "level": "INFO",
            "client": "2001:db8::5", "method": "GET", "path": "-", "service": "-",
            "status": 402, "code": "payment-required", "ticket": "-", "request": "REQUEST",
            "trace": "4bf92f3577b34da6a3ce929d0e0e4736", "ms": 12, "target": "access"
        });
        assert_eq!(line, expected);
    }
}
