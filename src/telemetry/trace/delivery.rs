//! What delivery reports, as metrics and spans: `deliver` for a notification at each instance that has a match, `send`
//! and `ack` for one MESSAGE of it. Knows delivery only by its [`Trail`], and no shard, session or socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::Tracer;
use super::data::{DataSpan, attributes};
use super::decide::remote;
use crate::delivery::trail::{Counts, MessageTrail, NotificationTrail, Trail};
use crate::destination::Target;
use crate::envelope::{Envelope, MessageId, TraceContext, Unrecovered};
use crate::limit::Limit;
use crate::telemetry::metrics::{Metrics, Poison};

mod message;

pub use message::SendSpan;

/// Keeps what delivery tells: durations in the metrics, spans through the tracer.
#[derive(Clone)]
pub struct Recorder {
    metrics: Metrics,
    tracer: Tracer,
}

impl Recorder {
    /// Observes into `metrics`; makes spans by `tracer`, which may be off.
    pub fn new(metrics: Metrics, tracer: Tracer) -> Self {
        Self { metrics, tracer }
    }
}

impl Trail for Recorder {
    fn reached_shard(&self, after: Duration, trace: &TraceContext) {
        self.metrics.bus_to_shard.observe(after, trace.recorded_id());
    }

    fn walked(&self, took: Duration, trace: &TraceContext) {
        self.metrics.walk.observe(took, trace.recorded_id());
    }

    fn waited(&self, took: Duration, trace: Option<&TraceContext>) {
        let trace = trace.and_then(TraceContext::recorded_id);
        self.metrics.outbox_wait.observe(took, trace);
    }

    fn acknowledged(&self, took: Duration, trace: Option<&TraceContext>) {
        let trace = trace.and_then(TraceContext::recorded_id);
        self.metrics.ack.observe(took, trace);
    }

    fn bound_reached(&self, limit: Limit) {
        self.metrics.limit_hit(limit);
    }

    fn poisoned(&self, id: &MessageId) {
        self.metrics.poisoned(Poison::Notification);
        tracing::error!(%id, "a notification was dropped: encoding it panicked");
    }

    fn records(&self) -> bool {
        self.tracer.is_on()
    }

    fn resumed(&self, outcome: Result<usize, Unrecovered>) {
        self.metrics.resumed(outcome.err());
    }

    fn replayed(&self, from_tail: usize, from_stream: usize) {
        self.metrics.replayed(from_tail, from_stream);
    }

    fn notification(&self, envelope: &mut Arc<Envelope>) -> Option<Box<dyn NotificationTrail>> {
        let span = self.tracer.deliver(envelope)?;
        Some(Box::new(span))
    }

    fn message(&self, envelope: &Envelope, session: &str, replayed: bool) -> Option<Arc<dyn MessageTrail>> {
        let span = self.tracer.send(envelope, session, replayed)?;
        Some(Arc::new(span))
    }

    fn broadcast(&self, envelope: &Envelope) -> Option<Arc<dyn MessageTrail>> {
        let mark = self.tracer.mark(envelope)?;
        Some(Arc::new(mark))
    }
}

impl Tracer {
    /// The `deliver` span of a notification that came by the bus and has a match here; `envelope` carries its context
    /// from then on. If no instance has decided yet, as for direct publishers on NATS, this one does. That one has decided
    /// to record it is believed by its mark; that it has decided against it, from anybody.
    pub(in crate::telemetry) fn deliver(&self, envelope: &mut Arc<Envelope>) -> Option<DeliverSpan> {
        let inner = self.0.as_ref()?;
        let trace = &envelope.trace;
        let is_sampled = trace.is_sampled();
        let decided = trace.decided && (!is_sampled || inner.marks.knows(trace.mark, Instant::now()));
        let sampled = if decided {
            is_sampled
        } else {
            inner.sampler.decide(trace, inner.trust.nats())
                || matches!(&envelope.target, Target::User { user, .. } if inner.debug.receives(user))
        };
        if !sampled {
            if is_sampled {
                let envelope = Arc::make_mut(envelope);
                envelope.trace = std::mem::take(&mut envelope.trace).unsampled();
            }
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
        let span = inner.data(
            format!("deliver {destination}"),
            SpanKind::Consumer,
            parent.as_ref(),
            SystemTime::now(),
            attributes,
        );
        // Copied only now, where history holds it as well.
        Arc::make_mut(envelope).trace = span.context();
        Some(DeliverSpan {
            span,
            written: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }
}

/// A notification's way through one instance. Ends with the last shard's share and says what became of it; if nobody
/// turns out to be subscribed, there is no span.
#[derive(Debug)]
pub struct DeliverSpan {
    span: DataSpan,
    written: AtomicU64,
    queued: AtomicU64,
    dropped: AtomicU64,
}

impl NotificationTrail for DeliverSpan {
    fn add(&self, counts: Counts) {
        self.written.fetch_add(counts.written, Ordering::Relaxed);
        self.queued.fetch_add(counts.queued, Ordering::Relaxed);
        self.dropped.fetch_add(counts.dropped, Ordering::Relaxed);
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
