//! One session's link to its shard: what its task can tell it. Knows no other session and no shard's state.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Registry, Sending};
use crate::close_reason::CloseReason;
use crate::delivery::command::{
    Acknowledgement, Command, Hold, Join, Judge, Lost, Piece, Receipt, Renewal, SessionCommand, SessionKey,
    Subscribe, Subscription,
};
use crate::delivery::interest::Coming;
use crate::delivery::shard::held::{Bound, Next};
use crate::destination::Target;
use crate::envelope::{Envelope, Kind, Position};
use crate::principal::Principal;

/// One session's link to its shard. The shard's mailbox keeps the order: what the session sends arrives in order.
#[derive(Clone)]
pub struct SessionHandle {
    registry: Registry,
    key: SessionKey,
}

impl SessionHandle {
    pub(super) fn new(registry: Registry, key: SessionKey) -> Self {
        Self { registry, key }
    }

    /// Logs in: CONNECTED is written, and from here on the shard is the writer. Notifications published to the user
    /// from now on follow it.
    pub fn join(&self, join: Box<Join>) -> Sending {
        join.outbox.belong_to(join.principal.user());
        let interest = &self.registry.inner.interest;
        let coming = interest.announce_login(self.shard(), join.principal.user());
        self.send(SessionCommand::Join(join, Some(coming)))
    }

    /// Subscribes. `receipt` is sent before the first MESSAGE. Notifications published from now on reach the
    /// subscription; where history keeps the destination, those behind the receipt's `position`, which is decided by the
    /// rule of [`crate::delivery::heads`].
    pub async fn subscribe(&self, subscription: Box<Subscription>, receipt: Option<Receipt>) {
        let coming = self.announce(&subscription.target);
        let begun = match self.registry.inner.kept.holds(&subscription.target) {
            true => Some(self.begun(Kind::of(&subscription.target)).await),
            false => None,
        };
        let subscribe = Subscribe {
            subscription: *subscription,
            receipt,
            coming,
            begun,
        };
        self.send(SessionCommand::Subscribe(Box::new(subscribe))).await;
    }

    /// Subscribes to a destination that history keeps: what comes waits within `bound` until the last [`SessionHandle::replay`].
    /// Returns the position at which the live part begins; `None` if the session has ended.
    pub(crate) async fn hold(&self, subscription: Box<Subscription>, bound: Bound) -> Option<Position> {
        let coming = self.announce(&subscription.target);
        let begun = self.begun(Kind::of(&subscription.target)).await;
        let (begins, answer) = oneshot::channel();
        let hold = Hold {
            subscription: *subscription,
            coming,
            begun,
            bound,
            begins,
        };
        self.send(SessionCommand::Hold(Box::new(hold))).await;
        answer.await.ok()
    }

    /// Sends a piece of the replay, the first one behind the receipt, the last one in front of what was held; from then on the
    /// subscription is like any other. Returns how it goes on; `None` if the session has ended.
    pub(crate) async fn replay(&self, piece: Piece) -> Option<Next> {
        let (next, answer) = oneshot::channel();
        let command = SessionCommand::Replay(Box::new(piece), next);
        self.send(command).await;
        answer.await.ok()
    }

    fn announce(&self, target: &Target) -> Option<Coming> {
        match target {
            Target::Broadcast(path) => Some(self.registry.inner.interest.announce(self.shard(), path)),
            // The session itself is in the index.
            Target::User { .. } => None,
        }
    }

    /// What has begun by now. Returns once every mailbox has it. To wait until nothing is under way would take for ever
    /// under load.
    async fn begun(&self, kind: Kind) -> Position {
        let begun = self.registry.head(kind).begun;
        self.registry
            .head_until(kind, |head| head.has_finished(begun))
            .await;
        begun
    }

    /// Gives the session to `principal`, of the same user: `judge` decides which subscriptions it keeps. Returns those that it has
    /// lost, of which nothing more is sent; `None` if the session has ended.
    pub(crate) async fn renew(&self, principal: Principal, judge: Judge) -> Option<Vec<Lost>> {
        let (lost, answer) = oneshot::channel();
        let renewal = Renewal {
            principal,
            judge,
            lost,
        };
        self.send(SessionCommand::Renew(Box::new(renewal))).await;
        answer.await.ok()
    }

    /// The client's address. `None` if the session has ended.
    pub(crate) async fn address(&self) -> Option<IpAddr> {
        let key = self.key;
        let registry = &self.registry;
        registry
            .ask(self.shard(), move |shard| shard.address_of(key))
            .await
    }

    /// Ends the subscription `number`. `receipt` is sent after its last MESSAGE.
    pub fn unsubscribe(&self, number: u32, receipt: Option<Bytes>) -> Sending {
        self.send(SessionCommand::Unsubscribe(number, receipt))
    }

    /// Passes on an ACK or NACK.
    pub fn acknowledge(&self, ack: Acknowledgement) -> Sending {
        self.send(SessionCommand::Acknowledge(Box::new(ack)))
    }

    /// Writes whole WebSocket messages.
    pub fn say(&self, messages: Bytes) -> Sending {
        self.send(SessionCommand::Say(messages))
    }

    /// Delivers to this session only, on its user's destination.
    pub fn deliver(&self, envelope: Envelope) -> Sending {
        self.send(SessionCommand::Deliver(Box::new(envelope)))
    }

    /// Hands the socket back: nothing waits any more.
    pub fn drained(&self) -> Sending {
        self.send(SessionCommand::Drained)
    }

    /// Ends the session after its last messages.
    pub fn close(&self, reason: CloseReason, last_messages: Vec<Bytes>) -> Sending {
        self.send(SessionCommand::Close(reason, last_messages))
    }

    /// Says that the session's task is gone. Harmless after a close.
    pub fn leave(&self) -> Sending {
        self.send(SessionCommand::Leave)
    }

    /// The registry's clock, in ticks, for [`Liveness`](crate::delivery::heartbeat::Liveness).
    pub fn now(&self) -> u32 {
        self.registry.inner.clock.load(Ordering::Relaxed)
    }

    fn shard(&self) -> usize {
        (self.key.0 % self.registry.inner.shards.len() as u64) as usize
    }

    fn send(&self, command: SessionCommand) -> Sending {
        let command = Command::Session(self.key, command);
        self.registry.send(self.shard(), command)
    }
}
