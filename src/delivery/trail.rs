//! What delivery reports about its work, for metrics and traces. Knows no metric, no span and no exporter.
//!
//! Nothing here is called for every delivery. An unrecorded notification is reported once per shard, once per walk, or when
//! a frame had to wait, because reading a clock for each delivery would cost more than the rest of the walk. A recorded
//! notification or MESSAGE has its own trail; for all others, the cost is one `Option` check.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::envelope::{Envelope, MessageId, TraceContext, Unrecovered};
use crate::limit::Limit;

/// Follows the notifications of one instance. The shards' threads and the sessions' tasks call it: it must not wait. A
/// method that is not implemented keeps nothing.
pub trait Trail: Send + Sync + 'static {
    /// A shard begins to deliver a notification, `after` its arrival at this instance.
    fn reached_shard(&self, after: Duration, trace: &TraceContext) {
        let _ = (after, trace);
    }

    /// A shard has written a broadcast (with its neighbours in the mailbox) to all its subscribers.
    fn walked(&self, took: Duration, trace: &TraceContext) {
        let _ = (took, trace);
    }

    /// A frame that had to wait in an outbox is in the kernel; `trace` if its notification is recorded.
    fn waited(&self, took: Duration, trace: Option<&TraceContext>) {
        let _ = (took, trace);
    }

    /// The client acknowledged a MESSAGE, `took` after its write; `trace` if its notification is recorded.
    fn acknowledged(&self, took: Duration, trace: Option<&TraceContext>) {
        let _ = (took, trace);
    }

    /// A notification has to wait before it reaches a shard, because `limit` is reached.
    fn bound_reached(&self, limit: Limit) {
        let _ = limit;
    }

    /// A subscription with `last-message-id` has begun: this many MESSAGEs are replayed, or none for a reason.
    fn resumed(&self, outcome: Result<usize, Unrecovered>) {
        let _ = outcome;
    }

    /// So many MESSAGEs were replayed out of this instance's memory, and so many out of the stream.
    fn replayed(&self, from_tail: usize, from_stream: usize) {
        let _ = (from_tail, from_stream);
    }

    /// The notification `id` was dropped, because encoding it panicked.
    fn poisoned(&self, _id: &MessageId) {}

    /// Whether any notification is ever recorded. Asked once, at the start; if not, the methods below are never called.
    fn records(&self) -> bool {
        false
    }

    /// A notification came from the bus and matches here. `Some` if it is recorded: `envelope` then carries the
    /// context under which this instance records it.
    fn notification(&self, envelope: &mut Arc<Envelope>) -> Option<Box<dyn NotificationTrail>> {
        let _ = envelope;
        None
    }

    /// A user's notification is sent to the session `session`; `replayed`: again, since the session missed it. `Some` if it is
    /// recorded.
    fn message(&self, envelope: &Envelope, session: &str, replayed: bool) -> Option<Arc<dyn MessageTrail>> {
        let _ = (envelope, session, replayed);
        None
    }

    /// The one trail that all MESSAGEs of a broadcast share. `Some` if it is recorded.
    fn broadcast(&self, envelope: &Envelope) -> Option<Arc<dyn MessageTrail>> {
        let _ = envelope;
        None
    }
}

/// Follows one recorded notification through this instance, until the last shard drops it.
pub trait NotificationTrail: Send + Sync {
    /// One shard is done with some of the notification's sessions.
    fn add(&self, counts: Counts);
}

/// Follows the bytes of one recorded MESSAGE. Shared by whoever holds them and by the window that waits for the ACK; if it
/// is dropped before [`MessageTrail::written`], the MESSAGE was dropped, expired or replaced.
pub trait MessageTrail: fmt::Debug + Send + Sync {
    /// The context under which the MESSAGE is recorded.
    fn context(&self) -> &TraceContext;

    /// The MESSAGE's `traceparent`, if this session has one of its own.
    fn own_traceparent(&self) -> Option<&str>;

    /// The last byte is in the kernel.
    fn written(&self);

    /// The client answered by ACK (`positive`) or NACK; `by` is the context that its frame carried.
    fn acknowledged(&self, positive: bool, by: &TraceContext);

    /// The subscription ended before the client answered.
    fn unacknowledged(&self);
}

/// What became of MESSAGEs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the kernel at once.
    pub written: u64,
    /// Waiting in an outbox or behind a window.
    pub queued: u64,
    /// Lost, because the session ended or was too slow.
    pub dropped: u64,
}

/// Keeps nothing.
impl Trail for () {}
