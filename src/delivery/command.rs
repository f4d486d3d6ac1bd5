//! The commands of a shard and their parts. All of them go through the shard's only mailbox, so the order of the mailbox
//! is the order of everything. Knows no socket.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::interest::Coming;
use super::outbox::Outbox;
use super::sent::SentView;
use super::shard::Shard;
use super::shard::held::{self, Bound, Next};
use super::trail::NotificationTrail;
use super::wire::AckMode;
use crate::close_reason::CloseReason;
use crate::destination::Target;
use crate::envelope::{Envelope, Kind, MessageId, Position, TraceContext, Unrecovered};
use crate::principal::{Principal, UserName};
use crate::stomp::Version;

/// The number of a session in this process, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey(pub(super) u64);

/// A session that has logged in and hands its outbox to its shard.
pub struct Join {
    /// The write side.
    pub outbox: Arc<Outbox>,
    /// The value of CONNECTED's `session` header.
    pub session: Box<str>,
    /// The session's principal.
    pub principal: Principal,
    /// The negotiated version.
    pub version: Version,
    /// Send something at least this often, in ms. 0: never.
    pub send_every_ms: u64,
    /// Expect something at least this often, in ms. 0: never.
    pub receive_every_ms: u64,
    /// The client's address.
    pub address: IpAddr,
    /// When the session began, in Unix ms.
    pub since_ms: u64,
    /// CONNECTED, as a WebSocket message: the first thing the shard writes.
    pub connected: Bytes,
}

/// A SUBSCRIBE that was permitted.
pub struct Subscription {
    /// The session's own number for it, unique among its live subscriptions.
    pub number: u32,
    /// The `id` header of SUBSCRIBE.
    pub id: Option<Arc<str>>,
    /// The target subscribed to. Of user destinations, only those of the session's own user.
    pub target: Target,
    /// The `ack` header of SUBSCRIBE.
    pub ack: AckMode,
    /// How many MESSAGEs may be unacknowledged at the same time, in the ack modes that acknowledge.
    pub prefetch: usize,
}

/// The RECEIPT of a SUBSCRIBE. Of a destination that history keeps it says where the subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The frame's `receipt` header.
    pub id: Box<str>,
    /// Why the client's `last-message-id` cannot be followed, if it had one.
    pub refused: Option<Unrecovered>,
}

impl From<&str> for Receipt {
    fn from(id: &str) -> Self {
        Self {
            id: id.into(),
            refused: None,
        }
    }
}

/// A SUBSCRIBE on its way to its shard.
pub(super) struct Subscribe {
    /// The subscription.
    pub subscription: Subscription,
    /// Its RECEIPT, if the client wants one.
    pub receipt: Option<Receipt>,
    /// Its announcement: dropped once the index knows the subscription itself.
    pub coming: Option<Coming>,
    /// Where history keeps the destination: what had begun when the interest was announced, and is in every mailbox by now.
    pub begun: Option<Position>,
}

/// A SUBSCRIBE whose replay is still to be read: what comes meanwhile waits.
pub(super) struct Hold {
    /// The subscription.
    pub subscription: Subscription,
    /// Kept until the subscription has joined its group.
    pub coming: Option<Coming>,
    /// As [`Subscribe::begun`].
    pub begun: Position,
    /// How much may wait.
    pub bound: Bound,
    /// Gets the position at which the subscription's live part begins.
    pub begins: oneshot::Sender<Position>,
}

/// A piece of a replay, or why there is none. Behind the last piece what was held is sent.
pub(crate) struct Piece {
    /// How far the client had come when this was asked for.
    pub after: Position,
    /// What it missed, and how far it has come then; or why that cannot be said.
    pub outcome: Result<held::Piece<Arc<Envelope>>, Unrecovered>,
    /// The `receipt` header of SUBSCRIBE; for the first piece.
    pub receipt: Box<str>,
    /// The bytes that were taken of the outbox for the piece ([`Outbox::hold`]).
    pub room: usize,
}

/// An ACK or NACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The session's own number of the subscription. `None` in STOMP 1.0, which names only the message.
    pub subscription: Option<u32>,
    /// The `message-id` of the MESSAGE.
    pub message_id: MessageId,
    /// ACK (`true`) or NACK.
    pub positive: bool,
    /// The frame's trace context: the client's own span of handling the MESSAGE.
    pub trace: TraceContext,
}

