//! What delivery measures, for whoever keeps it. Told once a walk, once a notification, or for frames that had to wait,
//! never once a delivery: a clock read for each would cost more than the rest of the walk. Knows no metric.

use std::time::Duration;

use crate::envelope::TraceContext;
use crate::limit::Limit;

/// Takes measurements. Called from the shards' threads and the sessions' tasks: it must not wait.
pub trait Measure: Send + Sync + 'static {
    /// A shard has a notification, `after` its arrival at this instance.
    fn reached_shard(&self, after: Duration, trace: &TraceContext);
    /// A shard has written a broadcast (with its neighbours in the mailbox) to all its subscribers.
    fn walked(&self, took: Duration, trace: &TraceContext);
    /// A frame that had to wait in an outbox is in the kernel; `trace` where its notification is recorded.
    fn waited(&self, took: Duration, trace: Option<&TraceContext>);
    /// A MESSAGE was acknowledged, so long after its write; `trace` where its notification is recorded.
    fn acknowledged(&self, took: Duration, trace: Option<&TraceContext>);
    /// A notification has to wait before it comes to a shard, for this bound.
    fn bound_reached(&self, limit: Limit);
}

/// Keeps nothing.
impl Measure for () {
    fn reached_shard(&self, _: Duration, _: &TraceContext) {}
    fn walked(&self, _: Duration, _: &TraceContext) {}
    fn waited(&self, _: Duration, _: Option<&TraceContext>) {}
    fn acknowledged(&self, _: Duration, _: Option<&TraceContext>) {}
    fn bound_reached(&self, _: Limit) {}
}
