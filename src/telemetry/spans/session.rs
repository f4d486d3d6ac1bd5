//! The spans of one session's MESSAGE on a user destination: `send` until its bytes are in the kernel, and `ack` from
//! then until the client acknowledges. Knows no socket and no window.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanKind};
use parking_lot::Mutex;

use super::messaging::attributes;
use super::{Inner, Span, Tracer};
use crate::envelope::{Envelope, TraceContext};
use crate::telemetry::propagation::remote;

/// One MESSAGE on its way to one session, or the mark of a broadcast's trace. Shared by whoever holds the bytes and by the window that waits for its ACK; gone
/// without [`SendSpan::written`], it was dropped, has expired or was replaced.
pub struct SendSpan {
    inner: Arc<Inner>,
    parent: SpanContext,
    context: TraceContext,
    destination: String,
    message_id: String,
    /// None: a mark, shared by all sessions of a broadcast. It makes no span, and says to the histograms of those that have to
    /// wait or acknowledge of which trace they are.
    session: Option<Box<str>>,
    state: Mutex<State>,
}

enum State {
    Open(Span),
    Written(SystemTime),
    /// Nothing more to say.
    Over,
}

impl Tracer {
    /// The `send` span of `envelope` to the session `session`, where its trace is recorded.
    pub fn send(&self, envelope: &Envelope, session: &str) -> Option<Arc<SendSpan>> {
        let inner = self.0.as_ref().filter(|_| envelope.trace.is_sampled())?;
        let destination = inner.destination(&envelope.target);
        let message_id = envelope.message_id().to_string();
        let mut attributes = attributes("send", "send", &destination);
        attributes.push(KeyValue::new("messaging.message.id", message_id.clone()));
        attributes.push(KeyValue::new("messaging.client.id", session.to_owned()));
        let parent = remote(&envelope.trace)?;
        let parent = SpanContext::new(
            parent.trace_id(),
            parent.span_id(),
            parent.trace_flags(),
            false,
            parent.trace_state().clone(),
        );
        let name = format!("send {destination}");
        let span = inner.start(
            name,
            SpanKind::Internal,
            Some(&parent),
            SystemTime::now(),
            attributes,
        );
        Some(Arc::new(SendSpan {
            inner: inner.clone(),
            parent: span.span_context(),
            context: span.context(),
            destination,
            message_id,
            session: Some(session.into()),
            state: Mutex::new(State::Open(span)),
        }))
    }

    /// The mark of a broadcast's trace, where that is recorded.
    pub fn mark(&self, envelope: &Envelope) -> Option<Arc<SendSpan>> {
        let inner = self.0.as_ref().filter(|_| envelope.trace.is_sampled())?;
        Some(Arc::new(SendSpan {
            inner: inner.clone(),
            parent: SpanContext::NONE,
            context: envelope.trace.clone(),
            destination: String::new(),
            message_id: String::new(),
            session: None,
            state: Mutex::new(State::Over),
        }))
    }
}

impl SendSpan {
    /// MESSAGE's `traceparent`, where it is no other session's.
    pub fn own_traceparent(&self) -> Option<&str> {
        self.session.as_ref()?;
        self.context.traceparent.as_deref()
    }

    /// The span's context, or the broadcast's.
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// The last byte is in the kernel.
    pub fn written(&self) {
        let mut state = self.state.lock();
        if let State::Open(_) = &*state {
            let now = SystemTime::now();
            if let State::Open(span) = std::mem::replace(&mut *state, State::Written(now)) {
                drop(state);
                span.end_at(now);
            }
        }
    }

    /// The client has answered, by ACK or NACK, and may have said of which span.
    pub fn acknowledged(&self, positive: bool, by: &TraceContext) {
        if let Some(mut span) = self.ack() {
            span.link(by);
            if !positive {
                span.fail("nack", "refused by NACK");
            }
        }
    }

    /// The subscription has ended without an answer.
    pub fn unacknowledged(&self) {
        if let Some(mut span) = self.ack() {
            span.fail("unacknowledged", "unacknowledged");
        }
    }

    /// The `ack` span, which began when the bytes were in the kernel; none where they never were, and none twice.
    fn ack(&self) -> Option<Span> {
        let at = {
            let mut state = self.state.lock();
            let State::Written(at) = *state else { return None };
            *state = State::Over;
            at
        };
        let mut attributes = attributes("ack", "settle", &self.destination);
        attributes.push(KeyValue::new("messaging.message.id", self.message_id.clone()));
        let session = self.session.as_deref().unwrap_or_default();
        attributes.push(KeyValue::new("messaging.client.id", session.to_owned()));
        let name = "ack".to_owned();
        let parent = Some(&self.parent);
        Some(self.inner.start(name, SpanKind::Internal, parent, at, attributes))
    }
}

impl Drop for SendSpan {
    fn drop(&mut self) {
        if let State::Open(span) = self.state.get_mut() {
            span.fail("dropped", "dropped, expired or replaced while it waited");
        }
    }
}

impl std::fmt::Debug for SendSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SendSpan")
            .field(&self.context.traceparent)
            .finish()
    }
}
