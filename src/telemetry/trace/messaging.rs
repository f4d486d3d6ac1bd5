//! The spans of an instance for messages that it accepts: `publish` of a notification, `request` to a backend. Knows no
//! session.

use tracing::info_span;

use super::decide::remote;
use super::layer::TARGET;
use super::{Inner, Span, Tracer, Upstream};
use crate::destination::Target;
use crate::envelope::{Envelope, TraceContext};

/// `messaging.system`
pub(super) const SYSTEM: &str = "herald";

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
        let user = match (&envelope.target, targets.len()) {
            (_, 2..) | (Target::Broadcast(_), _) => None,
            (Target::User { user, .. }, _) => Some(user.as_str()),
        };
        let name = format!("publish {destination}");
        let span = info_span!(
            target: TARGET,
            parent: None,
            "publish",
            otel.name = name,
            otel.kind = "producer",
            messaging.system = SYSTEM,
            messaging.operation.name = "publish",
            messaging.operation.type = "send",
            messaging.destination.name = destination,
            messaging.message.id = envelope.id.as_str(),
            messaging.message.body.size = envelope.body.len() as i64,
            messaging.batch.message_count = (targets.len() > 1).then_some(targets.len() as i64),
            user.name = user,
        );
        let span = inner.begin(span, remote(&upstream.context), None);
        envelope.trace = match &span {
            Some(span) => span.context(),
            None => upstream.context.clone(),
        };
        envelope.trace.decided = true;
        envelope.trace.mark = Some(inner.marks.own());
        span
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
        let name = format!("request {destination}");
        let span = info_span!(
            target: TARGET,
            parent: None,
            "request",
            otel.name = name,
            otel.kind = "client",
            messaging.system = SYSTEM,
            messaging.operation.name = "request",
            messaging.operation.type = "send",
            messaging.destination.name = destination,
            messaging.client.id = session,
            messaging.message.body.size = body_bytes as i64,
        );
        match inner.begin(span, remote(&upstream.context), None) {
            Some(span) => (span.context(), Some(span)),
            None => (upstream.context.clone(), None),
        }
    }
}
