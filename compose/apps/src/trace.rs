//! Spans: started with an explicit parent, exported by OTLP over gRPC, carried across services as
//! W3C `traceparent`.
//!
//! Everything is sampled (flags `01`): which traces are kept is decided further on.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
    SpanExporter,
};

use crate::dependency::Dependency;
use crate::log::{Line, Log};

pub use opentelemetry::trace::SpanKind;

/// Spans wait at most this long before they are sent.
const EXPORT_EVERY: Duration = Duration::from_secs(1);
/// A collector that does not answer within this time has not got the batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// Spans that may wait; more are dropped, as an SDK does.
const EXPORT_BACKLOG: usize = 8_192;

/// Starts spans. Clones share the exporter.
#[derive(Clone, Debug)]
pub struct Tracer {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    propagation: Propagation,
}

/// Whether trace context is taken from callers and handed on, as OpenTelemetry's variable
/// OTEL_PROPAGATORS says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// As W3C `traceparent`.
    TraceContext,
    /// Not at all: every service begins traces of its own.
    None,
}

impl FromStr for Propagation {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let mut found = Self::None;
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "tracecontext" => found = Self::TraceContext,
                // Nothing here has baggage.
                "baggage" | "none" => {}
                _ => {
                    return Err(format!(
                        "propagator {name:?}: it wants a list of tracecontext, baggage, none"
                    ));
                }
            }
        }
        Ok(found)
    }
}

/// The endpoint of the collector can't be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "OTEL_EXPORTER_OTLP_ENDPOINT {endpoint:?}: {reason}; it wants a URL such as http://otel-collector:4317"
)]
pub struct EndpointError {
    endpoint: String,
    reason: String,
}

impl Tracer {
    /// Connects lazily: a collector that is not there costs its spans, nothing else. An empty
    /// endpoint exports nothing, while ids are still drawn and logged. Must be called within the
    /// runtime.
    pub fn start_exporting(
        service: &str,
        endpoint: &str,
        propagation: Propagation,
        log: &Log,
    ) -> Result<Self, EndpointError> {
        let resource = Resource::builder()
            .with_service_name(service.to_owned())
            .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
            .build();
        let mut builder =
            SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_resource(resource);
        if !endpoint.is_empty() {
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .with_timeout(EXPORT_TIMEOUT)
                .with_retry_policy(opentelemetry_otlp::RetryPolicy::disabled())
                .build()
                .map_err(|error| EndpointError {
                    endpoint: endpoint.into(),
                    reason: error.to_string(),
                })?;
            let exporter = Watched {
                inner: exporter,
                collector: Dependency::new("otel-collector", log.clone()),
            };
            let batches = BatchConfigBuilder::default()
                .with_scheduled_delay(EXPORT_EVERY)
                .with_max_queue_size(EXPORT_BACKLOG)
                .with_max_export_batch_size(512)
                .build();
            builder = builder.with_span_processor(
                BatchSpanProcessor::builder(exporter).with_batch_config(batches).build(),
            );
        }
        let provider = builder.build();
        Ok(Self { tracer: provider.tracer("apps"), provider, propagation })
    }

    /// Starts a span below `parent`, or a new trace when the parent holds no span.
    pub fn span(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: &Context,
    ) -> Span {
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        let span = self.tracer.build_with_context(builder, parent);
        Span { context: parent.with_span(span), ended: false }
    }

    /// The parent that a caller names in its `traceparent`; none when it is missing, malformed, or
    /// not to be taken.
    pub fn extract(&self, traceparent: Option<&str>) -> Context {
        let parent = traceparent.filter(|_| self.propagation == Propagation::TraceContext);
        parent
            .and_then(|text| text.parse::<TraceParent>().ok())
            .map_or_else(Context::new, TraceParent::context)
    }

    /// The `traceparent` that others get to take up the span, if they are to.
    pub fn inject(&self, span: &Span) -> Option<String> {
        (self.propagation == Propagation::TraceContext).then(|| span.traceparent().to_string())
    }

    /// Sends what waits and stops, at most `limit`.
    pub async fn shut_down(self, limit: Duration) {
        let provider = self.provider;
        let work = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limit));
        let _ = tokio::time::timeout(limit, work).await;
    }
}

/// An exporter that says when its collector goes and comes back.
struct Watched<E> {
    inner: E,
    collector: Dependency,
}

impl<E> fmt::Debug for Watched<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => self.collector.up(),
            Err(error) => self.collector.down(&format!("{spans} spans not delivered: {error}")),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// A span under way. One that is dropped without [`Span::end`] was cut off, and ends as an error
/// that says so.
#[derive(Debug)]
pub struct Span {
    context: Context,
    ended: bool,
}

impl Span {
    /// What children take as their parent.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Sets an attribute.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// Sets an attribute if there is a value.
    pub fn set_some(&self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(key, value.to_owned());
        }
    }

    /// Marks the span as failed.
    pub fn fail(&self, error: impl Into<Cow<'static, str>>) {
        self.context.span().set_status(Status::error(error));
    }

    /// Ends it now.
    pub fn end(mut self) {
        self.ended = true;
        self.context.span().end();
    }

    /// Ends it with the outcome of what it covered.
    pub fn end_with<T, E: fmt::Display>(self, result: &Result<T, E>) {
        if let Err(error) = result {
            self.fail(error.to_string());
        }
        self.end();
    }

    /// The span as another process may take it for its parent.
    pub fn traceparent(&self) -> TraceParent {
        TraceParent::of(&self.context)
    }

    /// Names the span in a log line.
    pub fn identify(&self, line: &mut Line) {
        self.traceparent().identify(line);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if !self.ended {
            let span = self.context.span();
            span.set_status(Status::error("cancelled"));
            span.end();
        }
    }
}

