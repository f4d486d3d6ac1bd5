//! The handle to the shards: every other module's way into `delivery/`. Cheap to clone.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::close_reason::CloseReason;
use crate::destination::Path;
use crate::envelope::Envelope;
use crate::principal::UserName;

/// Sends commands to the shards and reads what they count.
#[derive(Clone)]
pub struct Registry {}

/// One session as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// CONNECTED's `session`.
    pub session: String,
    /// Since when, in Unix ms.
    pub since_ms: u64,
    /// Where the client connects from.
    pub address: IpAddr,
    /// Destinations as the client wrote them.
    pub subscriptions: Vec<String>,
}

/// What the shards have counted since start, and what they hold now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Logged-in sessions now.
    pub sessions: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Bytes that wait in outboxes now.
    pub outbox_bytes: u64,
    /// MESSAGEs written to a socket at once.
    pub written: u64,
    /// MESSAGEs that had to wait in an outbox.
    pub queued: u64,
    /// MESSAGEs dropped: outbox full, session closing, or unsubscribed while waiting.
    pub dropped: u64,
    /// MESSAGEs that went stale while they waited.
    pub expired: u64,
    /// Notifications that no session of this instance wanted.
    pub unmatched: u64,
    /// Notifications that at least one session wanted.
    pub matched: u64,
    /// Sessions closed as slow consumers.
    pub overflows: u64,
    /// Pings sent to silent clients.
    pub pings: u64,
    /// Sessions reaped for silence.
    pub reaped: u64,
}

impl Registry {
    /// Hands a notification to every shard that has a match; waits where a shard's mailbox is full.
    pub async fn deliver(&self, _envelope: Arc<Envelope>) {}

    /// Closes all sessions of `user` on this instance.
    pub async fn close_user(&self, _user: &UserName, _reason: CloseReason) {}

    /// The sessions of `user` on this instance.
    pub async fn sessions_of(&self, _user: &UserName) -> Vec<SessionView> {
        Vec::new()
    }

    /// How many subscriptions this instance has to a broadcast destination.
    pub fn subscribers(&self, _path: &Path) -> usize {
        0
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
