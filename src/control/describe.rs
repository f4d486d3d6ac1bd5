//! Answers questions about an instance's state. Knows no HTTP.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::question::{Nothing, Question};
use crate::delivery::registry::Registry;

/// What do you hold?
pub(crate) struct Describe;

impl Question for Describe {
    const KIND: &'static str = "instance.describe";
    type Ask = Nothing;
    type Answer = Holdings;
}

/// What an instance holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holdings {
    /// Its version.
    pub version: String,
    /// Logged-in sessions.
    pub sessions: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Bytes that wait in outboxes.
    pub outbox_bytes: u64,
}

/// Answers [`Describe`].
pub(crate) fn register(desk: &mut Desk, registry: &Registry) {
    let registry = registry.clone();
    desk.answer::<Describe, _>(move |Nothing| std::future::ready(Ok(holdings(&registry))));
}

/// What this instance holds.
pub(crate) fn holdings(registry: &Registry) -> Holdings {
    let stats = registry.stats();
    Holdings {
        version: env!("CARGO_PKG_VERSION").into(),
        sessions: stats.sessions,
        subscriptions: stats.subscriptions,
        outbox_bytes: stats.outbox_bytes,
    }
}
