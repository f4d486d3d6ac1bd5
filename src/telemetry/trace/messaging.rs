//! The spans of what is sent on the bus: `publish` for a notification that is taken in, `request` to a backend. Knows no
//! session.

use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::decide::remote;
use super::{Inner, Span, Tracer, Upstream};
use crate::destination::Target;
use crate::envelope::{Envelope, TraceContext};

/// What every messaging span says first.
pub(in crate::telemetry) fn attributes(
    operation: &'static str,
    kind: &'static str,
    destination: &str,
) -> Vec<KeyValue> {
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
}

impl Inner {
    fn below(&self, upstream: &Upstream, name: String, kind: SpanKind, attributes: Vec<KeyValue>) -> Span {
        let parent = remote(&upstream.context);
        self.start(name, kind, parent.as_ref(), SystemTime::now(), attributes)
    }
}
