//! Local fan-out: delivers a notification to the sockets of this instance's sessions. Knows no bus, no runtime and no
//! WebSocket crate: it writes the unmasked WebSocket header itself and reaches a socket through [`outbox::TryWrite`].
//!
//! **Order.** Each session belongs to one shard. After login, everything that is written to the session goes through that
//! shard's only mailbox: notifications, receipts, pongs, errors. The order of the mailbox is the order on the wire.

use serde::{Deserialize, Serialize};

use crate::setting::Findings;

pub(crate) mod acks;
pub mod command;
pub(crate) mod counters;
pub(crate) mod explain;
mod fanout;
mod frames;
pub(crate) mod heads;
mod heartbeat;
mod interest;
pub(crate) mod ledger;
mod life;
mod mailbox;
pub mod outbox;
mod outgoing;
pub mod registry;
mod roster;
pub mod sent;
mod shard;
mod topics;
pub(crate) mod trail;
mod wheel;
mod window;
pub mod wire;

pub(crate) use shard::closing::retry_after_ms;
pub(crate) use shard::held;

/// `[delivery]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The number of threads that deliver. Each owns a part of the sessions.
    pub shards: usize,
    /// How many commands may wait for a shard before their senders have to wait.
    pub mailbox: usize,
}

impl Config {
    /// Checks that the threads and their mailboxes are bounded.
    pub fn check(&self, findings: &mut Findings) {
        findings.within("delivery.shards", self.shards, 1, 64);
        findings.within("delivery.mailbox", self.mailbox, 1, 1 << 20);
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 1,
            mailbox: 1_024,
        }
    }
}

/// Up to this many subscriptions, a session's vector has exactly the capacity that it needs.
const EXACT_UP_TO: usize = 4;

/// Reserves room for one more subscription of a session. Most sessions have one or two, and a vector usually
/// grows to a capacity of four first.
pub fn reserve_one<T>(subscriptions: &mut Vec<T>) {
    if subscriptions.len() < EXACT_UP_TO {
        subscriptions.reserve_exact(1);
    }
}

/// What a logged-in session costs here, in bytes. For the benchmark's output, so that growth is visible.
pub fn sizes() -> [(&'static str, usize); 6] {
    let [hot, session, subscription] = roster::sizes();
    [
        ("its outbox", size_of::<outbox::Outbox>()),
        ("its place in its shard's dense vector", hot),
        ("its entry beside that", session),
        ("a subscription of that entry", subscription),
        (
            "a subscription's place among the members of its group",
            size_of::<roster::Slot>(),
        ),
        ("two timers of heart-beats", 2 * size_of::<wheel::Timer>()),
    ]
}
