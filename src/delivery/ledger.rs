//! The total of what all outboxes of the process hold, and of what was lost while it waited. Atomics only; knows no session.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::trail::Trail;
use crate::limit::Total;

/// What all outboxes of the process share: the bound on their sum, and what was lost while it waited.
pub struct Ledger {
    /// The bytes that wait at the moment, by the user whose they are, and `limits.outbox_total_bytes`. What is written at
    /// once is never counted.
    pub(super) queued: Arc<Total>,
    /// MESSAGEs that went stale while they waited.
    pub expired: AtomicU64,
    /// MESSAGEs replaced by a newer one with the same collapse key while they waited.
    pub collapsed: AtomicU64,
    /// MESSAGEs dropped while they waited: session closed, or unsubscribed.
    pub dropped: AtomicU64,
    /// Told how long frames waited.
    pub(super) trail: Arc<dyn Trail>,
}

impl Ledger {
    /// An empty ledger that allows `limit_bytes` to wait, and tells `trail` how long frames did.
    pub fn new(limit_bytes: usize, trail: Arc<dyn Trail>) -> Self {
        Self {
            queued: Total::new(limit_bytes),
            expired: AtomicU64::new(0),
            collapsed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            trail,
        }
    }

    /// The bytes that wait at the moment.
    pub fn queued_bytes(&self) -> usize {
        self.queued.held()
    }
}
