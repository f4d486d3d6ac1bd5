//! The spans of a notification as a whole: `publish` where it is taken in, `deliver` at each instance that has a match,
//! `request` to a backend. Knows no session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::{Inner, Span, Tracer, Upstream};
use crate::destination::Target;
use crate::envelope::{Envelope, TraceContext};
use crate::telemetry::propagation::remote;

/// What every messaging span says first.
pub(super) fn attributes(operation: &'static str, kind: &'static str, destination: &str) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(12);
    attributes.extend([
        KeyValue::new("messaging.system", "herald"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.name", destination.to_owned()),
    ]);
    attributes
}

impl Tracer {
    /// The context that `envelope` travels with to all of `targets`, and the `publish` span that it is of; no span where
    /// `upstream` is not sampled, unless a target is a user under debug sampling, or has a session under it.
    pub fn publish(&self, upstream: &Upstream, targets: &[Target], envelope: &mut Envelope) -> Option<Span> {
        let debugged = |inner: &Inner| {
            targets.iter().any(|target| match target {
                Target::User { user, .. } => inner.debug.receives(user),
                Target::Broadcast(_) => false,
            })
        };
        let wanted = |inner: &&std::sync::Arc<Inner>| upstream.sampled || debugged(inner);
        let Some(inner) = self.0.as_ref().filter(wanted) else {
            envelope.trace.clone_from(&upstream.context);
            return None;
        };
        let destination = inner.destination(&envelope.target);
        let mut attributes = attributes("publish", "send", &destination);
        attributes.push(KeyValue::new("messaging.message.id", envelope.id.to_string()));
        attributes.push(KeyValue::new(
            "messaging.message.body.size",
            envelope.body.len() as i64,
        ));
        match (&envelope.target, targets.len()) {
            (_, 2..) => attributes.push(KeyValue::new(
                "messaging.batch.message_count",
                targets.len() as i64,
            )),
            (Target::User { user, .. }, _) => attributes.push(KeyValue::new("user.name", user.to_string())),
            (Target::Broadcast(_), _) => {}
        }
        let span = inner.below(
            upstream,
            format!("publish {destination}"),
            SpanKind::Producer,
            attributes,
        );
        envelope.trace = span.context();
        Some(span)
    }

    /// The `request` span of a SEND to the application destination `destination`, and the context that goes to the backend.
    pub fn request(
        &self,
        upstream: &Upstream,
        destination: &str,
        session: &str,
        body_bytes: usize,
    ) -> (TraceContext, Option<Span>) {
        let Some(inner) = self.0.as_ref().filter(|_| upstream.sampled) else {
            return (upstream.context.clone(), None);
        };
        let mut attributes = attributes("request", "send", destination);
        attributes.push(KeyValue::new("messaging.client.id", session.to_owned()));
        attributes.push(KeyValue::new("messaging.message.body.size", body_bytes as i64));
        let span = inner.below(
            upstream,
            format!("request {destination}"),
            SpanKind::Client,
            attributes,
        );
        (span.context(), Some(span))
    }

    /// The `deliver` span of a notification that came by the bus and has a match here; `envelope` carries its context
    /// from then on. Where no instance has decided yet, which is so for direct publishers on NATS, this one does.
    pub fn deliver(&self, envelope: &mut Envelope) -> Option<DeliverSpan> {
        let inner = self.0.as_ref()?;
        let trace = &envelope.trace;
        let sampled = if trace.decided {
            trace.is_sampled()
        } else {
            // Whoever may publish on NATS is trusted there.
            inner.sampler.decide(trace, true)
                || matches!(&envelope.target, Target::User { user, .. } if inner.debug.receives(user))
        };
        if !sampled {
            return None;
        }
        let destination = inner.destination(&envelope.target);
        let mut attributes = attributes("deliver", "process", &destination);
        attributes.push(KeyValue::new("messaging.message.id", envelope.id.to_string()));
        attributes.push(KeyValue::new(
            "messaging.message.body.size",
            envelope.body.len() as i64,
        ));
        if let Target::User { user, .. } = &envelope.target {
            attributes.push(KeyValue::new("user.name", user.to_string()));
        }
        let parent = remote(trace);
        let span = inner.start(
            format!("deliver {destination}"),
            SpanKind::Consumer,
            parent.as_ref(),
            SystemTime::now(),
            attributes,
        );
        envelope.trace = span.context();
        Some(DeliverSpan {
            span,
            written: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }
}

impl Inner {
    fn below(&self, upstream: &Upstream, name: String, kind: SpanKind, attributes: Vec<KeyValue>) -> Span {
        let parent = remote(&upstream.context);
        self.start(name, kind, parent.as_ref(), SystemTime::now(), attributes)
    }
}

/// A notification's way through one instance. Ends with the last shard's share, and says what became of it; where it
/// turns out that nobody subscribed, there is no span.
#[derive(Debug)]
pub struct DeliverSpan {
    span: Span,
    written: AtomicU64,
    queued: AtomicU64,
    dropped: AtomicU64,
}

impl DeliverSpan {
    /// Adds what one shard did: MESSAGEs written at once, queued, dropped.
    pub fn count(&self, written: u64, queued: u64, dropped: u64) {
        self.written.fetch_add(written, Ordering::Relaxed);
        self.queued.fetch_add(queued, Ordering::Relaxed);
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
    }
}

impl Drop for DeliverSpan {
    fn drop(&mut self) {
        let [written, queued, dropped] =
            [&mut self.written, &mut self.queued, &mut self.dropped].map(|count| *count.get_mut() as i64);
        let matched = written + queued + dropped;
        if matched == 0 {
            return self.span.discard();
        }
        for (name, count) in [
            ("herald.deliver.matched", matched),
            ("herald.deliver.written", written),
            ("herald.deliver.queued", queued),
            ("herald.deliver.dropped", dropped),
        ] {
            self.span.set(KeyValue::new(name, count));
        }
    }
}
