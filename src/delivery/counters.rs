//! The counters of shards and outboxes, and a snapshot of them. Knows no metric.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ledger::Ledger;

/// The counters of the shards.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) sessions: AtomicU64,
    pub(super) subscriptions: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) overflows: AtomicU64,
    pub(super) pings: AtomicU64,
    pub(super) reaped: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unacknowledged: AtomicU64,
    pub(super) matched: AtomicU64,
    pub(super) unmatched: AtomicU64,
}

/// What the shards have counted since start, and what they hold at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Logged-in sessions at the moment.
    pub sessions: u64,
    /// Subscriptions at the moment.
    pub subscriptions: u64,
    /// Bytes waiting in outboxes at the moment.
    pub outbox_bytes: u64,
    /// MESSAGEs written to a socket at once.
    pub written: u64,
    /// MESSAGEs that had to wait in an outbox.
    pub queued: u64,
    /// MESSAGEs dropped: the outbox was full, the session closing, or the subscription ended while they waited.
    pub dropped: u64,
    /// MESSAGEs that went stale while they waited.
    pub expired: u64,
    /// Notifications that no session of this instance wanted.
    pub unmatched: u64,
    /// Notifications that at least one session may have wanted.
    pub matched: u64,
    /// Sessions closed as slow consumers.
    pub overflows: u64,
    /// Pings sent to silent clients.
    pub pings: u64,
    /// Sessions reaped for silence.
    pub reaped: u64,
    /// MESSAGEs acknowledged by ACK.
    pub acknowledged: u64,
    /// MESSAGEs refused by NACK.
    pub refused: u64,
    /// MESSAGEs whose subscription ended before they were acknowledged.
    pub unacknowledged: u64,
    /// MESSAGEs replaced by a newer one with the same collapse key while they waited.
    pub collapsed: u64,
}

impl Stats {
    pub(super) fn of(counters: &Counters, ledger: &Ledger) -> Self {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            sessions: get(&counters.sessions),
            subscriptions: get(&counters.subscriptions),
            outbox_bytes: ledger.queued_bytes() as u64,
            written: get(&counters.written),
            queued: get(&counters.queued),
            dropped: get(&counters.dropped) + get(&ledger.dropped),
            expired: get(&ledger.expired),
            unmatched: get(&counters.unmatched),
            matched: get(&counters.matched),
            overflows: get(&counters.overflows),
            pings: get(&counters.pings),
            reaped: get(&counters.reaped),
            acknowledged: get(&counters.acknowledged),
            refused: get(&counters.refused),
            unacknowledged: get(&counters.unacknowledged),
            collapsed: get(&ledger.collapsed),
        }
    }
}
