//! The spans of a notification (docs/tracing.md), created only if `decide` decided so: with tracing off or the trace
//! not sampled, the cost is one `Option` check. Knows no transport and no exporter.
//!
//! Most are ordinary spans of `tracing`, which the [`layer()`] passes to OpenTelemetry's SDK: `POST …`, `CONNECT`,
//! `hash`, `publish`, `request`. The spans of a delivery are written as plain [`data`]. All end in the same `queue`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{SpanContext, Status};
use opentelemetry::{InstrumentationScope, Value};
use opentelemetry_sdk::trace::SdkTracer;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::destination::{Path, Target};
use crate::envelope::{Mark, TraceContext};
use crate::principal::UserName;
use decide::{DebugSampling, Debugged, Sampler, Trust};
use marks::Marks;
use queue::Queue;

mod data;
pub mod decide;
pub mod delivery;
pub mod export;
mod layer;
mod marks;
mod messaging;
mod queue;
mod server;

pub use layer::{TARGET, current, layer};
pub use server::{Request, hash};

/// Makes spans, or none. Cheap to clone; the default is off.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

struct Inner {
    queue: Arc<Queue>,
    /// Makes the ordinary spans; they end in `queue`.
    tracer: SdkTracer,
    /// Of the others.
    scope: InstrumentationScope,
    sampler: Sampler,
    trust: Trust,
    baggage: bool,
    debug: DebugSampling,
    marks: Marks,
    user_prefix: Path,
}

/// What a publisher came with, and what was decided about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Where sampled, the parent of what follows; else what goes on as it is.
    pub context: TraceContext,
    /// Whether what follows is recorded.
    pub sampled: bool,
}

impl Tracer {
    /// Records what `sampler` says into `queue`. `trust`, `baggage`: `[tracing]`; `user_prefix`: what a client's own
    /// destinations begin with.
    fn new(queue: Arc<Queue>, sampler: Sampler, trust: Trust, baggage: bool, user_prefix: Path) -> Self {
        let scope = InstrumentationScope::builder("herald")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self(Some(Arc::new(Inner {
            tracer: layer::tracer(queue.clone(), scope.clone()),
            queue,
            scope,
            sampler,
            trust,
            baggage,
            debug: DebugSampling::default(),
            marks: Marks::default(),
            user_prefix,
        })))
    }

    /// Whether anything is ever traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether clients at `address` may have a trace recorded (`tracing.trust`).
    pub fn trusts_address(&self, address: IpAddr) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.trust.network(address))
    }

    /// Whether the bearer of the API key `name` may.
    pub fn trusts_key(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.trust.key(name))
    }

    /// Whether a request's `baggage` is carried on.
    pub fn carries_baggage(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.baggage)
    }

    /// Traces all that `who` sends, and all that is sent on that user's own destinations, for `lasting`; zero ends it.
    pub fn debug(&self, who: Debugged, lasting: Duration) {
        if let Some(inner) = &self.0 {
            inner.debug.set(who, lasting, Instant::now());
        }
    }

    /// The mark that this instance puts on what it records; `None` if nothing is ever traced.
    pub fn own_mark(&self) -> Option<Mark> {
        self.0.as_ref().map(|inner| inner.marks.own())
    }

    /// Another instance has told its mark: what bears it is recorded without a further decision.
    pub fn heard_mark(&self, mark: Mark) {
        if let Some(inner) = &self.0 {
            inner.marks.heard(mark, Instant::now());
        }
    }

    /// Returns once an instance is new. Cancel-safe.
    pub async fn new_mark(&self) {
        match &self.0 {
            Some(inner) => inner.marks.news().await,
            None => std::future::pending().await,
        }
    }

    /// Decides, once, about what comes with `context` from a sender who is trusted or not, and who may be a user by one
    /// of its sessions.
    pub fn decide(
        &self,
        context: TraceContext,
        trusted: bool,
        sender: Option<(&UserName, &str)>,
    ) -> Upstream {
        let Some(inner) = &self.0 else {
            let sampled = false;
            return Upstream { context, sampled };
        };
        let debugged = || sender.is_some_and(|(user, session)| inner.debug.sends(user, session));
        let sampled = inner.sampler.decide(&context, trusted) || debugged();
        let context = if sampled { context } else { context.unsampled() };
        Upstream { context, sampled }
    }
}

impl Inner {
    /// What a client calls `target`: another user's name never stands in it.
    fn destination(&self, target: &Target) -> String {
        match target {
            Target::Broadcast(path) => path.as_str().to_owned(),
            Target::User { path, .. } => format!("{}{path}", self.user_prefix),
        }
    }

    /// Begins `span`, which is one of `tracing`'s: below `parent`, at `start` if that was before now. `None` if no
    /// [`layer()`] is installed.
    fn begin(
        &self,
        span: tracing::Span,
        parent: Option<SpanContext>,
        start: Option<SystemTime>,
    ) -> Option<Span> {
        let context = layer::begin(&span, &self.tracer, parent, start)?;
        Some(Span(span, text(&context)))
    }
}

/// A recorded span of `tracing`'s that is under way. It ends when the last handle to it is dropped.
#[derive(Clone)]
pub struct Span(tracing::Span, TraceContext);

impl Span {
    /// The context that makes others its children, in this process or elsewhere.
    pub fn context(&self) -> TraceContext {
        self.1.clone()
    }

    /// The span itself: what runs within it, by `in_scope` or `instrument`, has the span's ids in its log lines.
    pub fn tracing(&self) -> &tracing::Span {
        &self.0
    }

    /// Adds an attribute.
    fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(key, value);
    }

    /// Says that it failed: `kind` is `error.type`, of few values, `words` are for people.
    pub fn fail(&mut self, kind: impl Into<Value>, words: impl Into<std::borrow::Cow<'static, str>>) {
        self.set("error.type", kind);
        self.0.set_status(Status::error(words));
    }
}

/// `span` for `in_scope` and `instrument`; [`tracing::Span::none`], which costs nothing, if it is not recorded.
pub fn tracing_span(span: Option<&Span>) -> tracing::Span {
    span.map_or_else(tracing::Span::none, |span| span.0.clone())
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Span").field(&self.1.traceparent).finish()
    }
}

/// What a span's context is on the wire.
fn text(context: &SpanContext) -> TraceContext {
    let state = context.trace_state().header();
    let state = (!state.is_empty()).then(|| state.into());
    TraceContext::of_span(
        &context.trace_id().to_string(),
        &context.span_id().to_string(),
        state,
    )
}

/// A tracer that records everything and sends it nowhere.
#[cfg(test)]
pub(crate) fn recording(metrics: &super::metrics::Metrics) -> Tracer {
    let queue = Arc::new(Queue::new(64, metrics.clone()));
    let (sampler, prefix) = (Sampler::default(), Path::parse("/user").unwrap());
    Tracer::new(queue, sampler, Trust::default(), true, prefix)
}

#[cfg(test)]
mod tests;
