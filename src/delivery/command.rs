//! What a shard can be told. One enum, one mailbox, one order.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::close_reason::CloseReason;
use crate::delivery::explain::Explained;
use crate::delivery::interest::Coming;
use crate::delivery::outbox::Outbox;
use crate::delivery::trail::NotificationTrail;
use crate::delivery::wire::AckMode;
use crate::destination::Target;
use crate::envelope::{Envelope, MessageId, TraceContext};
use crate::principal::{Principal, UserName};
use crate::stomp::Version;

/// A session's number in this process, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey(pub(super) u64);

/// A session that has logged in and hands its outbox to its shard.
pub struct Join {
    /// The write side.
    pub outbox: Arc<Outbox>,
    /// CONNECTED's `session`.
    pub session: Box<str>,
    /// Whose session it is.
    pub principal: Principal,
    /// The negotiated version.
    pub version: Version,
    /// Send something at least this often, in ms; 0: never.
    pub send_every_ms: u64,
    /// Expect something at least this often, in ms; 0: never.
    pub receive_every_ms: u64,
    /// Where the client connects from.
    pub address: IpAddr,
    /// Since when, in Unix ms.
    pub since_ms: u64,
    /// CONNECTED, as a WebSocket message: the first thing the shard writes.
    pub connected: Bytes,
}

/// A SUBSCRIBE that was permitted.
pub struct Subscription {
    /// The session's own number for it, unique among its live subscriptions.
    pub number: u32,
    /// SUBSCRIBE's `id`.
    pub id: Option<Arc<str>>,
    /// What it asks for; of user destinations only the session's own user's.
    pub target: Target,
    /// SUBSCRIBE's `ack`.
    pub ack: AckMode,
    /// MESSAGEs that may be unacknowledged at once, in the ack modes that acknowledge.
    pub prefetch: usize,
}

/// An ACK or NACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The session's own number of the subscription; none: STOMP 1.0, which names the message alone.
    pub subscription: Option<u32>,
    /// The MESSAGE's `message-id`.
    pub message_id: MessageId,
    /// ACK (true) or NACK.
    pub positive: bool,
    /// The frame's trace context: the client's own span of what it did with the MESSAGE.
    pub trace: TraceContext,
}

/// A notification between the bus and the shards. When the last shard drops it, its share of `limits.delivery_bytes` is
/// free again and its trail ends.
pub struct Delivery {
    /// The notification.
    pub envelope: Envelope,
    /// Its trail, if it is recorded.
    pub trail: Option<Box<dyn NotificationTrail>>,
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

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

/// Whether a session is meant, by its principal.
pub type Which = Arc<dyn Fn(&Principal) -> bool + Send + Sync>;

/// What a shard can be told.
pub enum Command {
    /// A session logged in.
    Join(SessionKey, Box<Join>, Option<Coming>),
    /// The session is subscribed and the receipt goes out, before its first MESSAGE (STOMP rule R3).
    Subscribe(SessionKey, Box<Subscription>, Option<Bytes>, Option<Coming>),
    /// The session's subscription of this number ends, what waits for it is dropped, then the receipt goes out.
    Unsubscribe(SessionKey, u32, Option<Bytes>),
    /// The client has handled, or refuses, what it was sent.
    Acknowledge(SessionKey, Box<Acknowledgement>),
    /// Bytes that the session's task has to say: whole WebSocket messages.
    Say(SessionKey, Bytes),
    /// A notification for every session that wants it.
    Deliver(Arc<Delivery>),
    /// A notification for one session: an answer on its user's destination.
    DeliverTo(SessionKey, Box<Envelope>),
    /// The session's task has written all that waited.
    Drained(SessionKey),
    /// The session ends; these are its last messages.
    Close(SessionKey, CloseReason, Vec<Bytes>),
    /// The session's task is gone.
    Leave(SessionKey),
    /// All sessions of a user end.
    CloseUser(UserName, CloseReason),
    /// All sessions end whose principal this says yes to.
    CloseWhere(Which, CloseReason),
    /// About this many sessions, picked at random, end; answers how many are left.
    CloseSome(usize, CloseReason, oneshot::Sender<usize>),
    /// Answers a user's sessions.
    Inspect(UserName, oneshot::Sender<Vec<SessionView>>),
    /// Answers whose the session of this id is, if the shard holds it.
    UserOf(Box<str>, oneshot::Sender<Option<UserName>>),
    /// Answers who would get a notification, with at most so many in each list.
    Explain(Target, usize, oneshot::Sender<Explained>),
    /// Answers how long the oldest frame in an outbox has waited.
    OldestWaiting(oneshot::Sender<Duration>),
    /// The clock says: this many ticks since start.
    Tick(u32),
}
