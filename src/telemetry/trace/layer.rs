//! Between `tracing` and OpenTelemetry's SDK: one layer for the process, created with the log, and in it a provider for
//! each instance. The layer accepts only spans of the target [`TARGET`], so that traces of the exporter's libraries
//! cannot become spans. A span's context names the instance that began it, and with that the provider that ends it.
//! Knows no span by name.
//!
//! Nothing is decided here: the code that begins a span has asked `decide` before, and every span that is begun is
//! recorded.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, TraceContextExt as _, TraceId, TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{IdGenerator, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanProcessor};
use parking_lot::Mutex;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::queue::Queue;

/// The target of every span that is exported.
pub const TARGET: &str = "herald::span";

/// The layer that exports spans. [`crate::telemetry::start`] installs it. A program that embeds Herald and has a subscriber
/// of its own adds it there; without it, an instance whose `tracing.endpoint` is set exports the spans of deliveries
/// alone.
pub fn layer<S>() -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET);
    tracing_opentelemetry::layer()
        .with_tracer(Route)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false)
        .with_filter(ours.with_max_level_hint(LevelFilter::INFO))
}

/// A provider whose spans end in `queue`. It records all that it is asked for; the SDK's own sampler and limits, which it
/// would read from the environment, do not count.
pub(super) fn tracer(queue: Arc<Queue>, scope: InstrumentationScope) -> SdkTracer {
    SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_span_limits(Default::default())
        .with_id_generator(Ids)
        .with_span_processor(Ended(queue))
        .build()
        .tracer_with_scope(scope)
}

/// Makes `span` one of `tracer`'s, below `parent`, and begins it: at `start`, or when it was made. `None` if no
/// [`layer`] listens to it; it is not recorded then.
pub(super) fn begin(
    span: &tracing::Span,
    tracer: &SdkTracer,
    parent: Option<SpanContext>,
    start: Option<SystemTime>,
) -> Option<SpanContext> {
    let context = Context::new().with_value(Origin {
        tracer: tracer.clone(),
        start: Mutex::new(start),
    });
    let context = match parent {
        Some(parent) => context.with_remote_span_context(parent),
        None => context,
    };
    span.set_parent(context).ok()?;
    let begun = span.context().span().span_context().clone();
    begun.is_valid().then_some(begun)
}

/// Whether this thread is in a span that is recorded.
pub(super) fn is_recording() -> bool {
    Context::map_current(|context| context.get::<Origin>().is_some())
}

/// Ids of the recorded span that this thread is in, in hex: of the trace, and of the span.
pub fn current() -> Option<(String, String)> {
    Context::map_current(|context| {
        context.get::<Origin>()?;
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid()
            .then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
    })
}

/// Where a span and those below it come from. Stands in their context.
struct Origin {
    tracer: SdkTracer,
    /// When the first of them began, if before it was made. Taken by that one.
    start: Mutex<Option<SystemTime>>,
}

/// Hands each span to the tracer that its context names.
#[derive(Debug, Clone, Copy)]
struct Route;

/// Ends the spans whose context names no tracer. Nobody in Herald begins such.
static NOWHERE: LazyLock<SdkTracer> = LazyLock::new(|| {
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff);
    provider.build().tracer(TARGET)
});

impl opentelemetry::trace::Tracer for Route {
    type Span = opentelemetry_sdk::trace::Span;

    fn build_with_context(&self, mut builder: SpanBuilder, parent: &Context) -> Self::Span {
        let Some(origin) = parent.get::<Origin>() else {
            return NOWHERE.build_with_context(builder, parent);
        };
        if let Some(start) = origin.start.lock().take() {
            builder.start_time = Some(start);
        }
        origin.tracer.build_with_context(builder, parent)
    }
}

/// Ids by fastrand: unlike the SDK's generator it needs no borrow of a thread's cell, and hand-made spans use it too.
#[derive(Debug)]
pub(super) struct Ids;

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_bytes(fastrand::u128(1..).to_be_bytes())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_bytes(fastrand::u64(1..).to_be_bytes())
    }
}

/// Puts ended spans into the queue, which counts what does not fit. The SDK's batch processor would drop it uncounted.
#[derive(Debug)]
struct Ended(Arc<Queue>);

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(span);
    }

    /// The exporting task flushes at its own end.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