/// A notification between the bus and the shards. When the last shard drops it, its share of `limits.delivery_bytes`
/// becomes free and its trail ends.
pub struct Delivery {
    /// The notification.
    pub envelope: Arc<Envelope>,
    /// Its trail, if it is recorded.
    pub trail: Option<Box<dyn NotificationTrail>>,
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

/// One session as shown to an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The value of CONNECTED's `session` header.
    pub session: String,
    /// When the session began, in Unix ms.
    pub since_ms: u64,
    /// The client's address.
    pub address: IpAddr,
    /// Destinations as the client wrote them.
    pub subscriptions: Vec<String>,
    /// What the client has sent. `None`: an instance of an earlier version does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentView>,
}

/// A session that has sent something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderView {
    /// The value of CONNECTED's `session` header.
    pub session: String,
    /// The user.
    pub user: UserName,
    /// When the session began, in Unix ms.
    pub since_ms: u64,
    /// The client's address.
    pub address: IpAddr,
    /// What the client has sent.
    pub sent: SentView,
}

/// Selects sessions by their principal.
pub type Which = Arc<dyn Fn(&Principal) -> bool + Send + Sync>;

/// Whether a session may be subscribed to a target.
pub type Judge = Arc<dyn Fn(&Target) -> bool + Send + Sync>;

/// A renewal that was permitted.
pub(super) struct Renewal {
    /// Whose the session is from now on, and until when.
    pub principal: Principal,
    /// Asked about every subscription.
    pub judge: Judge,
    /// Gets what the session has lost.
    pub lost: oneshot::Sender<Vec<Lost>>,
}

/// A subscription that a renewal has taken from its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The session's own number for it.
    pub number: u32,
    /// Its destination as the client wrote it.
    pub destination: Box<str>,
}

/// A command for a shard.
pub(super) enum Command {
    /// Concerns one session, and comes from that session's task.
    Session(SessionKey, SessionCommand),
    /// A notification for every session that wants it.
    Deliver(Arc<Delivery>),
    /// What lies in front of this position of a kind is lost: every subscription of the kind ends here.
    Cut(Kind, Position),
    /// Ends these sessions.
    End(Whom, CloseReason),
    /// A question about the shard's state. The closure itself sends the answer.
    Ask(Question),
    /// The clock: this many ticks since start.
    Tick(u32),
}

/// A command that concerns one session.
pub(super) enum SessionCommand {
    /// The session logged in.
    Join(Box<Join>, Option<Coming>),
    /// The session is subscribed, and then the receipt goes out, before its first MESSAGE (STOMP rule R3).
    Subscribe(Box<Subscribe>),
    /// The session is subscribed, and what comes for it waits for the last [`SessionCommand::Replay`].
    Hold(Box<Hold>),
    /// A piece of the replay of a subscription that is held goes out; it is answered how it goes on.
    Replay(Box<Piece>, oneshot::Sender<Next>),
    /// The session belongs to another principal of the same user, and every subscription is judged again.
    Renew(Box<Renewal>),
    /// The subscription with this number ends, what waits for it is dropped, and then the receipt goes out.
    Unsubscribe(u32, Option<Bytes>),
    /// The client has handled, or refuses, what it was sent.
    Acknowledge(Box<Acknowledgement>),
    /// Bytes that the session's task wants to send: whole WebSocket messages.
    Say(Bytes),
    /// A notification for this session alone: an answer on its user's destination.
    Deliver(Box<Envelope>),
    /// The session's task has written everything that waited.
    Drained,
    /// The session ends. These are its last messages.
    Close(CloseReason, Vec<Bytes>),
    /// The session's task is gone.
    Leave,
}

/// Which sessions of a shard to end.
pub(super) enum Whom {
    /// All sessions of a user.
    User(UserName),
    /// The sessions of a user that began at this time or before it, in Unix ms.
    Since(UserName, u64),
    /// The sessions of a user that this selects.
    OfUser(UserName, Which),
    /// All sessions that this selects.
    Where(Which),
    /// About this many, picked at random. Answers how many are left.
    Some(usize, oneshot::Sender<usize>),
    /// This many, or all if there are fewer, picked at random. Answers how many have ended.
    Exactly(usize, oneshot::Sender<usize>),
    /// About this many of those that lost a subscription by a [`Command::Cut`]. Answers how many are left.
    Cut(usize, oneshot::Sender<usize>),
}

/// A question: it reads the shard and changes nothing.
pub(super) type Question = Box<dyn FnOnce(&Shard) + Send>;
