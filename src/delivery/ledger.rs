//! What the sessions' outboxes share with others: the process's sum, and what a session's task and its shard tell each
//! other about the peer. Atomics only; knows no socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

use super::trail::Trail;

/// What all outboxes of the process share: the bound on their sum, and what was lost while waiting.
pub struct Ledger {
    /// Bytes that wait now.
    pub queued_bytes: AtomicUsize,
    /// `limits.outbox_total_bytes`.
    pub(super) limit_bytes: usize,
    /// MESSAGEs gone stale while they waited.
    pub expired: AtomicU64,
    /// MESSAGEs replaced by a newer one with the same collapse key while they waited.
    pub collapsed: AtomicU64,
    /// MESSAGEs dropped while they waited: session closed, or unsubscribed.
    pub dropped: AtomicU64,
    /// Told how long frames waited.
    pub(super) trail: Arc<dyn Trail>,
}

impl Ledger {
    /// An empty ledger that lets at most `limit_bytes` wait, and tells `trail` for how long.
    pub fn new(limit_bytes: usize, trail: Arc<dyn Trail>) -> Self {
        Self {
            queued_bytes: AtomicUsize::new(0),
            limit_bytes,
            expired: AtomicU64::new(0),
            collapsed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            trail,
        }
    }
}

/// When the peer was last heard, in ticks of the registry's clock; written by the task, read by the shard.
#[derive(Debug, Default)]
pub struct Liveness {
    /// The last byte that was no pong.
    pub heard: AtomicU32,
    /// The last pong.
    pub pong: AtomicU32,
    /// The session's own reading stands still for back-pressure: silence is not the peer's.
    pub paused: AtomicBool,
}
