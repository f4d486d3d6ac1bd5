//! Which sessions a notification would reach, and why it would not reach the others, for operators. Types only; the shard
//! that owns the sessions answers. Knows no HTTP and no bus.

use serde::{Deserialize, Serialize};

/// What would happen to a notification for a subscription at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// It would be written straight to the socket.
    AtOnce,
    /// It would join the outbox, behind what waits there: the client is reading too slowly.
    Queued,
    /// It would be held until the client acknowledges: the maximum number of MESSAGEs is unacknowledged.
    Held,
    /// It would wait until the subscription's replay has been sent: the client has just come back.
    Resuming,
}

/// Why a session would not get the notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It has no matching subscription.
    NotSubscribed,
    /// It subscribes to the user destination of this name, and the notification is a broadcast.
    SubscribedToUserDestination,
    /// It subscribes to the broadcast destination of this name, and the notification is for the user only.
    SubscribedToBroadcast,
}

/// One subscription that would get the notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The value of CONNECTED's `session` header.
    pub session: String,
    /// The user.
    pub user: String,
    /// The `id` header of SUBSCRIBE.
    pub subscription: Option<String>,
    /// What would happen to it.
    pub way: Way,
    /// The bytes that wait for the session.
    pub waiting_bytes: u64,
    /// The MESSAGEs of the subscription that wait for their ACK. `None` in ack mode `auto`.
    pub unacknowledged: Option<u64>,
}

/// One session that would not get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The value of CONNECTED's `session` header.
    pub session: String,
    /// The user.
    pub user: String,
    /// The reason.
    pub why: Why,
    /// The first few destinations that it subscribes to.
    pub subscriptions: Vec<String>,
}

/// One instance's answer. The lists are bounded; the counts are complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Subscriptions that would get it.
    pub reached: Vec<Reached>,
    /// Their number.
    pub reached_count: u64,
    /// For a user's notification, the user's other sessions; for a broadcast, all others.
    pub missed: Vec<Missed>,
    /// Their number.
    pub missed_count: u64,
    /// Whether the lists lack some for the size of the answer, beside what their number leaves out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
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
