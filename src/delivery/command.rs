//! What a shard can be told, and the parts that commands are made of. All of it comes through the shard's one mailbox, so
//! the mailbox's order is the order of everything. Knows no socket.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::interest::Coming;
use super::outbox::Outbox;
use super::shard::Shard;
use super::trail::NotificationTrail;
use super::wire::AckMode;
use crate::close_reason::CloseReason;
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
pub(super) enum Command {
    /// Something about one session, from that session's task.
    Session(SessionKey, SessionCommand),
    /// A notification for every session that wants it.
    Deliver(Arc<Delivery>),
    /// These sessions end.
    End(Whom, CloseReason),
    /// A question about what the shard holds. The closure answers it itself.
    Ask(Question),
    /// The clock says: this many ticks since start.
    Tick(u32),
}

/// What a shard is told about one session.
pub(super) enum SessionCommand {
    /// The session logged in.
    Join(Box<Join>, Option<Coming>),
    /// The session is subscribed and the receipt goes out, before its first MESSAGE (STOMP rule R3).
    Subscribe(Box<Subscription>, Option<Bytes>, Option<Coming>),
    /// The subscription of this number ends, what waits for it is dropped, then the receipt goes out.
    Unsubscribe(u32, Option<Bytes>),
    /// The client has handled, or refuses, what it was sent.
    Acknowledge(Box<Acknowledgement>),
    /// Bytes that the session's task has to say: whole WebSocket messages.
    Say(Bytes),
    /// A notification for this session alone: an answer on its user's destination.
    Deliver(Box<Envelope>),
    /// The session's task has written all that waited.
    Drained,
    /// The session ends; these are its last messages.
    Close(CloseReason, Vec<Bytes>),
    /// The session's task is gone.
    Leave,
}

/// Which sessions of a shard are to end.
pub(super) enum Whom {
    /// All of a user.
    User(UserName),
    /// All whose principal this says yes to.
    Where(Which),
    /// About so many, picked at random; answers how many are left.
    Some(usize, oneshot::Sender<usize>),
}

/// A question: it sees the shard and changes nothing.
pub(super) type Question = Box<dyn FnOnce(&Shard) + Send>;
