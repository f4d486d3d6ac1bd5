//! What an instance holds, told to whichever asks. Knows no HTTP.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::json;
use crate::delivery::registry::Registry;

/// The question for one instance. Answer: [`Holdings`].
pub const DESCRIBE: &str = "instance.describe";

/// What an instance holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Its version.
    pub version: String,
    /// Logged-in sessions.
    pub sessions: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Bytes that wait in outboxes.
    pub outbox_bytes: u64,
}

/// Answers [`DESCRIBE`] for this instance.
pub fn answer_describe(registry: &Registry) -> Bytes {
    json(&holdings(registry))
}

/// What this instance holds.
pub fn holdings(registry: &Registry) -> Holdings {
    let stats = registry.stats();
    Holdings {
        version: env!("CARGO_PKG_VERSION").into(),
        sessions: stats.sessions,
        subscriptions: stats.subscriptions,
        outbox_bytes: stats.outbox_bytes,
    }
}
