//! The bounds on what waits in an outbox: the session's own and, by user, the process's. Knows no queue.

use std::hash::Hash;

use super::{Inner, Outbox};
use crate::limit::{Limit, is_within_share};

impl Outbox {
    /// The most bytes that may wait (`limits.outbox_bytes`).
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// What waits here belongs to `owner` from now on: an address before login, then a user.
    pub(crate) fn belong_to(&self, owner: &impl Hash) {
        let account = self.ledger.queued.account(owner);
        let mut inner = self.inner.lock();
        let bytes = inner.bytes();
        self.ledger.queued.remove(inner.queue.account, bytes);
        self.ledger.queued.add(account, bytes);
        inner.queue.account = account;
    }

    /// Whether `bytes` more would leave half of the bound free, or nothing waits at all.
    pub fn has_half_free(&self, bytes: usize) -> bool {
        let inner = self.inner.lock();
        let own = inner.bytes();
        own == 0 || own.saturating_add(bytes) <= self.limit_bytes / 2
    }

    /// For a slow consumer: the bound that it exceeded, and how many bytes that is.
    pub fn passed(&self) -> (Limit, usize) {
        match self.inner.lock().passed {
            Limit::OutboxBytes => (Limit::OutboxBytes, self.limit_bytes),
            all => (all, self.ledger.queued.limit()),
        }
    }

    /// Whether `bytes` more would exceed a bound, which is then recorded.
    pub(super) fn is_over(&self, inner: &mut Inner, bytes: usize) -> bool {
        let left = self.ledger.queued.left(inner.queue.account);
        let own = inner.bytes();
        let is_over_own = own > 0 && own + bytes > self.limit_bytes;
        // The less its user has left, the less one session may have: many that never read are closed while there is room
        // for a session that falls behind for a moment, instead of whichever comes first once everything is taken.
        let is_over_share = own > 0 && !is_within_share(own + bytes, left + own);
        inner.passed = match is_over_own {
            true => Limit::OutboxBytes,
            false => Limit::OutboxTotalBytes,
        };
        is_over_own || is_over_share || bytes > left
    }
}
