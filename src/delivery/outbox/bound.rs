//! The bounds on what waits in an outbox: the session's own and the process's. Knows no queue.

use std::sync::atomic::Ordering;

use super::{Inner, Outbox, SHARE_OF_FREE};
use crate::limit::Limit;

impl Outbox {
    /// Of a slow consumer: the bound that it passed, and how many bytes that is.
    pub fn passed(&self) -> (Limit, usize) {
        match self.inner.lock().passed {
            Limit::OutboxBytes => (Limit::OutboxBytes, self.limit_bytes),
            all => (all, self.ledger.limit_bytes),
        }
    }

    /// Whether `bytes` more would pass a bound, which is then noted.
    pub(super) fn is_over(&self, inner: &mut Inner, bytes: usize) -> bool {
        let total = self.ledger.queued_bytes.load(Ordering::Relaxed);
        let free = self.ledger.limit_bytes.saturating_sub(total);
        let own = inner.queue.bytes() + inner.held_bytes;
        // What is left shrinks what one may have: many who never read are closed while there is room for who falls
        // behind for a moment, instead of whoever comes first once all is taken.
        let limit = self.limit_bytes.min(free / SHARE_OF_FREE);
        inner.passed = match own > 0 && own + bytes > self.limit_bytes {
            true => Limit::OutboxBytes,
            false => Limit::OutboxTotalBytes,
        };
        (own > 0 && own + bytes > limit) || bytes > free
    }
}
