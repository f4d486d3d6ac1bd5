//! One session's link to its shard: what its task can tell it. Knows no other session and no shard's state.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Registry, Sending};
use crate::close_reason::CloseReason;
use crate::delivery::command::{Acknowledgement, Command, Join, SessionCommand, SessionKey, Subscription};
use crate::destination::Target;
use crate::envelope::Envelope;

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
        let interest = &self.registry.inner.interest;
        let coming = interest.announce_login(self.shard(), join.principal.user());
        self.send(SessionCommand::Join(join, Some(coming)))
    }

    /// Subscribes. `receipt` is sent before the first MESSAGE. Notifications published from now on reach the
    /// subscription.
    pub fn subscribe(&self, subscription: Box<Subscription>, receipt: Option<Bytes>) -> Sending {
        let coming = match &subscription.target {
            Target::Broadcast(path) => Some(self.registry.inner.interest.announce(self.shard(), path)),
            // The session itself is in the index.
            Target::User { .. } => None,
        };
        self.send(SessionCommand::Subscribe(subscription, receipt, coming))
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
