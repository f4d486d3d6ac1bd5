//! The spans of a notification (docs/tracing.md), made where the decision in `decide` was yes and nowhere else. A
//! span ends when it is dropped, and then goes to the `queue`. Knows no transport and no exporter; what is off
//! or not sampled costs a look at an `Option`.
//!
//! Spans are written as OpenTelemetry's plain data and not through its tracer, whose API keeps a thread's current span:
//! a notification changes threads, and its spans end on another than they began.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::destination::{Path, Target};
use crate::envelope::TraceContext;
use crate::principal::UserName;
use decide::{DebugSampling, Debugged, Sampler, Trust, remote};
use queue::Queue;

pub mod decide;
pub mod delivery;
pub mod export;
mod messaging;
mod queue;
mod server;

pub use server::{Request, ServerSpan};

/// Makes spans, or none. Cheap to clone; the default is off.
#[derive(Clone, Default)]
pub struct Tracer(pub(super) Option<Arc<Inner>>);

pub(super) struct Inner {
    pub queue: Arc<Queue>,
    pub sampler: Sampler,
    pub trust: Trust,
    pub baggage: bool,
    pub debug: DebugSampling,
    pub user_prefix: Path,
    pub scope: InstrumentationScope,
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
    pub(super) fn new(inner: Inner) -> Self {
        Self(Some(Arc::new(inner)))
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
    pub(super) fn destination(&self, target: &Target) -> String {
        match target {
            Target::Broadcast(path) => path.as_str().to_owned(),
            Target::User { path, .. } => format!("{}{path}", self.user_prefix),
        }
    }

    /// A span from `start` on, below `parent`, or the first of its trace.
    pub(super) fn start(
        &self,
        name: String,
        kind: SpanKind,
        parent: Option<&SpanContext>,
        start: SystemTime,
        attributes: Vec<KeyValue>,
    ) -> Span {
        let trace_id = parent.map_or_else(
            || TraceId::from_bytes(fastrand::u128(1..).to_be_bytes()),
            SpanContext::trace_id,
        );
        let span_id = SpanId::from_bytes(fastrand::u64(1..).to_be_bytes());
        let state = parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone());
        let data = SpanData {
            span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, state),
            parent_span_id: parent.map_or(SpanId::INVALID, SpanContext::span_id),
            parent_span_is_remote: parent.is_some_and(SpanContext::is_remote),
            span_kind: kind,
            name: name.into(),
            start_time: start,
            end_time: start,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        };
        Span {
            data: Some(Box::new(data)),
            queue: self.queue.clone(),
        }
    }
}

/// A span that is under way. Its drop ends it.
pub struct Span {
    /// None once it is given away.
    data: Option<Box<SpanData>>,
    queue: Arc<Queue>,
}

impl Span {
    /// The context that makes others its children, in this process or elsewhere.
    pub fn context(&self) -> TraceContext {
        let Some(data) = &self.data else {
            return TraceContext::default();
        };
        let (trace_id, span_id) = (data.span_context.trace_id(), data.span_context.span_id());
        let state = data.span_context.trace_state().header();
        let state = (!state.is_empty()).then(|| state.into());
        TraceContext::of_span(&trace_id.to_string(), &span_id.to_string(), state)
    }

    /// The same in numbers.
    pub(super) fn span_context(&self) -> SpanContext {
        self.data
            .as_ref()
            .map_or(SpanContext::NONE, |data| data.span_context.clone())
    }

    /// Adds an attribute.
    pub fn set(&mut self, attribute: KeyValue) {
        if let Some(data) = &mut self.data {
            data.attributes.push(attribute);
        }
    }

    /// Adds a link to the span that `context` is of, if it is of one.
    pub(super) fn link(&mut self, context: &TraceContext) {
        if let (Some(data), Some(other)) = (&mut self.data, remote(context)) {
            data.links.links.push(Link::with_context(other));
        }
    }

    /// Says that it failed: `kind` is `error.type`, of few values, `words` are for people.
    pub fn fail(&mut self, kind: impl Into<Value>, words: impl Into<std::borrow::Cow<'static, str>>) {
        self.set(KeyValue::new("error.type", kind.into()));
        if let Some(data) = &mut self.data {
            data.status = Status::error(words);
        }
    }

    /// Ends it at `end`.
    pub(super) fn end_at(mut self, end: SystemTime) {
        if let Some(mut data) = self.data.take() {
            data.end_time = end.max(data.start_time);
            self.queue.push(*data);
        }
    }

    /// As if it had never been.
    pub(super) fn discard(&mut self) {
        self.data = None;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut data) = self.data.take() {
            data.end_time = SystemTime::now().max(data.start_time);
            self.queue.push(*data);
        }
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.data.as_ref().map(|data| &data.name);
        f.debug_tuple("Span").field(&name).finish()
    }
}

#[cfg(test)]
mod tests;
