//! Local fan-out: from a notification to the sockets of this instance's sessions. Knows no bus, no runtime and no
//! WebSocket crate: it writes the unmasked WebSocket head itself and reaches a socket through [`outbox::TryWrite`].
//!
//! **Order.** Each session belongs to one shard, and everything that is ever written to it after login comes through
//! that shard's one mailbox: notifications, receipts, pongs, errors. The mailbox's order is the order on the wire.

use serde::{Deserialize, Serialize};

pub mod command;
pub mod explain;
mod fanout;
pub mod interest;
pub mod ledger;
pub mod measure;
mod members;
pub mod outbox;
pub mod outgoing;
pub mod registry;
mod shard;
mod wheel;
mod window;
pub mod wire;

/// `[delivery]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads that fan out; each owns its part of the sessions.
    pub shards: usize,
    /// Commands that wait for a shard before senders wait.
    pub mailbox: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 1,
            mailbox: 1_024,
        }
    }
}
