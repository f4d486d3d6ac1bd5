//! The bounds on what waits in an outbox: the session's own and the process's. Knows no queue.

use std::sync::atomic::Ordering;

use super::{Inner, Outbox, SHARE_OF_FREE};
use crate::limit::Limit;

impl Outbox {
    /// The most bytes that may wait (`limits.outbox_bytes`).
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// For a slow consumer: the bound that it exceeded, and how many bytes that is.
    pub fn passed(&self) -> (Limit, usize) {
        match self.inner.lock().passed {
            Limit::OutboxBytes => (Limit::OutboxBytes, self.limit_bytes),
            all => (all, self.ledger.limit_bytes),
        }
    }

    /// Whether `bytes` more would exceed a bound, which is then recorded.
    pub(super) fn is_over(&self, inner: &mut Inner, bytes: usize) -> bool {
        let total = self.ledger.queued_bytes.load(Ordering::Relaxed);
        let free = self.ledger.limit_bytes.saturating_sub(total);
        let own = inner.queue.bytes() + inner.held_bytes;
        // The less is left, the less one session may have: many that never read are closed while there is room for a
        // session that falls behind for a moment, instead of whichever comes first once everything is taken.
        let limit = self.limit_bytes.min(free / SHARE_OF_FREE);
        inner.passed = match own > 0 && own + bytes > self.limit_bytes {
            true => Limit::OutboxBytes,
            false => Limit::OutboxTotalBytes,
        };
        (own > 0 && own + bytes > limit) || bytes > free
    }
}