/// A W3C `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Trace, never zero.
    pub trace_id: TraceId,
    /// Span, never zero.
    pub span_id: SpanId,
    /// Bit 0: sampled.
    pub flags: TraceFlags,
}

impl TraceParent {
    /// The span that a context holds.
    fn of(context: &Context) -> Self {
        let span = context.span();
        let context = span.span_context();
        Self {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
            flags: context.trace_flags(),
        }
    }

    /// Names the span in a log line.
    pub fn identify(self, line: &mut Line) {
        line.trace_id = Some(self.trace_id.to_string());
        line.span_id = Some(self.span_id.to_string());
        line.trace_flags = Some(format!("{:02x}", self.flags.to_u8()));
    }

    /// A parent for spans of this process.
    pub fn context(self) -> Context {
        let span =
            SpanContext::new(self.trace_id, self.span_id, self.flags, true, TraceState::default());
        Context::new().with_remote_span_context(span)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags.to_u8())
    }
}

/// Not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed traceparent")]
pub struct MalformedTraceParent;

impl FromStr for TraceParent {
    type Err = MalformedTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let mut fields = text.split('-');
        let mut field = |length: usize| {
            fields
                .next()
                .filter(|field| field.len() == length)
                .filter(|field| field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
                .ok_or(MalformedTraceParent)
        };
        let version = field(2)?;
        let (trace_id, span_id, flags) = (field(32)?, field(16)?, field(2)?);
        // Version ff is forbidden; later versions may append fields, version 00 may not.
        if version == "ff" || (version == "00" && fields.next().is_some()) {
            return Err(MalformedTraceParent);
        }
        let parent = Self {
            trace_id: TraceId::from_hex(trace_id).map_err(|_| MalformedTraceParent)?,
            span_id: SpanId::from_hex(span_id).map_err(|_| MalformedTraceParent)?,
            flags: TraceFlags::new(
                u8::from_str_radix(flags, 16).map_err(|_| MalformedTraceParent)?,
            ),
        };
        let zero = parent.trace_id == TraceId::INVALID || parent.span_id == SpanId::INVALID;
        if zero { Err(MalformedTraceParent) } else { Ok(parent) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn tracer(propagation: Propagation) -> Tracer {
        let log = Log::open("test", None).unwrap();
        Tracer::start_exporting("test", "", propagation, &log).unwrap()
    }

    #[test]
    fn a_traceparent_survives_the_round_trip() {
        assert_eq!(EXAMPLE.parse::<TraceParent>().unwrap().to_string(), EXAMPLE);
    }

    #[test]
    fn a_malformed_traceparent_starts_a_new_trace() {
        let tracer = tracer(Propagation::TraceContext);
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(MalformedTraceParent), "{text:?}");
            assert!(!tracer.extract(Some(text)).has_active_span());
        }
    }

    #[test]
    fn a_child_keeps_the_trace_of_its_parent_and_is_sampled() {
        let tracer = tracer(Propagation::TraceContext);
        let parent = tracer.span("a", SpanKind::Producer, &Context::new());
        let remote = tracer.extract(tracer.inject(&parent).as_deref());
        let child = tracer.span("b", SpanKind::Consumer, &remote);
        assert_eq!(child.traceparent().trace_id, parent.traceparent().trace_id);
        assert_ne!(child.traceparent().span_id, parent.traceparent().span_id);
        let mut line = Line::new("task", "");
        child.identify(&mut line);
        assert_eq!(line.trace_flags.as_deref(), Some("01"));
        assert_eq!(line.trace_id.map(|id| id.len()), Some(32));
        assert_eq!(line.span_id.map(|id| id.len()), Some(16));
        // A caller that did not sample does not switch ours off.
        let unsampled = EXAMPLE.replace("-01", "-00");
        let child = tracer.span("c", SpanKind::Server, &tracer.extract(Some(&unsampled)));
        assert_eq!(child.traceparent().flags.to_u8(), 1);
        assert_eq!(child.traceparent().trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn without_propagation_nothing_is_taken_or_handed_on() {
        for (list, wanted) in [
            ("tracecontext,baggage", Propagation::TraceContext),
            (" tracecontext ", Propagation::TraceContext),
            ("none", Propagation::None),
            ("baggage", Propagation::None),
        ] {
            assert_eq!(list.parse(), Ok(wanted), "{list:?}");
        }
        assert!("b3".parse::<Propagation>().unwrap_err().contains("b3"));
        let tracer = tracer(Propagation::None);
        assert!(!tracer.extract(Some(EXAMPLE)).has_active_span());
        let span = tracer.span("a", SpanKind::Producer, &Context::new());
        assert_eq!(tracer.inject(&span), None);
        assert_eq!(span.traceparent().flags.to_u8(), 1);
    }
}
