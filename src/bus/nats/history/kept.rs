//! The parts of one kind's history: its stream, its reader's state, its tail. Knows no request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Published;
use crate::bus::feed::{Feed, FeedSender};
use crate::bus::history::Position;
use crate::bus::nats::live::{SharedTail, State};
use crate::bus::nats::store::Stored;
use crate::bus::nats::streams::Plan;

/// One kind's history.
pub(super) struct KeptKind {
    pub(super) plan: Arc<Plan>,
    pub(super) state: Arc<State>,
    pub(super) tail: SharedTail,
    pub(super) tail_bytes: usize,
    pub(super) feed: Mutex<(Option<FeedSender>, Option<Feed>)>,
    /// Counts notifications that were stale when the relay reached them.
    pub(super) stale: Arc<AtomicU64>,
    pub(super) epoch_subject: String,
}

impl KeptKind {
    /// The stream's epoch as known now.
    pub(super) fn epoch(&self) -> u64 {
        self.state.epoch.load(Ordering::Relaxed)
    }

    /// Whether the stream's epoch is known; without it there are no positions.
    pub(super) fn is_known(&self) -> bool {
        self.epoch() != 0
    }

    /// Turns JetStream's answer into a position.
    pub(super) fn published(&self, stored: Stored) -> Published {
        let Stored { epoch, sequence, .. } = stored;
        Published {
            position: Position { epoch, sequence },
            is_known: stored.is_known,
            is_duplicate: stored.is_duplicate,
            is_misplaced: stored.is_misplaced,
        }
    }
}
