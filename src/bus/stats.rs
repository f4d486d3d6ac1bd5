//! The counters of a bus, as `/metrics` reads them. Pure data; knows no metric.

use super::{StreamStats, TailStats};
#[cfg(doc)]
use crate::envelope::Kind;

/// Counters since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// How often the connection was re-established.
    pub reconnects: u64,
    /// Incoming messages dropped because this instance read too slowly. Exact for those above `bus.incoming_bytes`.
    /// For those that the NATS client had no room for (`bus.subscription_capacity`) it is a lower bound: the client does
    /// not report every drop.
    pub slow_consumer_drops: u64,
    /// Incoming messages that cannot be delivered: subject not canonical, path or header invalid, body too large, or
    /// unreadable.
    pub undeliverable: u64,
    /// Incoming messages that were stale (`Herald-Expires`) on arrival or when the reader reached them.
    pub expired: u64,
    /// Notifications dropped because decoding one panicked.
    pub poisoned: u64,
    /// Subscriptions that the server currently refuses, not since start. 1 means any number over the server's limit.
    pub refused_subscriptions: u64,
    /// Messages that the server refused to publish because of missing permissions.
    pub refused_publishes: u64,
    /// Control messages without a valid signature, refused or not.
    pub unverified: Unverified,
    /// What history currently holds in this instance's memory, in the order of [`Kind::ALL`].
    pub tails: [TailStats; 2],
    /// How streams are read, in the same order. Zero without streams.
    pub streams: [StreamStats; 2],
    /// Publishes into streams that were repeated.
    pub publish_repeats: u64,
    /// Resumes that read a stream: with the index; with the index in vain, then with a search; with a search.
    pub resume_reads: [u64; 3],
    /// The size of `history.path` in bytes.
    pub history_file_bytes: u64,
}

/// Control messages without a valid signature, by cause (docs/nats.md).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unverified {
    /// No signature.
    pub unsigned: u64,
    /// A signature that no key of this instance made, or for another message.
    pub signature: u64,
    /// A valid signature, with a time more than 60 s from this instance's.
    pub clock: u64,
    /// A valid signature that was received before.
    pub replayed: u64,
}
