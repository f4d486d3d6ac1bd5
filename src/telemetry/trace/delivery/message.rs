//! The spans of one session's MESSAGE on a user destination: `send` until its bytes are in the kernel, and `ack` from
//! then until the client acknowledges. Knows no socket and no window.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanKind};
use parking_lot::Mutex;

use crate::delivery::trail::MessageTrail;
use crate::envelope::{Envelope, TraceContext};
use crate::telemetry::trace::data::{DataSpan, attributes};
use crate::telemetry::trace::decide::remote;
use crate::telemetry::trace::{Inner, Tracer};

/// One MESSAGE on its way to one session, or the mark of a broadcast's trace.
pub struct SendSpan {
    inner: Arc<Inner>,
    parent: SpanContext,
    context: TraceContext,
    destination: String,
    message_id: String,
    /// `None` for a mark, which all sessions of a broadcast share: it makes no span, but names the trace to the histograms
    /// when a session has to wait or acknowledges.
    session: Option<Box<str>>,
    state: Mutex<State>,
}

enum State {
    Open(DataSpan),
    Written(SystemTime),
    /// Nothing more to say.
    Over,
}

impl Tracer {
    /// The `send` span of `envelope` to the session `session`, if its trace is recorded. `replayed`: it is sent again.
    pub(in crate::telemetry) fn send(
        &self,
        envelope: &Envelope,
        session: &str,
        replayed: bool,
    ) -> Option<SendSpan> {
        let inner = self.0.as_ref().filter(|_| envelope.trace.is_sampled())?;
        let destination = inner.destination(&envelope.target);
        let message_id = envelope.message_id().to_string();
        let mut attributes = attributes("send", "send", &destination);
        attributes.push(KeyValue::new("messaging.message.id", message_id.clone()));
        attributes.push(KeyValue::new("messaging.client.id", session.to_owned()));
        if replayed {
            attributes.push(KeyValue::new("herald.replayed", true));
        }
        let parent = remote(&envelope.trace)?;
        let parent = SpanContext::new(
            parent.trace_id(),
            parent.span_id(),
            parent.trace_flags(),
            false,
            parent.trace_state().clone(),
        );
        let name = format!("send {destination}");
        let span = inner.data(
            name,
            SpanKind::Internal,
            Some(&parent),
            SystemTime::now(),
            attributes,
        );
        Some(SendSpan {
            inner: inner.clone(),
            parent: span.span_context(),
            context: span.context(),
            destination,
            message_id,
            session: Some(session.into()),
            state: Mutex::new(State::Open(span)),
        })
    }

    /// The mark of a broadcast's trace, if that is recorded.
    pub(in crate::telemetry) fn mark(&self, envelope: &Envelope) -> Option<SendSpan> {
        let inner = self.0.as_ref().filter(|_| envelope.trace.is_sampled())?;
        Some(SendSpan {
            inner: inner.clone(),
            parent: SpanContext::NONE,
            context: envelope.trace.clone(),
            destination: String::new(),
            message_id: String::new(),
            session: None,
            state: Mutex::new(State::Over),
        })
    }
}

impl MessageTrail for SendSpan {
    fn context(&self) -> &TraceContext {
        &self.context
    }

    fn own_traceparent(&self) -> Option<&str> {
        self.session.as_ref()?;
        self.context.traceparent.as_deref()
    }

    fn written(&self) {
        let mut state = self.state.lock();
        if let State::Open(_) = &*state {
            let now = SystemTime::now();
            if let State::Open(span) = std::mem::replace(&mut *state, State::Written(now)) {
                drop(state);
                span.end_at(now);
            }
        }
    }

    fn acknowledged(&self, positive: bool, by: &TraceContext) {
        if let Some(mut span) = self.ack() {
            span.link(by);
            if !positive {
                span.fail("nack", "refused by NACK");
            }
        }
    }

    fn unacknowledged(&self) {
        if let Some(mut span) = self.ack() {
            span.fail("unacknowledged", "unacknowledged");
        }
    }
}

impl SendSpan {
    /// The `ack` span, which began when the bytes were in the kernel. `None` if they never were, and the second time.
    fn ack(&self) -> Option<DataSpan> {
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
        Some(self.inner.data(name, SpanKind::Internal, parent, at, attributes))
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
