//! A frame that has to wait, and what can happen to it while it waits. Knows no queue and no socket.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::trail::MessageTrail;
use crate::envelope::CollapseKey;

/// One whole WebSocket message that has to wait: a head of its own and a rest that may be shared.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The first bytes.
    pub head: Bytes,
    /// The bytes after them. Empty if `head` is everything.
    pub rest: Bytes,
    /// The session's own number of the subscription that the frame is for. `None` for everything but MESSAGE.
    pub subscription: Option<u32>,
    /// When to drop the frame unwritten, in Unix ms.
    pub expires_at_ms: Option<u64>,
    /// A newer MESSAGE of the same subscription with the same key replaces it while it waits.
    pub collapse: Option<CollapseKey>,
    /// Its trail if it is recorded: the session's own on user destinations, one for all sessions on broadcasts.
    pub trail: Option<Arc<dyn MessageTrail>>,
    /// Since when it has been waiting in an outbox, which sets this.
    pub(super) since: Option<Instant>,
}

impl Outgoing {
    /// A frame that belongs to no subscription and never expires.
    pub fn plain(bytes: Bytes) -> Self {
        Self {
            head: bytes,
            rest: Bytes::new(),
            subscription: None,
            expires_at_ms: None,
            collapse: None,
            trail: None,
            since: None,
        }
    }

    /// The bytes still to be written.
    pub fn len(&self) -> usize {
        self.head.len() + self.rest.len()
    }

    /// Whether nothing is left to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records that the last byte is in the kernel.
    pub(super) fn written(&self) {
        if let Some(trail) = &self.trail {
            trail.written();
        }
    }

    /// Removes `n` bytes from the front. Returns what is left of `n` once this frame is empty.
    pub(super) fn advance(&mut self, n: usize) -> usize {
        let from_head = n.min(self.head.len());
        drop(self.head.split_to(from_head));
        let from_rest = (n - from_head).min(self.rest.len());
        drop(self.rest.split_to(from_rest));
        n - from_head - from_rest
    }
}
