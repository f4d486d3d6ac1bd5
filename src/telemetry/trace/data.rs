//! Spans written as OpenTelemetry's plain data: those that end on another thread than they began, may be discarded, or
//! begin in the past. Dropping one ends it, and puts it into the queue of all spans. Knows no span by name.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{IdGenerator as _, SpanData, SpanEvents, SpanLinks};

use super::decide::remote;
use super::layer::Ids;
use super::messaging::SYSTEM;
use super::queue::Queue;
use super::{Inner, text};
use crate::envelope::TraceContext;

/// What every messaging span says first.
pub(super) fn attributes(operation: &'static str, kind: &'static str, destination: &str) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(12);
    attributes.extend([
        KeyValue::new("messaging.system", SYSTEM),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.name", destination.to_owned()),
    ]);
    attributes
}

impl Inner {
    /// A span from `start` on, below `parent`, or the first of its trace.
    pub(super) fn data(
        &self,
        name: String,
        kind: SpanKind,
        parent: Option<&SpanContext>,
        start: SystemTime,
        attributes: Vec<KeyValue>,
    ) -> DataSpan {
        let trace_id = parent.map_or_else(|| Ids.new_trace_id(), SpanContext::trace_id);
        let span_id = Ids.new_span_id();
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
        DataSpan {
            data: Some(Box::new(data)),
            queue: self.queue.clone(),
        }
    }
}

/// A span that is under way. Its drop ends it.
pub(super) struct DataSpan {
    /// None once it is given away.
    data: Option<Box<SpanData>>,
    queue: Arc<Queue>,
}

impl DataSpan {
    /// The context that makes others its children, in this process or elsewhere.
    pub(super) fn context(&self) -> TraceContext {
        let Some(data) = &self.data else {
            return TraceContext::default();
        };
        text(&data.span_context)
    }

    /// The same in numbers.
    pub(super) fn span_context(&self) -> SpanContext {
        self.data
            .as_ref()
            .map_or(SpanContext::NONE, |data| data.span_context.clone())
    }

    /// Adds an attribute.
    pub(super) fn set(&mut self, attribute: KeyValue) {
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
    pub(super) fn fail(&mut self, kind: impl Into<Value>, words: impl Into<std::borrow::Cow<'static, str>>) {
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

impl Drop for DataSpan {
    fn drop(&mut self) {
        if let Some(mut data) = self.data.take() {
            data.end_time = SystemTime::now().max(data.start_time);
            self.queue.push(*data);
        }
    }
}

impl std::fmt::Debug for DataSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.data.as_ref().map(|data| &data.name);
        f.debug_tuple("DataSpan").field(&name).finish()
    }
}
