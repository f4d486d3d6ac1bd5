//! Which sessions a notification would reach, and why not the others: what an operator asks. Types only; the shard that
//! owns the sessions answers. Knows no HTTP and no bus.

use serde::{Deserialize, Serialize};

/// What a subscription does with a notification that comes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Straight to the socket.
    AtOnce,
    /// Into the outbox, behind what waits there: the client reads too slowly at present.
    Queued,
    /// Held until the client acknowledges: as many MESSAGEs as it may have are unacknowledged.
    Held,
}

/// Why a session does not get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It subscribes to nothing of the kind.
    NotSubscribed,
    /// It subscribes to the user destination of this name, and this is a broadcast.
    SubscribedToUserDestination,
    /// It subscribes to the broadcast destination of this name, and this is for the user alone.
    SubscribedToBroadcast,
}

/// One subscription that would get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// CONNECTED's `session`.
    pub session: String,
    /// Whose.
    pub user: String,
    /// SUBSCRIBE's `id`.
    pub subscription: Option<String>,
    /// What would happen to it.
    pub way: Way,
    /// Bytes that wait for the session.
    pub waiting_bytes: u64,
    /// MESSAGEs of the subscription that wait for their ACK; none in ack mode `auto`.
    pub unacknowledged: Option<u64>,
}

/// One session that would not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// CONNECTED's `session`.
    pub session: String,
    /// Whose.
    pub user: String,
    /// Why not.
    pub why: Why,
    /// What it subscribes to, the first few.
    pub subscriptions: Vec<String>,
}

/// One instance's answer. The lists are bounded, the counts are whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Subscriptions that would get it.
    pub reached: Vec<Reached>,
    /// How many there are.
    pub reached_count: u64,
    /// Of a user's notification, that user's other sessions; of a broadcast, all others.
    pub missed: Vec<Missed>,
    /// How many there are.
    pub missed_count: u64,
}

impl Explained {
    /// Adds another shard's answer.
    pub fn add(&mut self, other: Self, max: usize) {
        self.reached_count += other.reached_count;
        self.missed_count += other.missed_count;
        self.reached.extend(other.reached);
        self.reached.truncate(max);
        self.missed.extend(other.missed);
        self.missed.truncate(max);
    }
}
