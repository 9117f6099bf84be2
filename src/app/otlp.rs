//! Spans to an OpenTelemetry collector (OTLP over gRPC).

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _,
};

use crate::record::access_log::{Line, SpanSink, method};

/// How long an end waits for what wasn't handed over yet.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Collects spans, and hands them over together.
pub(super) struct Otlp {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Otlp {
    /// Connects once there is something to hand over. Has to be called in a runtime.
    pub(super) fn start(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("farebox").with_attribute(version);
        processor.set_resource(&resource.build());
        Ok(Self { processor, scope: InstrumentationScope::builder("farebox").build() })
    }
}

impl SpanSink for Otlp {
    fn take(&self, line: &Line<'_>) {
        let trace = &line.trace;
        let (id, own) = (TraceId::from_bytes(trace.bytes()), SpanId::from_bytes(trace.span()));
        let flags = TraceFlags::new(trace.flags());
        if !flags.is_sampled() {
            return;
        }
        let ended = SystemTime::now();
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(id, own, flags, false, TraceState::NONE),
            parent_span_id: trace.parent().map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: trace.parent().is_some(),
            span_kind: SpanKind::Server,
            name: name(line).into(),
            start_time: ended.checked_sub(line.took).unwrap_or(ended),
            end_time: ended,
            attributes: attributes(line),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match line.status.is_server_error() {
                true => Status::error(line.code),
                false => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        });
    }

    fn close(&self) {
        let _ = self.processor.shutdown_with_timeout(CLOSE_MAX);
    }
}

/// By OpenTelemetry's conventions for HTTP servers: the method, and the route where there is one.
fn name(line: &Line<'_>) -> String {
    match line.path {
        Some(path) => format!("{} {path}", method(line)),
        None => method(line).to_owned(),
    }
}

fn attributes(line: &Line<'_>) -> Vec<KeyValue> {
    let status = i64::from(line.status.as_u16());
    let mut attributes = vec![
        KeyValue::new("http.request.method", method(line).to_owned()),
        KeyValue::new("http.response.status_code", status),
        KeyValue::new("client.address", line.client.text().to_owned()),
        KeyValue::new("farebox.code", line.code),
    ];
    if let Some(path) = line.path {
        attributes.push(KeyValue::new("http.route", path.to_owned()));
    }
    if let Some(service) = line.service {
        attributes.push(KeyValue::new("farebox.service", service.to_owned()));
    }
    if let Some(ticket) = line.ticket {
        attributes.push(KeyValue::new("farebox.ticket", hex::encode(ticket.as_bytes())));
    }
    attributes
}
